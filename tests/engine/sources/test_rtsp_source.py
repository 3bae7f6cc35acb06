"""Network cameras, against a real RTSP server (GStreamer's) that is stopped, restarted, frozen and changed."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import SourceError
from engine.sources.base import Frame
from engine.sources.live import LiveSource

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
"""The system's: GStreamer's bindings live there."""


def _have_gstreamer() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not _have_gstreamer(),
        reason="no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi",
    ),
]


class Server:
    """One camera on the network."""

    def __init__(self, *account: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._account = account
        self._process: subprocess.Popen[str] | None = None

    def start(self, width: int = 320, height: int = 240, fps: int = 25) -> None:
        self._process = subprocess.Popen(
            [PYTHON, str(SERVER), str(self.port), str(width), str(height), str(fps), *self._account],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def url(self, account: str = "") -> str:
        return f"rtsp://{account}127.0.0.1:{self.port}/camera"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


def until(frames: Iterator[Frame], kind: str) -> Frame:
    return next(frame for frame in frames if frame.notice is not None and frame.notice.kind == kind)


def pictures(frames: Iterator[Frame], count: int) -> list[Frame]:
    return [frame for frame, _ in zip((f for f in frames if f.image is not None), range(count), strict=False)]


def test_a_network_camera_that_restarts_comes_back_with_another_resolution(server: Server) -> None:
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
        server.start(640, 480)
        back = until(frames, "stream_back")
        assert back.image is not None and back.image.shape == (480, 640, 3)
        assert source.size == (640, 480)
        assert back.time_s > lost.time_s > before[-1].time_s
        assert back.index > before[-1].index
    finally:
        source.close()


def test_a_network_camera_that_freezes_is_noticed_and_followed_again(server: Server) -> None:
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


def test_credentials_open_the_camera_and_are_shown_nowhere() -> None:
    server = Server("admin", "pa:ss")
    server.start()
    try:
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
    finally:
        server.stop()


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
