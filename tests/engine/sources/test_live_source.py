"""The policy `freshest`: capture in its own process, and what happens when that process or its stream goes."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.sources import live
from engine.sources.base import Frame
from engine.sources.capture_child import CaptureChild
from engine.sources.frame_memory import FrameReader, anonymous_file
from engine.sources.live import LiveSource
from engine.sources.opening import open_source
from engine.sources.rendered import RenderedStation, StationParams, simulate

LONG = StationParams.random(3, cycles=50, size=(160, 120))


@pytest.fixture
def source() -> Iterator[LiveSource]:
    source = LiveSource(LONG)
    yield source
    source.close()


def until(frames: Iterator[Frame], kind: str) -> Frame:
    return next(frame for frame in frames if frame.notice is not None and frame.notice.kind == kind)


def test_frames_carry_their_truth_and_when_they_were_captured(source: LiveSource) -> None:
    truth = simulate(LONG)
    frames = list(islice(source, 12))
    for frame in frames:
        assert frame.image is not None and frame.image.shape == (120, 160, 3)
        assert frame.time_s == pytest.approx(truth.times_s[frame.index])
        assert np.array_equal(frame.truth.joints, truth.joints[frame.index])
        assert frame.notice is None
    captured = [frame.captured_monotonic_s - frame.time_s for frame in frames]
    assert max(captured) - min(captured) < 1.0  # one clock, however late a busy machine is


def test_a_slow_consumer_gets_the_newest_frame_and_the_drops_are_counted(source: LiveSource) -> None:
    pause = threading.Event()
    frames = []
    for frame in source:
        frames.append(frame)
        pause.wait(0.3)
        if len(frames) == 5:
            break
    skipped = sum(b.index - a.index - 1 for a, b in pairwise(frames))
    assert skipped >= 4
    assert source.dropped == skipped + frames[0].index


def test_a_recording_does_not_begin_before_somebody_looks() -> None:
    child = CaptureChild({"params": LONG.as_json(), "epoch_s": None, "first_index": 0})
    assert "opened" in child.wait_until_open(20)
    child.wait(1.0)  # returns with the first frame, and none must come while a station loads its pose estimator
    assert child.newest() is None
    child.play()
    child.wait(20)
    captured = child.newest()
    assert captured is not None and captured.index < 30
    child.kill()


def test_a_recording_ends_with_its_last_frame() -> None:
    params = StationParams(cycles=0, idle_s=0.5, size=(160, 120))
    source = LiveSource(params)
    frames = list(source)
    assert frames[-1].index == len(simulate(params)) - 1
    source.close()


def test_a_killed_capture_process_comes_back_where_the_stream_would_be(source: LiveSource) -> None:
    frames = iter(source)
    before = next(frames)
    assert source.capture_pid is not None
    os.kill(source.capture_pid, signal.SIGKILL)
    lost = until(frames, "stream_lost")
    assert lost.image is None and lost.notice is not None
    assert "died" in lost.notice.reason
    back = until(frames, "stream_back")
    assert back.image is not None
    assert back.index > before.index
    assert back.time_s == pytest.approx(back.index / LONG.fps)
    assert source.restarts >= 1


def test_a_hung_capture_process_is_noticed_killed_and_replaced(source: LiveSource) -> None:
    frames = iter(source)
    before = next(frames)
    hung = source.capture_pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    lost = until(frames, "stream_lost")
    assert lost.notice is not None
    assert 0 <= lost.notice.time_s - before.time_s < lost.time_s - before.time_s
    empty = next(frames)
    assert empty.time_s >= lost.time_s
    back = until(frames, "stream_back")
    assert back.time_s > lost.time_s
    assert source.capture_pid != hung
    assert not psutil.pid_exists(hung)


def test_other_processes_find_the_pictures_also_those_of_a_second_capture_process() -> None:
    memory = anonymous_file()
    source = LiveSource(LONG, memory=memory)
    elsewhere = FrameReader(memory)
    frames = iter(source)
    try:
        for _ in range(2):
            found = next(found for frame in frames if (found := elsewhere.at(frame.index)) is not None)
            drawn = next(RenderedStation(LONG).frames(found.index / LONG.fps))
            assert drawn.index == found.index and np.array_equal(found.image, drawn.image)
            assert source.capture_pid is not None
            os.kill(source.capture_pid, signal.SIGKILL)
            until(frames, "stream_lost")
            until(frames, "stream_back")
    finally:
        source.close()
        os.close(memory)


def test_who_waits_for_a_silent_camera_shows_signs_of_life() -> None:
    beats = []
    watched = LiveSource(LONG, beat=lambda: beats.append(time.monotonic()))
    try:
        frames = iter(watched)
        next(frames)
        assert watched.capture_pid is not None
        os.kill(watched.capture_pid, signal.SIGSTOP)
        silent_from = len(beats)
        until(frames, "stream_lost")
        assert len(beats) - silent_from > live.STALL_S / live._HEARTBEAT_S / 2
    finally:
        watched.close()


def test_times_never_go_back_through_losses(source: LiveSource) -> None:
    times = []
    for count, frame in enumerate(source):
        times.append(frame.time_s)
        if count in (10, 40):
            assert source.capture_pid is not None
            os.kill(source.capture_pid, signal.SIGKILL)
        if count > 60 and frame.image is not None:
            break
    assert times == sorted(times)


def test_closing_leaves_no_process_and_no_descriptor_behind() -> None:
    me = psutil.Process()
    children, descriptors = set(me.children()), me.num_fds()
    for _ in range(2):
        source = LiveSource(LONG)
        next(iter(source))
        source.close()
        source.close()
    assert set(me.children()) == children
    assert me.num_fds() <= descriptors + 1


def test_a_capture_process_ends_when_its_station_is_gone() -> None:
    source = LiveSource(LONG)
    assert source._child is not None and source._child._process.stdin is not None
    process = source._child._process
    source._child._process.stdin.close()  # what the kernel does when the station is killed
    assert process.wait(10) == 0
    source.close()


def test_a_video_played_live_keeps_its_times(tmp_path: Path) -> None:
    from engine.sources.video_writer import VideoWriter

    path = tmp_path / "clip.avi"
    with VideoWriter(path, 20, (64, 48)) as writer:
        for i in range(12):
            writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    source = open_source(str(path), policy="freshest")
    frames = list(source)
    source.close()
    assert frames[-1].index == 11
    assert all(frame.time_s == pytest.approx(frame.index / 20) for frame in frames)
    assert all(frame.image is not None and round(float(frame.image.mean()) / 20) == frame.index for frame in frames)


def test_an_endless_failure_is_retried_ever_more_slowly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A camera that was there once and is gone: here, a video that is deleted while it plays."""
    from engine.sources.video_writer import VideoWriter

    path = tmp_path / "clip.avi"
    with VideoWriter(path, 20, (64, 48)) as writer:
        for _ in range(400):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    source = LiveSource(str(path))
    waits = []
    next_s = live.Backoff.next_s
    monkeypatch.setattr(live.Backoff, "next_s", lambda self: waits.append(next_s(self)) or waits[-1])
    frames = iter(source)
    next(frames)
    path.unlink()
    assert source.capture_pid is not None
    os.kill(source.capture_pid, signal.SIGKILL)
    until(frames, "stream_lost")
    while len(waits) < 3:
        assert next(frames).notice is None  # told once; the empty frames after it say nothing new
    source.close()
