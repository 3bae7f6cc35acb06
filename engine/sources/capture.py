"""Cameras and network streams, read with OpenCV. Read them through `live.LiveSource`: a driver may hang."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import cv2

from engine.errors import SourceError
from engine.sources.base import Frame
from engine.sources.names import without_credentials

OPEN_TIMEOUT_MS = 8000
READ_TIMEOUT_MS = 5000
_DEFAULT_FPS = 30.0


class Camera:
    """A local camera by index or device path, or a stream by URL. Raises SourceError where it cannot be opened.

    Iteration ends with SourceError when a read fails: whoever wants it back opens it again.
    """

    live = True
    layout = None
    duration_s = None
    dropped = 0

    def __init__(self, address: int | str) -> None:
        self.name = f"camera {address}" if isinstance(address, int) else without_credentials(address)
        self._capture = _open(address)
        if not self._capture.isOpened():
            raise SourceError(
                f"cannot open {self.name}",
                expected="a stream that answers" if _is_url(address) else "a camera that is plugged in and free",
                found="no answer" if _is_url(address) else "none",
                next_step="Check address, user, password and network."
                if _is_url(address)
                else "Check the plug, the number (0 is the first) and that no other program holds it.",
            )
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 1 <= fps <= 240 else _DEFAULT_FPS
        self.size = (
            int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )

    def __iter__(self) -> Iterator[Frame]:
        index, first_s = 0, 0.0
        while self._capture.grab():
            ok, image = self._capture.retrieve()
            now_s = time.monotonic()
            first_s = first_s or now_s
            # A stream's own timestamps jump when a server restarts; ours, taken after the read, never do.
            yield Frame(index, now_s - first_s, image if ok else None, None, now_s)  # type: ignore[arg-type]
            index += 1
        raise SourceError(f"{self.name} stopped sending", next_step="Check the plug and the network.")

    def close(self) -> None:
        self._capture.release()


def _is_url(address: int | str) -> bool:
    return isinstance(address, str) and "://" in address


def _open(address: int | str) -> cv2.VideoCapture:
    if _is_url(address):
        # TCP: over UDP a lost packet is a torn picture. No buffer: the newest frame is the one that counts.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay")
        options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        return cv2.VideoCapture(str(address), cv2.CAP_FFMPEG, options)
    back_end = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
    capture = cv2.VideoCapture(address, back_end)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # some back ends ignore it, hence the process that drains
    return capture
