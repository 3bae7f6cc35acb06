"""A video file: every frame in order, with its presentation time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from engine.errors import SourceError
from engine.sources.base import Frame

_DEFAULT_FPS = 30.0
_MAX_GAP_S = 10.0
"""A presentation time that goes back, or forward by more than this, is the file's mistake."""
_GIVE_UP_AFTER = 50
"""Frames in a row that cannot be read, after which the rest of the file is taken for lost."""


class VideoFile:
    """Raises SourceError for a file that is missing, is no video, or holds no frame.

    A frame that cannot be decoded is yielded without an image; the ones after it follow.
    """

    live = False
    layout = None
    dropped = 0

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        if not path.is_file():
            raise SourceError(f"no video at {path}", expected="a file", found="none", next_step="Check the path.")
        capture = self._open()
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 1 <= fps <= 1000 else _DEFAULT_FPS
        self._count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.duration_s = self._count / self.fps if self._count > 0 else None
        ok, image = capture.read()
        capture.release()
        if not ok:
            raise SourceError(
                f"cannot read the video {path}",
                expected="at least one frame",
                found="none that can be decoded",
                next_step="Convert it, for example: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        self.size = (image.shape[1], image.shape[0])

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise SourceError(
                f"cannot open the video {self._path}",
                expected="a video that FFmpeg can read",
                found=f"{self._path.stat().st_size} bytes of something else",
                next_step="Convert it, for example: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        return capture

    def __len__(self) -> int:
        """The container's word for its number of frames; 0 if it does not say."""
        return max(0, self._count)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start_s: float = 0.0) -> Iterator[Frame]:
        """Frames from presentation time `start_s` on."""
        capture = self._open()
        try:
            index = int(start_s * self.fps)
            if index:
                capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            clock = _PresentationClock(self.fps, index)
            unread: list[Frame] = []
            while len(unread) < _GIVE_UP_AFTER:
                if capture.grab():
                    time_s = clock.at(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                    ok, image = capture.retrieve()
                    yield from unread
                    unread.clear()
                    yield Frame(index, time_s, image if ok else None, None, time.monotonic())  # type: ignore[arg-type]
                elif index < self._count - 1:
                    # Step over what cannot be read, but tell of it only once something follows: a container's count is
                    # often too high, and a file that was cut off just ends.
                    unread.append(Frame(index, clock.at(None), None, None, time.monotonic()))
                    capture.set(cv2.CAP_PROP_POS_FRAMES, index + 1)
                else:
                    return
                index += 1
        finally:
            capture.release()

    def close(self) -> None:
        """Nothing is held between iterations."""


class _PresentationClock:
    """Increasing times from a container's stamps: where those repeat or jump, the nominal rate is the better clock."""

    def __init__(self, fps: float, first_index: int) -> None:
        self._step_s = 1 / fps
        self._time_s = (first_index - 1) / fps
        self._origin_s: float | None = 0.0 if first_index else None
        """The stamp of time 0; None until the first stamp has come."""

    def at(self, stamp_s: float | None) -> float:
        """Time of the next frame, given its stamp."""
        if self._origin_s is None and stamp_s is not None:
            self._origin_s = stamp_s - self._time_s - self._step_s
        if stamp_s is not None and 0 < stamp_s - (self._origin_s or 0.0) - self._time_s < _MAX_GAP_S:
            self._time_s = stamp_s - (self._origin_s or 0.0)
        else:
            self._time_s += self._step_s
            if stamp_s is not None:
                self._origin_s = stamp_s - self._time_s
        return self._time_s
