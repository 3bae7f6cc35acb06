"""Frames into a video file: complete under its own name, or not there at all."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError

# What the OpenCV wheels can encode by themselves, for each container.
_CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


class VideoWriter:
    """A context manager. Raises SourceError where the file cannot be written, and at its end where the disk became full."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise SourceError(
                f"cannot write {path}", expected=f"a name ending in {', '.join(_CODECS)}", found=path.suffix
            )
        self._path, self._partial = path, path.with_name(f".{path.stem}.partial{path.suffix}")
        self._fps, self._size, self._written = fps, size, 0
        self._last: NDArray[np.uint8] | None = None
        self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size)  # type: ignore[attr-defined]
        if not self._writer.isOpened():
            raise SourceError(
                f"cannot write {path}",
                expected="a folder that exists and may be written to",
                found=str(path.parent),
                next_step="Check -o.",
            )

    def write(self, image: NDArray[np.uint8]) -> None:
        """The next frame, (H, W, 3) BGR. One of another size is scaled: FFmpeg would leave it out without a word."""
        self._writer.write(image if image.shape[1::-1] == self._size else cv2.resize(image, self._size))
        self._written += 1

    def write_at(self, time_s: float, image: NDArray[np.uint8]) -> None:
        """A frame of a stream whose frames do not come evenly: the file's rate is constant, so a picture stands until the
        next one came. Of several that fall on one frame of the file the first is kept.
        """
        place = round(time_s * self._fps)
        while self._written < place:
            self.write(image if self._last is None else self._last)
        if self._written == place:
            self.write(image)
        self._last = image

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
            return
        found = _frames_in(self._partial)
        if found < self._written:  # OpenCV says nothing of a disk that is full
            raise SourceError(
                f"{self._path} could not be written to its end",
                expected=f"{self._written} frames",
                found="a file that is cut off",
                next_step=f"Free the disk. What there is lies in {self._partial}.",
            )
        self._partial.replace(self._path)


def _frames_in(path: Path) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()
