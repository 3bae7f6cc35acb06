"""A recording becomes a track, and a finished track is recognised as such."""

import numpy as np
import pytest

from engine.errors import ConfigError, SourceError
from engine.pose.extraction import check_layout, extract, is_finished, origin, share_seen, targets
from engine.pose.locating import Locator
from engine.pose.track import PoseTrack
from engine.sources.base import Frame


class Script:
    """A source of recorded poses with given times; None is a frame on which nobody was seen."""

    name, live, fps, size, layout, duration_s = "script", False, 30.0, (640, 480), "body13", None

    def __init__(self, frames):
        self.frames = frames

    def __iter__(self):
        for index, (time_s, seen) in enumerate(self.frames):
            yield Frame(index, time_s, None, np.ones((13, 3), np.float32) if seen else None)

    def close(self): ...


def test_every_frame_is_in_the_track_seen_or_not():
    told = []
    source = Script([(0.0, True), (0.1, False), (0.2, True), (0.3, True)])
    track = extract(source, Locator(None, "body13"), estimator="recorded", each_frame=told.append)
    assert track.times_s.tolist() == told == [0.0, 0.1, 0.2, 0.3]
    assert track.layout == "body13" and track.image_size == (640, 480)
    assert share_seen(track) == 0.75


def test_frames_whose_time_does_not_advance_are_left_out():
    track = extract(Script([(0.0, 1), (0.0, 1), (0.2, 1), (0.1, 1), (0.3, 1)]), Locator(None, "body13"), estimator="x")
    assert track.times_s.tolist() == [0.0, 0.2, 0.3]


@pytest.mark.parametrize("frames", [[], [(0.0, True)]])
def test_a_recording_without_frames_is_refused(frames):
    with pytest.raises(SourceError, match="expected at least two frames"):
        extract(Script(frames), Locator(None, "body13"), estimator="x")


def test_a_track_is_finished_only_for_the_same_recording_and_settings(tmp_path):
    recording, target = tmp_path / "a.mp4", tmp_path / "a.npz"
    recording.write_bytes(b"video")
    made_from = origin(recording, {"estimator": "mediapipe"})
    assert not is_finished(target, made_from)
    track = extract(Script([(0.0, True), (0.1, True)]), Locator(None, "body13"), estimator="x")
    track.labels["made_from"] = made_from
    track.save(target)
    assert is_finished(target, origin(recording, {"estimator": "mediapipe"}))
    assert not is_finished(target, origin(recording, {"estimator": "mediapipe-hands"}))
    recording.write_bytes(b"another video")
    assert not is_finished(target, origin(recording, {"estimator": "mediapipe"}))


def test_half_a_track_is_not_finished(tmp_path):
    target = tmp_path / "a.npz"
    PoseTrack(np.ones((2, 13, 3), np.float32), np.arange(2.0), "body13", (1, 1), labels={"made_from": {}}).save(target)
    assert is_finished(target, {})
    target.write_bytes(target.read_bytes()[:-40])
    assert not is_finished(target, {})


def test_two_recordings_never_share_a_track(tmp_path):
    assert targets(["x/a.mp4", "b.avi"], tmp_path) == [tmp_path / "a.npz", tmp_path / "b.npz"]
    with pytest.raises(ConfigError, match=r"would share a track: .*x/a\.mp4, y/a\.mp4"):
        targets(["x/a.mp4", "y/a.mp4"], tmp_path)


def test_an_unknown_layout_is_refused():
    assert check_layout("body13") == "body13" and check_layout(None) is None
    with pytest.raises(ConfigError, match=r"unknown layout: expected body13, .*found 'body99'"):
        check_layout("body99")
