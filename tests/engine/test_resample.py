"""The tick grid: time is not bent by the camera, holes are not filled with invention, live equals recorded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine.resample import MAX_HOLE_S, Resampler, resample_track


def moving_point(times_s):
    """One joint moving at 100 px/s to the right, fully seen."""
    poses = np.zeros((len(times_s), 1, 3), np.float32)
    poses[:, 0, 0] = 100 * np.asarray(times_s)
    poses[:, 0, 2] = 1
    return poses


@examples(50)
@given(
    steps=st.lists(st.floats(0.005, 0.2), min_size=2, max_size=60),
    rate_hz=st.sampled_from([10.0, 15.0, 20.0, 30.0]),
)
def test_ticks_lie_on_the_grid_and_on_the_true_path_whatever_the_camera_rate(steps, rate_hz):
    times_s = np.cumsum([0.0, *steps])
    tick_times_s, poses = resample_track(times_s, moving_point(times_s), rate_hz)
    assert np.allclose(tick_times_s, np.arange(len(tick_times_s)) / rate_hz)
    assert np.allclose(poses[:, 0, 0], 100 * tick_times_s, atol=0.01)
    assert tick_times_s[-1] > times_s[-1] - 1 / rate_hz - 1e-6


def test_a_hole_longer_than_the_limit_becomes_missing_poses():
    times_s = np.array([0.0, 0.1, 1.1, 1.2])
    tick_times_s, poses = resample_track(times_s, moving_point(times_s), 10)
    inside = (tick_times_s > 0.15) & (tick_times_s < 1.05)
    assert inside.sum() == 9
    assert (poses[inside, 0, 2] == 0).all()
    assert (poses[~inside, 0, 2] > 0).all()


def test_an_hour_without_frames_does_not_flood_the_pipeline_and_time_passed_is_told():
    resampler = Resampler(20)
    resampler.push(0.0, moving_point([0.0])[0])
    ticks = resampler.push(3600.0, moving_point([0.0])[0])
    assert len(ticks) <= MAX_HOLE_S * 20 + 2
    assert ticks[-1].time_s == 3600.0 and ticks[-1].seen
    assert sum(tick.dt_s for tick in ticks) >= 3599


def test_a_frame_that_is_late_or_repeated_is_ignored():
    resampler = Resampler(10)
    pose = moving_point([0.0])[0]
    assert len(resampler.push(0.0, pose)) == 1
    assert len(resampler.push(0.1, pose)) == 1
    assert (
        resampler.push(0.1, pose) == []
        and resampler.push(0.05, pose) == []
        and resampler.push(float("nan"), pose) == []
    )
    assert len(resampler.push(0.2, pose)) == 1


def test_a_clock_that_falls_far_back_starts_the_grid_anew():
    resampler = Resampler(10)
    pose = moving_point([0.0])[0]
    resampler.push(100.0, pose)
    ticks = resampler.push(0.0, pose)
    assert [tick.time_s for tick in ticks] == [0.0] and ticks[0].dt_s > 0


def test_a_joint_seen_in_one_frame_only_keeps_its_place_and_fades():
    a = np.array([[10, 20, 1.0]], np.float32)
    b = np.zeros((1, 3), np.float32)
    _, poses = resample_track(np.array([0.0, 0.2]), np.stack([a, b]), 20)
    assert np.allclose(poses[:4, 0, :2], [10, 20])
    assert (np.diff(poses[:, 0, 2]) < 0).all()


def test_nan_keypoints_become_joints_not_seen():
    poses = moving_point([0.0, 0.1])
    poses[1] = np.nan
    _, out = resample_track(np.array([0.0, 0.1]), poses, 10)
    assert np.isfinite(out).all() and out[1, 0, 2] == 0


@examples(30)
@given(cut=st.integers(1, 39))
def test_saving_and_restoring_in_the_middle_changes_nothing(cut):
    times_s = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.09, 40))
    poses = moving_point(times_s)
    whole = Resampler(15)
    expected = [tick for t, p in zip(times_s, poses, strict=True) for tick in whole.push(t, p)]
    first, second = Resampler(15), Resampler(15)
    found = [tick for t, p in zip(times_s[:cut], poses[:cut], strict=True) for tick in first.push(t, p)]
    second.restore(first.state())
    found += [tick for t, p in zip(times_s[cut:], poses[cut:], strict=True) for tick in second.push(t, p)]
    assert [tick.time_s for tick in found] == [tick.time_s for tick in expected]
    assert all((a.pose == b.pose).all() for a, b in zip(found, expected, strict=True))
