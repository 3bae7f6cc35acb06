"""The protocol of all sources: iterate frames, each stamped with a monotonic capture time after the read returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Policy = Literal["freshest", "every"]
"""`freshest`: live, the newest frame wins and drops are counted. `every`: deterministic, nothing is dropped."""


@dataclass(frozen=True)
class Frame:
    """One picture (or one recorded pose) and when it was taken."""

    index: int
    """Counts frames of the source from 0; dropped frames leave gaps."""
    time_s: float
    """Capture time, seconds, monotonic, 0 at the first frame. Of a file: its presentation time."""
    image: NDArray[np.uint8] | None
    """(H, W, 3) BGR; None where the source yields poses, or where this frame could not be decoded."""
    pose: NDArray[np.float32] | None = None
    """(K, 3) in the source's `layout`, for sources of recorded poses."""
    captured_monotonic_s: float = 0.0
    """`time.monotonic()` just after the read returned: latency is measured from here."""
    truth: Any = None
    """Ground truth where the source knows it (rendered station), else None."""


@runtime_checkable
class Source(Protocol):
    """Opened by its constructor (raises SourceError), iterated once, closed."""

    name: str
    live: bool
    """A camera does not wait: default policy `freshest`. A file does: default policy `every`."""
    fps: float
    """Nominal frame rate, Hz."""
    size: tuple[int, int]
    """Width and height in pixels."""
    layout: str | None
    """Layout of `Frame.pose` for recorded poses, else None."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...
