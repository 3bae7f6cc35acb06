"""Network cameras, against a real RTSP server (GStreamer's) that is stopped, restarted, frozen and changed."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from engine.errors import SourceError
from engine.sources.base import Frame
from engine.sources.live import LiveSource

pytestmark = pytest.mark.slow


@pytest.fixture
def server(network_camera):
    server = network_camera()
    server.start()
    return server


def until(frames: Iterator[Frame], kind: str) -> Frame:
    return next(frame for frame in frames if frame.notice is not None and frame.notice.kind == kind)


def pictures(frames: Iterator[Frame], count: int) -> list[Frame]:
    return [frame for frame, _ in zip((f for f in frames if f.image is not None), range(count), strict=False)]


def test_a_network_camera_that_restarts_comes_back_with_another_resolution_and_rate(server) -> None:
    source = LiveSource(server.url())
    try:
        frames = iter(source)
        before = pictures(frames, 5)
        assert source.size == (320, 240)
        assert all(frame.image is not None and frame.image.shape == (240, 320, 3) for frame in before)
        server.stop()
        lost = until(frames, "stream_lost")
        assert lost.notice is not None
        assert lost.time_s - lost.notice.time_s < 10
        server.start(640, 480, fps=8)
        back = until(frames, "stream_back")
        assert back.image is not None and back.image.shape == (480, 640, 3)
        assert source.size == (640, 480)
        assert back.time_s > lost.time_s > before[-1].time_s
        assert back.index > before[-1].index
        changed = until(frames, "stream_changed")
        assert changed.notice is not None and changed.notice.reason.startswith("rate 25.0 Hz is now ")
        assert source.fps == pytest.approx(8, rel=0.2)
    finally:
        source.close()


def test_a_network_camera_that_freezes_is_noticed_and_followed_again(server) -> None:
    source = LiveSource(server.url())
    try:
        frames = iter(source)
        pictures(frames, 5)
        server.signal(signal.SIGSTOP)
        lost = until(frames, "stream_lost")
        assert lost.image is None
        assert next(frames).image is None  # the station's clock goes on meanwhile
        server.signal(signal.SIGCONT)
        assert until(frames, "stream_back").image is not None
    finally:
        source.close()


def test_credentials_open_the_camera_and_are_shown_nowhere(network_camera) -> None:
    server = network_camera("admin", "pa:ss")
    server.start()
    source = LiveSource(server.url("admin:pa%3Ass@"))
    assert source.name == server.url("***@")
    assert source.capture_pid is not None
    with open(f"/proc/{source.capture_pid}/cmdline") as file:
        assert "ss" not in file.read().split("capture_process")[-1]
    assert pictures(iter(source), 2)
    source.close()
    with pytest.raises(SourceError) as caught:
        LiveSource(server.url("admin:guessed@"))
    assert "guessed" not in str(caught.value)


def test_a_camera_that_does_not_answer_is_told_at_the_start() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(SourceError) as caught:
            LiveSource(f"rtsp://127.0.0.1:{port}/camera")
        assert "cannot open" in str(caught.value)
    assert (
        os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS") is None
    )  # what FFmpeg needs is set in the capture process only
