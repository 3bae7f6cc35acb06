"""Frames between a camera's capture process and the pose stage of one machine, in named shared memory.

capture process ─picture→ memory ─picture→ pose stage
             └─bell→ capture stage ─"there is one"→ ┘

The slots are those of `sources.frame_memory`; here is the name, so that a process started elsewhere finds them.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.sources.frame_memory import FrameReader

FOLDER = Path("/dev/shm")


class SharedFrames:
    """Memory that has a name. The capture process writes into it, the pose stage takes pictures out of it, each one copy."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name, self.descriptor = name, descriptor
        self._reader = FrameReader(descriptor)

    @staticmethod
    def create(station: str) -> SharedFrames | None:
        """Memory of a new stream; what earlier capture processes of this station left behind is removed.

        None where the system has no named shared memory: frames then travel in messages.
        """
        if not FOLDER.is_dir():
            return None
        SharedFrames.remove_all(station)
        name = f"{_prefix(station)}{uuid.uuid4().hex[:12]}"
        return SharedFrames(name, os.open(FOLDER / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    @staticmethod
    def remove_all(station: str) -> None:
        """What capture processes that were killed have left behind. Whoever has it open keeps it."""
        for left in FOLDER.glob(f"{_prefix(station)}*"):
            with contextlib.suppress(OSError):
                left.unlink()

    @staticmethod
    def attach(name: str) -> SharedFrames | None:
        """None where that capture process has gone, or the name is not one of ours."""
        if not name.startswith(_prefix()) or "/" in name:
            return None
        try:
            return SharedFrames(name, os.open(FOLDER / name, os.O_RDWR | os.O_NOFOLLOW))
        except OSError:
            return None

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """The picture of the frame of that index; None if newer ones have taken its place."""
        captured = self._reader.at(index)
        return None if captured is None else captured.image

    def remove(self) -> None:
        """Nobody can attach any more, and nothing is left when the last one that has lets go."""
        with contextlib.suppress(OSError):
            (FOLDER / self.name).unlink()

    def close(self) -> None:
        os.close(self.descriptor)


def _prefix(station: str = "") -> str:
    """`+` is in no station's name, so that `bench` does not sweep away what is `bench-1`'s."""
    return f"lockstep-{os.getuid()}+{station}{'+' if station else ''}"
