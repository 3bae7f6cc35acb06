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
    """A context manager; `write` takes (H, W, 3) BGR. Raises SourceError where the file cannot be written."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise SourceError(
                f"cannot write {path}", expected=f"a name ending in {', '.join(_CODECS)}", found=path.suffix
            )
        self._path, self._partial = path, path.with_name(f".{path.stem}.partial{path.suffix}")
        self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size)  # type: ignore[attr-defined]
        if not self._writer.isOpened():
            raise SourceError(
                f"cannot write {path}",
                expected="a folder that exists and may be written to",
                found=str(path.parent),
                next_step="Check -o.",
            )

    def write(self, image: NDArray[np.uint8]) -> None:
        self._writer.write(image)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)
