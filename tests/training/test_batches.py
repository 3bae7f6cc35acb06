"""Batches: a function of seed and number, labels that are right, both streams of a recording in step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from training.augment import NONE, Augmentation
from training.batches import VIEWS, Batches
from training.config import DataConfig
from training.datasets.stations import load_stations
from training.recordings import load_recordings


@pytest.fixture(scope="module")
def recordings():
    return load_recordings(DataConfig(format=None, station_workers=4), "body13", seed=0)


def batches(recordings, how=Augmentation(), seed=0, **changes):  # noqa: B008
    settings = {"budget": 400, "longest": 40, "actions": 1} | changes
    return Batches(recordings, "body13", 20.0, 30, {"grid": 30}, how, seed, **settings)


def test_the_same_number_gives_the_same_batch_and_another_gives_another(recordings):
    a, b, c = batches(recordings)[3, 0], batches(recordings)[3, 0], batches(recordings)[4, 0]
    assert torch.equal(a.keypoints, b.keypoints)
    assert a.keypoints.shape != c.keypoints.shape or not torch.equal(a.keypoints, c.keypoints)
    assert not torch.equal(a.keypoints[:1, :4], batches(recordings)[3, 1].keypoints[:1, :4])


def test_two_streams_of_each_recording_stand_side_by_side(recordings):
    recording = batches(recordings)[0, 0].ticks.recording
    assert torch.equal(recording[::VIEWS], recording[1::VIEWS])
    assert len(recording[::VIEWS].unique()) == len(recording) // VIEWS


@given(number=st.integers(0, 100_000))
@examples(15)
def test_time_goes_forward_and_the_label_of_a_tick_is_its_recording_s_progress_at_that_moment(recordings, number):
    """Progress itself may go back: to the start of the next cycle, and wherever a worker who makes a mistake does."""
    batch = batches(recordings)[number, 0]
    ticks = batch.ticks
    assert not (ticks.mask & ~batch.present).any()
    for row, recording in enumerate(recordings[i] for i in ticks.recording):
        there = ticks.mask[row]
        time_s, found = ticks.time_s[row, there].double().numpy(), ticks.progress[row, there].numpy()
        assert (np.diff(time_s) >= 0).all()
        # The frame shown is the nearest one; half-way, where the label is rounded to float32, either.
        near = [recording.progress[np.rint(time_s * recording.rate_hz + aside).astype(int)] for aside in (-1e-3, 1e-3)]
        assert np.isclose(near, found, atol=1e-6).any(axis=0).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_a_pause_lasts_as_long_in_a_recording_of_another_frame_rate(recordings):
    how = replace(NONE, pause_p=1.0, pause_s=(1.0, 1.0))
    for rate_hz in (15.0, 60.0):
        others = [replace(r, rate_hz=rate_hz, progress=np.linspace(0, 1, len(r.poses))) for r in recordings]
        ticks = batches(others, how, chain_p=0.0, longest=2000)[0, 0].ticks
        assert all(
            int((moments.diff() == 0).sum()) == 20
            for moments in (t[m] for t, m in zip(ticks.time_s, ticks.mask, strict=True))
        )


def test_a_run_up_is_of_another_recording_but_its_progress_is_known(recordings):
    one_cycle = [replace(r, trimmed=True, exact=False, progress=np.linspace(0, 1, len(r.poses))) for r in recordings]
    ticks = batches(one_cycle, chain_p=1.0)[0, 0].ticks
    run_up = ticks.at_work & ~ticks.mask
    assert run_up.any(dim=1).all()
    assert (ticks.at_work | ~ticks.mask).all()
    assert ((ticks.progress[run_up] >= 0) & (ticks.progress[run_up] <= 1)).all()


def test_a_mirrored_bench_is_another_procedure_and_all_numbers_are_below_their_count(recordings):
    made = batches(recordings)
    numbers = {int(n) for number in range(12) for n in made[number, 0].ticks.action}
    assert numbers == {0, 1} and made.procedures == 2


def test_the_waiting_between_cycles_is_seen_but_has_no_label(recordings):
    seen = [batches(recordings)[number, 0] for number in range(8)]
    assert any((batch.present & ~batch.ticks.mask).any() for batch in seen)


def test_without_augmentation_both_streams_show_the_same(recordings):
    batch = batches(recordings, NONE, chain_p=0.0, longest=2000)[0, 0]
    torch.testing.assert_close(batch.keypoints[::VIEWS], batch.keypoints[1::VIEWS])


def test_stations_are_whole_recordings_whose_progress_is_known_except_between_cycles():
    stations = load_stations(workers=3)
    assert len(stations.dataset.clips) == 3
    for clip in stations.dataset.clips:
        progress = stations.progress[clip.id]
        assert len(progress) == len(clip.poses)
        assert np.isnan(progress[0])
        assert np.nanmin(progress) < 0.05
        assert np.nanmax(progress) > 0.95
        assert np.isfinite(clip.poses).all()
        assert (clip.poses[clip.poses[..., 2] == 0] == 0).all()
