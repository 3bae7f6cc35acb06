"""Frames between processes: a file in memory with three slots, of which the newest complete one counts.

No locks: a writer may be killed at any instruction. A slot's sequence number is odd while it is written and even when it
is complete; a reader copies, then looks whether the number is still the same (a seqlock).
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLOTS = 3
_HEADER = 4096
_SLOT = np.dtype(
    [("sequence", "u8"), ("index", "i8"), ("time_s", "f8"), ("captured_s", "f8"), ("height", "u4"), ("width", "u4")]
)


@dataclass(frozen=True)
class Captured:
    """A frame as it came out of the capture process; `image` is None where it could not be decoded."""

    index: int
    time_s: float
    captured_s: float
    image: NDArray[np.uint8] | None


def anonymous_file() -> int:
    """A file descriptor of a file in memory that has no name, so that no crash leaves anything behind."""
    if sys.platform.startswith("linux"):
        return os.memfd_create("lockstep-frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class _Memory:
    """Both ends: the slots' headers, and the slots themselves, mapped anew when the file has grown."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._remap(0)

    def _remap(self, capacity: int) -> None:
        size = _HEADER + SLOTS * capacity
        if os.fstat(self._descriptor).st_size < size:
            os.ftruncate(self._descriptor, size)
        # The old map is dropped with the arrays that look into it; it cannot be closed before.
        self._map = mmap.mmap(self._descriptor, size)
        self._headers = np.frombuffer(self._map, _SLOT, SLOTS)
        self._capacity_cell = np.frombuffer(self._map, "u8", 1, _HEADER - 8)
        self._capacity = capacity

    def _pixels(self, slot: int, height: int, width: int) -> NDArray[np.uint8]:
        assert self._map is not None
        start = _HEADER + slot * self._capacity
        return np.frombuffer(self._map, np.uint8, height * width * 3, start).reshape(height, width, 3)


class FrameWriter(_Memory):
    """The capture process's end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        # Who takes over from a writer that died goes on counting where that one stopped, perhaps in the middle of a slot.
        self._written = int(self._headers["sequence"].max()) // 2
        if self._capacity_cell[0]:
            self._remap(int(self._capacity_cell[0]))

    def write(self, frame: Captured) -> None:
        """Publish a frame: one copy. The memory grows when frames do."""
        needed = 0 if frame.image is None else frame.image.nbytes
        if needed > self._capacity:
            self._headers["sequence"] = 0  # what the slots held is not where the reader would look for it any more
            self._remap(needed)
            self._capacity_cell[0] = needed
        slot = self._written % SLOTS
        header = self._headers[slot : slot + 1]
        header["sequence"] = 2 * self._written + 1
        header["index"], header["time_s"], header["captured_s"] = frame.index, frame.time_s, frame.captured_s
        if frame.image is None:
            header["height"] = header["width"] = 0
        else:
            height, width = frame.image.shape[:2]
            header["height"], header["width"] = height, width
            np.copyto(self._pixels(slot, height, width), frame.image)
        header["sequence"] = 2 * self._written + 2
        self._written += 1


class FrameReader(_Memory):
    """The station's end. What was there before it was made is no news to it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._seen = int(self._headers["sequence"].max())

    def has_newer(self) -> bool:
        """Whether `newest` would return a frame."""
        sequences = self._headers["sequence"]
        return bool(((sequences % 2 == 0) & (sequences > self._seen)).any())

    def newest(self, copy: bool = True) -> Captured | None:
        """The newest complete frame, copied out once; None if there is none newer than the last one returned.

        Without `copy` the pixels stay where they are, and may be written over once two more frames come.
        """
        while True:
            sequences = self._headers["sequence"].copy()
            sequences[sequences % 2 == 1] = 0
            slot = int(sequences.argmax())
            sequence = int(sequences[slot])
            if sequence <= self._seen:
                return None
            captured = self._read(slot, sequence, copy)
            if captured is not None:  # else it was written over meanwhile: take the newer one
                self._seen = sequence
                return captured

    def at(self, index: int) -> Captured | None:
        """The frame of that index, copied out; None if newer ones have taken its place."""
        sequences, indices = self._headers["sequence"].copy(), self._headers["index"].copy()
        here = np.flatnonzero((indices == index) & (sequences % 2 == 0) & (sequences > 0))
        if not len(here):
            return None
        slot = int(here[sequences[here].argmax()])
        return self._read(slot, int(sequences[slot]), copy=True)

    def _read(self, slot: int, sequence: int, copy: bool) -> Captured | None:
        """What is in a slot; None if that changed while it was read."""
        capacity = int(self._capacity_cell[0])
        if capacity > self._capacity:
            self._remap(capacity)
        header = self._headers[slot].copy()
        height, width = int(header["height"]), int(header["width"])
        if height * width * 3 > self._capacity:
            return None  # the writer is growing the memory at this moment
        image = self._pixels(slot, height, width) if height else None
        if image is not None and copy:
            image = image.copy()
        if int(self._headers["sequence"][slot]) != sequence:
            return None
        return Captured(int(header["index"]), float(header["time_s"]), float(header["captured_s"]), image)
