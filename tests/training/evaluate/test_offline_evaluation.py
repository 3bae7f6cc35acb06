"""`lockstep evaluate offline` on data it has never seen: small, odd and broken ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from clients.cli import main
from engine.bundle import DEFAULT, SHIPPED, open_bundle
from engine.errors import DataError
from training.datasets.penn import load_penn
from training.evaluate.controls import CONTROLS, keypoints, time_fraction
from training.evaluate.offline import Candidate, choose_actions, evaluate
from training.evaluate.robustness import robustness, with_noise, without_a_limb


def write_copy(folder: Path, clips: list[tuple[str, str, str, int, int | None]], seed: int = 0) -> Path:
    """A folder in our Penn Action format; clips as (id, action, split, frames, phases or None)."""
    rng = np.random.default_rng(seed)
    keypoints_of, phases_of = {}, {}
    base = rng.uniform(100, 200, (13, 2))
    sweep = rng.normal(0, 40, (13, 2))
    for name, _, _, length, phases in clips:
        t = np.linspace(0, 1, length)[:, None, None]
        xy = base + sweep * np.sin(np.pi * t / 2) + rng.normal(0, 2, (length, 13, 2)) + rng.uniform(-20, 20, 2)
        keypoints_of[name] = np.concatenate([xy, np.ones((length, 13, 1))], axis=2).astype(np.float32)
        if phases is not None:
            phases_of[name] = np.minimum(np.arange(length) * phases // length, phases - 1).astype(np.int8)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "keypoints.npz", **keypoints_of)
    np.savez(folder / "phases.npz", **phases_of)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "action", "view", "split", "frames", "height", "width", "phases"])
        writer.writerows([name, action, "left", split, n, 360, 480, p or ""] for name, action, split, n, p in clips)
    return folder


def reach(
    count: int, split: str, action: str = "reach", length: int = 30
) -> list[tuple[str, str, str, int, int | None]]:
    return [(f"{action}-{split}-{i}", action, split, length + i, 3) for i in range(count)]


def test_both_protocols_judge_poses_higher_than_a_clock_where_time_means_nothing(tmp_path: Path) -> None:
    dataset = load_penn(write_copy(tmp_path, reach(6, "train") + reach(5, "val")))
    actions, left_out = choose_actions(dataset)
    results = evaluate({name: Candidate(features) for name, features in CONTROLS.items()}, actions, [0, 1])
    assert left_out == {}

    def figure(section: str, model: str, name: str) -> float:
        return float(np.mean(results[section][model]["reach"][name]))

    assert figure("paper", "t/T", "tau") > 0.95 and figure("paper", "t/T", "acc@1.0") > 0.9
    assert figure("clock_free", "keypoints", "acc@1.0") > figure("clock_free", "t/T", "acc@1.0") + 0.1
    assert figure("clock_free", "keypoints", "progress") > figure("clock_free", "t/T", "progress")
    assert 0 <= figure("clock_free", "keypoints", "boundary_s@5") < 1


def test_an_evaluation_is_reproducible_and_depends_on_its_seed(tmp_path: Path) -> None:
    dataset = load_penn(write_copy(tmp_path, reach(6, "train") + reach(4, "val")))
    actions, _ = choose_actions(dataset)
    judged = [evaluate({"keypoints": Candidate(keypoints)}, actions, [seed]) for seed in (3, 3, 4)]
    assert judged[0] == judged[1]
    assert judged[0]["clock_free"] != judged[2]["clock_free"]
    assert judged[0]["paper"]["keypoints"]["reach"]["tau"] == judged[2]["paper"]["keypoints"]["reach"]["tau"]


def test_tiny_clips_and_single_phases_give_figures_or_none_but_no_crash(tmp_path: Path) -> None:
    clips = [
        *[(f"t{i}", "tiny", "train", 1 + i, 1 + i % 2) for i in range(4)],
        *[(f"v{i}", "tiny", "val", 1 + i, 1 + i % 2) for i in range(3)],
    ]
    dataset = load_penn(write_copy(tmp_path, clips))  # type: ignore[arg-type]
    actions, _ = choose_actions(dataset)
    results = evaluate({name: Candidate(features) for name, features in CONTROLS.items()}, actions, [0])
    accuracy = results["paper"]["keypoints"]["tiny"]["acc@1.0"][0]
    assert 0 <= accuracy <= 1
    assert robustness(keypoints, actions, 0)["tiny"]


def test_actions_that_cannot_be_judged_are_named_and_unlabelled_ones_give_tau(tmp_path: Path) -> None:
    clips = [
        *reach(3, "train"),
        *reach(3, "val"),
        *[(f"bare{i}", "bare", "val", 20, None) for i in range(3)],
        *reach(2, "train", "only-train"),
    ]
    dataset = load_penn(write_copy(tmp_path, clips))  # type: ignore[arg-type]
    actions, left_out = choose_actions(dataset)
    assert [(a.name, a.labelled) for a in actions] == [("reach", True), ("bare", False)]
    assert "only-train" in left_out
    results = evaluate({"t/T": Candidate(time_fraction)}, actions, [0])
    assert set(results["paper"]["t/T"]["bare"]) == {"tau"}
    assert "bare" not in results["clock_free"]["t/T"]
    with pytest.raises(DataError, match="no clip of dance"):
        choose_actions(dataset, ["dance"])
    with pytest.raises(DataError, match="nothing to evaluate"):
        choose_actions(dataset, ["only-train"])


def test_damage_touches_only_what_it_says(tmp_path: Path) -> None:
    clip = load_penn(write_copy(tmp_path, reach(1, "val"))).clips[0]
    np.testing.assert_array_equal(without_a_limb(clip, 0.0, 0), clip.poses)
    lost = (without_a_limb(clip, 1.0, 0)[..., 2] == 0).any(axis=0)
    assert lost.sum() == 2
    noisy = with_noise(clip, 0)
    np.testing.assert_array_equal(noisy[..., 2], clip.poses[..., 2])
    box = np.ptp(clip.poses[..., :2], axis=(0, 1)).max()
    assert np.std((noisy - clip.poses)[..., :2]) == pytest.approx(box / 30, rel=0.1)


SMALL = {"width": 16, "heads": 2, "spatial_depth": 1, "temporal_depth": 1, "window": 8, "embedding_dim": 8}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small untrained network."""
    pytest.importorskip("torch")
    from models.lockstep_net import LockstepNet, NetConfig
    from training.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(tmp_path / "small", Checkpoint(LockstepNet(NetConfig(**SMALL)), {}))
    return tmp_path / "small"


