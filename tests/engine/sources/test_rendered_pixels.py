"""The rendered station's pictures."""

from itertools import islice

import numpy as np
import pytest

from engine.sources.rendered import Deviation, RenderedStation, StationParams, simulate


def test_every_frame_has_a_picture_and_its_truth() -> None:
    params = StationParams.random(
        4, cycles=1, idle_s=0.2, speed=2.0, fps=15, deviations=(Deviation("turn", 1, 1, 2.0),)
    )
    truth = simulate(params)
    frames = list(RenderedStation(params))
    assert len(frames) == len(truth)
    for frame in frames[::17]:
        assert frame.image is not None
        assert frame.image.shape == (480, 640, 3)
        assert frame.image.dtype == np.uint8
        assert np.array_equal(frame.truth.joints, truth.joints[frame.index])
        assert frame.time_s == truth.times_s[frame.index]


def test_the_same_parameters_draw_the_same_pixels_from_wherever_one_starts() -> None:
    params = StationParams.random(11, cycles=1)
    first = list(islice(RenderedStation(params), 40))
    again = list(islice(RenderedStation(params).frames(start_s=1.0), 10))
    assert again[0].index == 30
    for a, b in zip(first[30:], again, strict=True):
        assert np.array_equal(a.image, b.image)


def test_workers_look_different() -> None:
    one, other = (next(iter(RenderedStation(StationParams.random(seed, cycles=1)))).image for seed in (1, 2))
    assert one is not None and other is not None
    assert np.abs(one.astype(int) - other).mean() > 10


@pytest.mark.parametrize("size", [(320, 240), (1280, 720)])
def test_other_resolutions_scale_the_picture_and_the_truth(size: tuple[int, int]) -> None:
    params = StationParams(cycles=1, size=size)
    frame = next(iter(RenderedStation(params)))
    assert frame.image is not None
    assert frame.image.shape == (size[1], size[0], 3)
    head, small = frame.truth.joints[0], simulate(StationParams(cycles=1)).joints[0, 0]
    assert head[1] == pytest.approx(small[1] * size[1] / 480, abs=3)


def test_nobody_is_in_the_picture_after_leaving() -> None:
    params = StationParams(cycles=1, idle_s=0.2, deviations=(Deviation("leave", 0, 1, 8.0),))
    (leave,) = simulate(params).events_of("leave")
    station = RenderedStation(params)
    away = [f.image for f in islice(station.frames((leave.start_s + leave.end_s) / 2), 2)]
    present = next(iter(station)).image
    assert away[0] is not None and away[1] is not None and present is not None
    assert np.abs(away[0].astype(int) - away[1]).mean() < 8  # the sensor's noise only
    assert np.abs(away[0].astype(int) - present).mean() > 10


@pytest.mark.slow
def test_the_real_pose_estimator_sees_the_worker_where_the_truth_says() -> None:
    from engine.pose.opening import open_estimator
    from models import skeleton

    estimator = open_estimator("mediapipe")
    params = StationParams.random(21, cycles=1, idle_s=0.3)
    errors = []
    for frame in islice(RenderedStation(params), 0, 240, 6):
        assert frame.image is not None
        poses = estimator.estimate(frame.image)
        if poses:
            pose = skeleton.convert(poses[0], estimator.layout, "body13")
            errors.append(np.hypot(*(pose - frame.truth.joints)[:7, :2].T))
    estimator.close()
    assert len(errors) >= 37  # of 40
    assert np.median(errors, axis=0).max() < 20  # head, shoulders, elbows, wrists; pixels at 640×480
