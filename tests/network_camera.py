"""A camera on the network for tests: a real RTSP server (GStreamer's), to be stopped, restarted, frozen and changed."""

import socket
import subprocess
from pathlib import Path

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
"""The system's: GStreamer's bindings live there."""
PACKAGES = "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi"


def have_gstreamer() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


class NetworkCamera:
    """Not there until `start`. `account`: user and password that it asks for."""

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