def test_the_command_writes_tables_pictures_and_json_with_all_four_controls(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_copy(tmp_path / "data", reach(5, "train") + reach(3, "val"))
    out = tmp_path / "out"
    arguments = ["evaluate", "offline", "--data", str(data), "--checkpoint", str(checkpoint), "--seeds", "2"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--seed", "7", "--json", str(tmp_path / "f.json"), "-o", str(out)])
    assert ended.value.code in (0, None)
    record = json.loads((tmp_path / "f.json").read_text())
    for section in ("paper", "clock_free"):
        assert set(record[section]) == {"lockstep", "untrained", "frame_index", "t/T", "keypoints"}
        for row in record[section].values():
            assert {"acc@1.0", "acc@0.1", "progress", "tau", "ap@5"} <= set(row)
            assert set(row["actions"]) == {"reach"}
            assert row["actions"]["reach"]["acc@1.0"] == pytest.approx(row["acc@1.0"])
    assert record["paper"]["t/T"]["acc@1.0"] > 50 > record["paper"]["t/T"]["tau"]
    assert record["seeds"] == [7, 8] and set(record["robustness"]) == {"lockstep", "keypoints"}
    assert {path.suffix for path in out.iterdir()} == {".md", ".json", ".png"} and len(list(out.glob("*.png"))) == 3
    told = capsys.readouterr().out
    assert "| lockstep |" in told and "| paper logreg@0.1 |" in told


@pytest.mark.parametrize("layout", ["coco17", "hands42"])
def test_a_checkpoint_of_another_layout_is_shown_the_clips_in_it_or_refused(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from models.lockstep_net import LockstepNet, NetConfig
    from training.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(tmp_path / "other", Checkpoint(LockstepNet(NetConfig(**SMALL, layout=layout)), {}))
    data = write_copy(tmp_path / "data", reach(2, "train") + reach(2, "val"))
    arguments = ["evaluate", "offline", "--data", str(data), "--checkpoint", str(tmp_path / "other"), "--seeds", "1"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    if layout == "coco17":
        assert ended.value.code in (0, None) and "- lockstep (paper): checkpoint other" in printed.out
    else:
        assert ended.value.code == 2 and "does not fit these data" in printed.err


@pytest.mark.parametrize(("option", "name"), [("--json", "folder"), ("--json", "file/below.json"), ("-o", "file")])
def test_what_cannot_be_written_is_refused_before_the_data_are_even_read(
    tmp_path: Path, option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "offline", "--data", str(tmp_path / "nowhere"), option, str(tmp_path / name)])
    assert ended.value.code == 2 and "cannot write" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not (SHIPPED / DEFAULT / "bundle.json").is_file(), reason="no bundle is shipped")
def test_the_live_graph_and_pytorch_give_the_same_features_frame_by_frame(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file

    from models.lockstep_net import LockstepNet, NetConfig
    from training.evaluate.networks import bundle_features, network_features

    bundle = open_bundle()
    net = LockstepNet(NetConfig(**bundle.info.network))
    net.load_state_dict(load_file(bundle.folder / str(bundle.info.weights_file)))
    dataset = load_penn(write_copy(tmp_path, [*reach(4, "val"), ("one", "reach", "val", 1, None)]))
    poses = [clip.poses for clip in dataset.clips]
    live, whole = bundle_features(bundle, 30.0)(poses), network_features(net, bundle.info.crop, 30.0)(poses)
    for a, b, clip in zip(live, whole, poses, strict=True):
        assert len(a) == len(clip)
        np.testing.assert_allclose(a, b, atol=2e-3)  # heatmaps are cut off at four sigma there


def test_what_pads_a_batch_does_not_change_a_feature(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from models.lockstep_net import LockstepNet, NetConfig
    from training.evaluate.networks import network_features

    torch.manual_seed(0)
    clips = load_penn(write_copy(tmp_path, [*reach(2, "val", length=7), *reach(1, "val", "long", length=60)])).clips
    for temporal in ("causal", "full"):
        features = network_features(LockstepNet(NetConfig(**SMALL, temporal=temporal)), {}, 30.0)
        together = features([clip.poses for clip in clips])
        for clip, embedded in zip(clips, together, strict=True):
            np.testing.assert_allclose(features([clip.poses])[0], embedded, atol=1e-5)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda data: (data / "index.csv").unlink(), "no Penn Action copy"),
        (lambda data: (data / "keypoints.npz").write_bytes(b"nonsense"), "cannot read"),
        (lambda data: (data / "index.csv").write_text("id,frames\n1,2\n"), "lacks columns"),
    ],
)
def test_a_broken_folder_ends_with_one_clear_line(
    tmp_path: Path, break_it, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_copy(tmp_path, reach(2, "train") + reach(2, "val"))
    break_it(data)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "offline", "--data", str(data)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
