"""Recordings played in real time."""

import time
from collections.abc import Iterator

import numpy as np

from engine.pose.track import PoseTrack
from engine.sources.base import Frame
from engine.sources.opening import open_source
from engine.sources.pacing import in_real_time


class SlowRecording:
    """Ten seconds at 20 Hz, whose frames take `cost_s` each to make."""

    def __init__(self, cost_s: float) -> None:
        self._pause = cost_s

    def frames(self, start_s: float = 0.0) -> Iterator[Frame]:
        for index in range(round(start_s * 20), 200):
            end_s = time.monotonic() + self._pause
            while time.monotonic() < end_s:
                pass
            yield Frame(index, index / 20, np.zeros((2, 2, 3), np.uint8))


def test_a_recording_started_in_the_past_goes_on_where_it_would_be() -> None:
    first = next(in_real_time(SlowRecording(0.0), time.monotonic() - 5))
    assert first.index >= 100


def test_no_frame_comes_before_it_is_due() -> None:
    epoch_s = time.monotonic() - 9.7
    for frame in in_real_time(SlowRecording(0.0), epoch_s):
        assert frame.captured_monotonic_s - epoch_s >= frame.time_s


def test_a_player_that_cannot_keep_up_leaves_frames_out_instead_of_falling_behind() -> None:
    frames = list(in_real_time(SlowRecording(0.15), time.monotonic() - 6))
    assert len(frames) < 60  # of the 80 that were left
    assert frames[-1].time_s > 9


def test_a_track_played_live_tells_that_it_is_alive_while_nobody_is_in_it_for_long(tmp_path) -> None:
    times_s = np.array([0.0, 1.5])
    PoseTrack(np.zeros((2, 13, 3), np.float32), times_s, "body13", (640, 480), "a pause").save(tmp_path / "pause.npz")
    beats: list[str] = []
    track = open_source(str(tmp_path / "pause.npz"), "freshest", time.monotonic(), beat=lambda: beats.append("."))
    frames = iter(track)
    assert next(frames).time_s == 0.0
    before = len(beats)
    assert next(frames).time_s == 1.5
    assert len(beats) - before >= 6  # four a second
