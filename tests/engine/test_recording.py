"""A run recorded and replayed is the same run; a damaged recording is one clear line."""

import numpy as np
import pytest

from engine import recording
from engine.errors import DataError
from engine.messages import Event, State
from engine.sources.base import Frame, StreamNotice

HEAD = recording.Head("bench", "body13", (640, 480), 30.0, "a camera")


def write(path, frames=5):
    recorder = recording.Recorder(path, HEAD)
    rng = np.random.default_rng(0)
    poses = rng.random((frames, 13, 3)).astype(np.float32)
    poses[2] = 0
    for i, pose in enumerate(poses):
        notice = StreamNotice("stream_lost", "unplugged", i / 30) if i == 3 else None
        recorder.pose(Frame(i, i / 30, None, None, 0.0, None, notice), pose)
    recorder.event(Event("bench", 1, "slow", 0.1, 5.0, details={"dwell_s": 2.0}))
    recorder.state(
        State("bench", 1, 0.05, 1.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9, pose=[(1.0, 2.0, 3.0)])
    )
    recorder.close()
    return poses


def test_poses_come_back_bit_by_bit_with_their_times_and_notices(tmp_path):
    poses = write(tmp_path / "a.rec")
    frames = list(recording.Replay(tmp_path / "a.rec"))
    assert np.array_equal(np.stack([frame.pose for frame in frames]), poses)
    assert [frame.time_s for frame in frames] == [i / 30 for i in range(5)]
    assert [frame.notice.reason if frame.notice else None for frame in frames] == [None, None, None, "unplugged", None]
    assert [event.details for event in recording.events(tmp_path / "a.rec")] == [{"dwell_s": 2.0}]


def test_a_recording_torn_by_a_crash_is_read_up_to_there(tmp_path):
    write(tmp_path / "a.rec")
    whole = (tmp_path / "a.rec").read_bytes()
    before = len(list(recording.read(tmp_path / "a.rec")))
    (tmp_path / "a.rec").write_bytes(whole[:-3])
    assert len(list(recording.read(tmp_path / "a.rec"))) == before - 1


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF....", recording.MAGIC, recording.MAGIC + b"\xff" * 40, recording.MAGIC + b"\x02\0\0\0\xc1\xc1"],
)
def test_what_is_not_a_recording_is_one_clear_line(tmp_path, content):
    (tmp_path / "a.rec").write_bytes(content)
    with pytest.raises(DataError):
        recording.Replay(tmp_path / "a.rec")
    with pytest.raises(DataError):
        recording.Replay(tmp_path / "missing.rec")


def test_a_full_disk_ends_the_recording_not_the_station():
    from pathlib import Path

    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    recorder = recording.Recorder(Path("/dev/full"), HEAD)
    for i in range(2000):
        recorder.pose(Frame(i, i / 30, None), np.ones((13, 3), np.float32))
    recorder.close()
    assert "space" in recorder.trouble
