"""Tables of variants: settings checked before any training, interrupted tables go on, finished rows are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from clients.cli import main
from engine.errors import ConfigError, DataError
from training.datasets.penn import load_penn
from training.evaluate.ablation import load_ablation, run_ablation, variant_training

ROOT = Path(__file__).parents[3]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    keypoints, phases, rows = {}, {}, ["id,action,split"]
    for i in range(10):
        poses = np.ones((24, 13, 3), np.float32)
        poses[..., :2] = 100 + 8 * np.arange(13)[:, None] + rng.normal(0, 3, (24, 13, 2))
        poses[:, 5, 1] += np.linspace(0, 80, 24)
        keypoints[f"c{i}"], phases[f"c{i}"] = poses, (np.arange(24) // 12).astype(np.int8)
        rows.append(f"c{i},lift,{'train' if i < 6 else 'val'}")
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "keypoints.npz", **keypoints)
    np.savez(folder / "phases.npz", **phases)
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def table(tmp_path: Path, data: Path) -> Path:
    base = {
        "name": "tiny",
        "data": {"format": "penn", "folder": str(data)},
        "net": {"width": 16, "heads": 2, "spatial_depth": 1, "temporal_depth": 1, "window": 8, "embedding_dim": 8},
        "objectives": [{"name": "sequence_contrastive"}],
        "batches": {"ticks": 120, "longest": 20, "actions": 1},
        "schedule": {"steps": 2, "warmup": 1},
        "precision": "32-true",
    }
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    spec = {
        "title": "Table",
        "about": "Two variants.",
        "base": "base.yaml",
        "seeds": [0],
        "variants": {"both": {}, "joints only": {"net.heatmaps": "joints"}},
    }
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path / "table.yaml"


def test_a_table_is_trained_judged_and_kept(table: Path, data: Path, tmp_path: Path) -> None:
    config, base = load_ablation(table)
    told: list[str] = []

    def run() -> dict[str, object]:
        return run_ablation(config, base, load_penn(data), tmp_path / "runs", told=lambda what, *_: told.append(what))

    first = run()
    assert told
    told.clear()
    assert run() == first and told == []
    row = first["variants"]["joints only"]["mean"]  # type: ignore[index]
    assert 0 <= row["paper acc@1.0"] <= 100 and 0 <= row["stream transfer@5"] <= 100


def test_a_training_interrupted_in_the_middle_goes_on_from_there(
    table: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trainer.LOG_EVERY", 1)
    config, base = load_ablation(table)
    one, often = config.model_copy(update={"variants": {"both": {}}}), {**base, "checkpoint_every": 1}
    done: list[int] = []

    def interrupt(what: str, step: int, total: int) -> None:
        if step == 2 and total == 2:  # the second step is done, the first is kept
            shutil.copytree(tmp_path / "whole", tmp_path / "cut")

    whole = run_ablation(one, often, load_penn(data), tmp_path / "whole", told=interrupt)
    again = run_ablation(
        one, often, load_penn(data), tmp_path / "cut", told=lambda what, step, total: done.append(step)
    )
    assert done == [2, 0] and again == whole  # 0: judging


def test_variants_may_have_another_layout_that_the_clips_convert_to_and_no_other(
    table: Path, data: Path, tmp_path: Path
) -> None:
    config, base = load_ablation(table)
    other = config.model_copy(update={"variants": {"coco": {"net.layout": "coco17"}}})
    row = run_ablation(other, base, load_penn(data), tmp_path / "runs")["variants"]["coco"]["mean"]
    assert 0 <= row["paper acc@1.0"] <= 100
    hands = config.model_copy(update={"variants": {"hands": {"net.layout": "hands42"}}})
    with pytest.raises(DataError, match="does not fit the network"):
        run_ablation(hands, base, load_penn(data), tmp_path / "hands")
    assert not (tmp_path / "hands").exists()


def test_an_interrupted_training_goes_on_and_one_of_other_settings_begins_anew(
    table: Path, data: Path, tmp_path: Path
) -> None:
    config, base = load_ablation(table)
    dataset = load_penn(data)
    whole = run_ablation(config, base, dataset, tmp_path / "whole")
    run = tmp_path / "cut" / "both-0"
    (run).mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"config": {"name": "something else"}}))
    again = run_ablation(config, base, dataset, tmp_path / "cut")
    assert again["variants"] == whole["variants"]
    longer = run_ablation(config, base, dataset, tmp_path / "cut", steps=3)
    assert longer["steps"] == {"both": 3, "joints only": 3}


def test_variants_that_differ_only_in_what_they_are_judged_on_share_one_training(
    table: Path, data: Path, tmp_path: Path
) -> None:
    config, base = load_ablation(table)
    twice = config.model_copy(update={"variants": {"one": {}, "other": {}}, "judged": {"other": ("lift",)}})
    told: list[str] = []
    rows = run_ablation(
        twice, base, load_penn(data), tmp_path / "runs", told=lambda what, done, total: told.append(f"{what} {done}")
    )
    assert rows["variants"]["one"] == rows["variants"]["other"]
    assert [path.name for path in (tmp_path / "runs").glob("*/checkpoint")] == ["checkpoint"]


def test_wrong_settings_are_refused_before_any_training(table: Path, data: Path, tmp_path: Path) -> None:
    config, base = load_ablation(table)
    broken = config.model_copy(update={"variants": {**config.variants, "odd": {"net.colour": "red"}}})
    with pytest.raises(ConfigError, match="colour"):
        run_ablation(broken, base, load_penn(data), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"variants": {"good": {}, "odd": {"net.heads": 5}}},
            "variant odd: net: expected a width divisible by 5 heads",
        ),
        ({"variants": {"good": {}, "odd": {"name.foo": 1}}}, "variant odd changes 'name.foo'"),
        ({"variants": {"good": {}, "odd": {"data.actions": ["lfit"]}}}, "no training clip of lfit"),
        ({"variants": {"good": {}}, "judged": {"good": ("lfit",)}}, "variant good cannot be judged on lfit"),
        ({"variants": {"good": {}}, "judged": {"god": ("lift",)}}, "`judged` names god"),
    ],
)
def test_a_variant_that_cannot_be_trained_or_judged_is_refused_before_the_first_is_trained(
    table: Path, data: Path, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    config, base = load_ablation(table)
    with pytest.raises((ConfigError, DataError), match=says):
        run_ablation(config.model_copy(update=changes), base, load_penn(data), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_table_without_seeds_or_variants_is_refused(table: Path) -> None:
    spec = yaml.safe_load(table.read_text())
    for changes in ({"seeds": []}, {"variants": {}}, {"seeds": [-1]}):
        table.write_text(yaml.safe_dump({**spec, **changes}))
        with pytest.raises(ConfigError, match=next(iter(changes))):
            load_ablation(table)


@pytest.mark.parametrize("name", ["figures.json", "config.json"])
def test_half_of_a_kept_result_is_named_and_not_taken_for_nothing(
    table: Path, data: Path, tmp_path: Path, name: str
) -> None:
    config, base = load_ablation(table)
    broken = tmp_path / "runs" / "both-0" / name
    broken.parent.mkdir(parents=True)
    broken.write_text('{"settings": {')
    with pytest.raises(DataError, match=f"cannot read .*{name}.* Remove the folder"):
        run_ablation(config, base, load_penn(data), tmp_path / "runs")
    assert broken.exists()


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_tables_that_are_shipped_fit_the_trainer(path: Path) -> None:
    config, base = load_ablation(path)
    assert set(config.judged) <= set(config.variants)
    for name, changes in config.variants.items():
        variant_training(base, {**config.changes, **changes}, name, 0, None)


def test_what_one_variant_changes_stays_out_of_the_next(table: Path) -> None:
    """`changes` puts a whole section, of which a variant changes one key."""
    _, base = load_ablation(table)
    changes = {"data": {**base["data"], "actions": ["lift", "lower"]}}
    variant_training(base, {**changes, "data.actions": ["lift"]}, "fewer", 0, None)
    assert variant_training(base, changes, "all", 0, None).data.actions == ("lift", "lower")


def test_the_command_prints_the_table(
    table: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "evaluate",
                "ablate",
                str(table),
                "--data",
                str(data),
                "-o",
                str(tmp_path / "r"),
                "--json",
                str(tmp_path / "t.json"),
            ]
        )
    assert ended.value.code in (0, None)
    assert "| joints only |" in capsys.readouterr().out
    assert json.loads((tmp_path / "t.json").read_text())["seeds"] == [0]
