"""Frames between the capture and the pose stage of one machine, in named shared memory: written once, read once.

The slots are those of `sources.frame_memory`; here is the name, so that a process started elsewhere finds them.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from engine.links.items import Item
from engine.sources.frame_memory import Captured, FrameReader, FrameWriter

FOLDER = Path("/dev/shm")


class SharedFrames:
    """One capture process's memory; its name is that of its stream."""

    def __init__(self, name: str, descriptor: int, writes: bool) -> None:
        self.name = name
        self._end: Any = FrameWriter(descriptor) if writes else FrameReader(descriptor)

    @staticmethod
    def create(station: str) -> SharedFrames | None:
        """Memory of a new stream; what earlier capture processes of this station left behind is removed.

        None where the system has no named shared memory: frames then travel in messages.
        """
        if not FOLDER.is_dir():
            return None
        SharedFrames.remove_all(station)
        name = f"{_prefix(station)}{uuid.uuid4().hex[:12]}"
        return SharedFrames(name, os.open(FOLDER / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), writes=True)

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
            return SharedFrames(name, os.open(FOLDER / name, os.O_RDWR | os.O_NOFOLLOW), writes=False)
        except OSError:
            return None

    def remove(self) -> None:
        """Nobody can attach any more, and nothing is left when the last one that has lets go."""
        with contextlib.suppress(OSError):
            (FOLDER / self.name).unlink()

    def write(self, item: Item, image: NDArray[Any]) -> None:
        self._end.write(Captured(item.index, item.time_s, item.captured_s, image))

    def newest(self, item: Item) -> tuple[Item, NDArray[Any] | None] | None:
        """The newest picture, which may be newer than `item` says; None if it was taken already."""
        captured = self._end.newest()
        if captured is None:
            return None
        wall_s = item.wall_s + captured.captured_s - item.captured_s
        newer = msgspec.structs.replace(
            item, index=captured.index, time_s=captured.time_s, captured_s=captured.captured_s, wall_s=wall_s
        )
        return newer, captured.image


def _prefix(station: str = "") -> str:
    """`+` is in no station's name, so that `bench` does not sweep away what is `bench-1`'s."""
    return f"lockstep-{os.getuid()}+{station}{'+' if station else ''}"
