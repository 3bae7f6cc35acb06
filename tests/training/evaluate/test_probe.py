"""The probe for choosing configurations looks at training clips only, and knows good features from useless ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import DataError
from training.datasets.base import Clip, Dataset
from training.evaluate.label_transfer import boundary_errors, forward_hmm, nearest
from training.evaluate.probe import is_tuning, probe
from training.evaluate.streams import compose


def moving_clip(name: str, split: str, rng: np.random.Generator) -> Clip:
    """Joint 0 falls from 100 to 200 px: where it is tells how far the action is."""
    length = int(rng.integers(20, 40))
    poses = np.full((length, 13, 3), 1.0, np.float32)
    poses[..., :2] = 100 + 10 * np.arange(13)[:, None]
    poses[:, 0, 1] = np.linspace(100, 200, length)
    phases = (np.linspace(0, 1, length) * 2.999).astype(np.int64)
    return Clip(name, "fall", split, poses, "body13", 30.0, (320, 240), phases, "left")  # type: ignore[arg-type]


@pytest.fixture
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    clips = [moving_clip(f"clip{i}", "train" if i < 40 else "val", rng) for i in range(60)]
    return Dataset("moving", tuple(clips))


def height(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    return [poses[:, 0, 1:2] for poses in recordings]


def noise(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(len(poses), 4)).astype(np.float32) for poses in recordings]


@pytest.mark.parametrize("streams", [False, True])
def test_features_that_tell_the_phase_score_high_and_noise_scores_chance(dataset: Dataset, streams: bool) -> None:
    good, bad = (probe(features, dataset, streams=streams) for features in (height, noise))
    assert min(good[name] for name in ("nn_1", "nn_5", "ap@5")) > 0.8
    assert max(bad[name] for name in ("nn_1", "nn_5", "ap@5")) < 0.5
    assert all(good[name] > bad[name] + 0.1 for name in ("hmm_1", "hmm_5"))
    assert good["fall/nn_1"] == good["nn_1"]


def test_validation_clips_are_never_embedded(dataset: Dataset) -> None:
    shown: set[int] = set()

    def watching(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        shown.update(id(poses) for poses in recordings)
        return height(recordings)

    probe(watching, dataset)
    assert shown and not shown & {id(clip.poses) for clip in dataset.select(split="val")}


def test_the_tuning_split_is_a_fixed_part_of_the_training_clips(dataset: Dataset) -> None:
    tuning = [clip for clip in dataset.clips if is_tuning(clip)]
    assert 0 < len(tuning) < 20
    assert {clip.split for clip in tuning} == {"train"}


def test_without_labels_on_both_sides_there_is_nothing_to_probe(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="nothing to probe"):
        probe(height, Dataset("val only", dataset.select(split="val")))


def test_a_trimmed_hmm_starts_at_the_start_where_poses_repeat() -> None:
    there_and_back = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)])[:, None]
    phases = np.repeat([0, 1], 20)
    filtered = forward_hmm([(there_and_back, phases)], there_and_back, trimmed=True)
    assert (
        (filtered == phases).mean() > 0.9 > (nearest([(there_and_back, phases)], there_and_back) == phases).mean() - 0.5
    )


def test_boundary_errors_are_seconds_from_the_true_frame() -> None:
    (stream,) = compose([moving_clip("one", "val", np.random.default_rng(0))], 0)
    assert stream.phases is not None
    carried = np.maximum(stream.phases, 0)
    assert boundary_errors(carried, stream).tolist() == [0.0, 0.0]
    late = np.concatenate([np.zeros(6, np.int64), carried[:-6]])
    assert boundary_errors(late, stream) == pytest.approx([6 / 30, 6 / 30])
