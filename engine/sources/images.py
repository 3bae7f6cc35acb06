"""A folder of images, in the order people sort them (frame2 before frame10)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError
from engine.sources.base import Frame

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class ImageFolder:
    """Raises SourceError for a folder that is missing or holds no readable image.

    An image that cannot be decoded is yielded as a frame without an image.
    """

    live = False
    layout = None
    dropped = 0

    def __init__(self, folder: Path, fps: float = 30.0) -> None:
        self.name, self.fps = folder.name or str(folder), fps
        if not folder.is_dir():
            raise SourceError(f"no folder at {folder}", next_step="Check the path.")
        self._paths = sorted((p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES), key=_natural)
        first = next((image for image in map(_read, self._paths) if image is not None), None)
        if first is None:
            raise SourceError(
                f"no images in {folder}",
                expected=f"files ending in {', '.join(SUFFIXES)}",
                found=f"{len(self._paths)} of them, none readable" if self._paths else "none",
                next_step="Check the folder.",
            )
        self.duration_s = len(self._paths) / fps
        self.size = (first.shape[1], first.shape[0])

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start_s: float = 0.0) -> Iterator[Frame]:
        """Images from time `start_s` on."""
        for index in range(int(start_s * self.fps), len(self._paths)):
            yield Frame(index, index / self.fps, _read(self._paths[index]), None, time.monotonic())

    def close(self) -> None:
        """Nothing is held between iterations."""


def _read(path: Path) -> NDArray[np.uint8] | None:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name.lower())]
