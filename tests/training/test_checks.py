"""Settings meet the data before anything is trained, and what of the data cannot be used is never left out in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from clients.cli import main
from engine.errors import ConfigError, DataError
from engine.pose.track import PoseTrack
from models.lockstep_net import LockstepNet
from training.checkpoint import begin_from
from training.checks import SHOWN, check, in_words
from training.config import TrainingConfig

TINY: dict[str, Any] = {
    "name": "tiny",
    "net": {"width": 16, "heads": 2, "spatial_depth": 1, "temporal_depth": 1, "window": 8, "embedding_dim": 8},
    "objectives": [{"name": "sequence_contrastive"}],
    "batches": {"ticks": 120, "longest": 20, "actions": 1},
    "schedule": {"steps": 1, "warmup": 1},
    "precision": "32-true",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four clips of `lift`: two to train on, one of 5 frames, and one whose keypoints are of another shape."""
    rng = np.random.default_rng(0)
    poses = np.ones((24, 13, 3), np.float32)
    poses[..., :2] = 100 + 8 * np.arange(13)[:, None] + rng.normal(0, 3, (24, 13, 2))
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "keypoints.npz", one=poses, two=poses + 1, short=poses[:5], broken=poses[:, :12])
    rows = [f"{name},lift,train" for name in ("one", "two", "short", "broken")]
    (folder / "index.csv").write_text("\n".join(["id,action,split", *rows]) + "\n")
    return folder


def settings(folder: Path, **changes: Any) -> TrainingConfig:
    return TrainingConfig.model_validate({**TINY, "data": {"format": "penn", "folder": str(folder)}, **changes})


def test_clips_that_cannot_be_used_are_named(data: Path) -> None:
    problems = check(settings(data))
    assert set(problems) == {"short", "broken"}
    assert problems["short"] == "5 frames, a training needs 8 of a clip" and "(24, 12, 3)" in problems["broken"]


def test_an_action_without_training_clips_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match="no training clip of lfit: expected actions among lift"):
        check(settings(data, data={"folder": str(data), "actions": ["lift", "lfit"]}))


def test_data_without_anything_to_train_on_are_refused(data: Path) -> None:
    with pytest.raises(DataError, match=r"nothing to train on: .*, found no data set and no stations"):
        check(settings(data, data={"format": None}))


@pytest.mark.parametrize(
    ("places", "frames", "says"),
    [
        (["val/lift/a", "val/lift/b"], 24, "2 clips in tracks, all of them for validation.*below `train/`"),
        (["train/lift/a", "train/lift/b"], 5, r"no usable clip in tracks \(train/lift/a: 5 frames"),
    ],
)
def test_own_recordings_none_of_which_can_be_learned_from_are_refused_with_the_reason(
    tmp_path: Path, places: list[str], frames: int, says: str
) -> None:
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        poses, times_s = np.ones((frames, 13, 3), np.float32), np.arange(frames) / 30
        PoseTrack(poses, times_s, "body13", (640, 480)).save(tmp_path / f"{place}.npz")
    with pytest.raises(DataError, match=says):
        check(settings(tmp_path, data={"format": "tracks", "folder": str(tmp_path)}))


def test_emphasis_on_an_action_that_is_not_trained_on_is_refused(data: Path) -> None:
    check(settings(data, batches={**TINY["batches"], "emphasis": {"lift": 2}}))
    with pytest.raises(ConfigError, match=r"emphasis names lower: expected actions that are trained on \(lift\)"):
        check(settings(data, batches={**TINY["batches"], "emphasis": {"lower": 2}}))


def test_rendered_workers_do_not_fit_a_network_of_hands(data: Path) -> None:
    hands = {**TINY["net"], "layout": "hands42"}
    with pytest.raises(DataError, match=r"a rendered worker does not fit the network: .*hands42"):
        check(settings(data, data={"format": None, "station_workers": 2}, net=hands))


def test_a_first_checkpoint_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the checkpoint"):
        check(settings(data, start_from=[str(tmp_path / "nowhere")]))


def test_a_training_without_spatial_positions_begins_without_them(data: Path) -> None:
    told = LockstepNet(settings(data).network())
    untold = LockstepNet(settings(data, net={**TINY["net"], "spatial_positions": False}).network())
    begin_from(untold, told)
    assert told.frames.positions.any() and not untold.frames.positions.any()
    assert untold.frames.embed.weight.equal(told.frames.embed.weight)


def test_of_many_problems_the_first_are_told_and_the_others_counted() -> None:
    text = in_words({f"clip {i}": "broken" for i in range(SHOWN + 3)})
    assert text.count("broken") == SHOWN and "3 more" in text


def test_the_command_tells_what_it_leaves_out_and_keeps_it_in_the_run_folder(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(yaml.safe_dump({**TINY, "data": {"format": "penn", "folder": str(data)}}))
    with pytest.raises(SystemExit) as ended:
        main(["train", str(path), "-o", str(tmp_path / "run")])
    assert ended.value.code in (0, None)
    told = " ".join(capsys.readouterr().err.split())
    assert "short: 5 frames" in told and "broken: keypoints are" in told
    assert set(json.loads((tmp_path / "run" / "problems.json").read_text())) == {"short", "broken"}
