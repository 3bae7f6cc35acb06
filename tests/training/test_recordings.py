"""Progress of recordings: equal shares of a clip, or key events where the data set marks them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from engine.pose.track import PoseTrack
from training.config import DataConfig
from training.datasets.base import Clip
from training.recordings import anchored, load_recordings, phase_shares


def clip(name: str, phases: list[int] | None) -> Clip:
    count = 20 if phases is None else len(phases)
    poses = np.ones((count, 13, 3), np.float32)
    labels = None if phases is None else np.array(phases, np.int64)
    return Clip(name, "lift", "train", poses, "body13", 30.0, (640, 480), labels)


EARLY, LATE = clip("early", [0] * 5 + [1] * 15), clip("late", [0] * 15 + [1] * 5)


def test_a_key_event_is_passed_where_a_typical_execution_passes_it() -> None:
    shares = phase_shares([EARLY, LATE])["lift"]
    np.testing.assert_allclose(shares, [0, 0.5, 1])
    for one, event in ((EARLY, 5), (LATE, 15)):
        progress = anchored(one, shares)
        assert progress is not None and progress[event - 1] < 0.5 < progress[event]
        assert (np.diff(progress) > 0).all() and 0 < progress[0] < progress[-1] < 1


def test_a_clip_that_lacks_a_phase_keeps_equal_shares_and_they_do_not_pass_for_truth(tmp_path: Path) -> None:
    np.savez(tmp_path / "keypoints.npz", early=EARLY.poses, late=LATE.poses, short=EARLY.poses)
    np.savez(tmp_path / "phases.npz", early=EARLY.phases, late=LATE.phases, short=np.ones(20, np.int64))  # type: ignore[arg-type]
    rows = [f"{name},lift,train" for name in ("early", "late", "short")]
    (tmp_path / "index.csv").write_text("\n".join(["id,action,split", *rows]) + "\n")
    config = DataConfig(format="penn", folder=tmp_path, phase_labels=True)
    *marked, short = load_recordings(config, "body13", 0)
    assert [recording.exact for recording in (*marked, short)] == [True, True, False]
    np.testing.assert_allclose(short.progress, np.linspace(0, 1, 20))
    assert anchored(clip("short", [1] * 20), phase_shares([EARLY, LATE])["lift"]) is None


@pytest.mark.parametrize("phase_labels", [False, True])
def test_labels_are_used_only_where_asked_for_and_present(phase_labels: bool, tmp_path: Path) -> None:
    np.savez(tmp_path / "keypoints.npz", marked=EARLY.poses, bare=EARLY.poses)
    np.savez(tmp_path / "phases.npz", marked=EARLY.phases.astype(np.int8))  # type: ignore[union-attr]
    (tmp_path / "index.csv").write_text("id,action,split\nmarked,lift,train\nbare,lift,train\n")
    config = DataConfig(format="penn", folder=tmp_path, phase_labels=phase_labels)
    exact = sorted(recording.exact for recording in load_recordings(config, "body13", 0))
    assert exact == [False, phase_labels]


def test_a_worker_recorded_through_the_estimator_counts_for_as_many_rendered_ones_as_asked(tmp_path: Path) -> None:
    labels = {"cycle": [1] * 20, "phase": [0] * 20, "progress": np.linspace(0, 1, 20).tolist()}
    track = PoseTrack(np.ones((20, 13, 3), np.float32), np.arange(20) / 30, "body13", (640, 480), "x", "true", labels)
    track.save(tmp_path / "worker-00000.npz")
    config = DataConfig(format=None, station_workers=2, station_tracks=(tmp_path,), station_tracks_weight=3)
    lengths = [len(recording.poses) for recording in load_recordings(config, "body13", 0)]
    assert len(lengths) == 5 and lengths.count(20) == 3
