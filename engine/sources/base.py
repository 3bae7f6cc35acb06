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
class StreamNotice:
    """Something happened to the stream itself. Rides on the first frame after it was noticed."""

    kind: Literal["stream_lost", "stream_back", "stream_changed"]
    reason: str
    """One line for people; never holds credentials."""
    time_s: float
    """When it happened, on the clock of `Frame.time_s` (a loss is noticed up to 2 s later)."""


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
    notice: StreamNotice | None = None
    """Live sources only. While a stream is lost, frames without an image keep coming, so that clocks go on."""
    lost: bool = False
    """The stream counts as lost at this frame."""


@runtime_checkable
class Source(Protocol):
    """Opened by its constructor (raises SourceError), iterated once, closed."""

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool:
        """A camera does not wait: default policy `freshest`. A file does: default policy `every`."""
        ...

    @property
    def fps(self) -> float:
        """Nominal frame rate, Hz."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    @property
    def layout(self) -> str | None:
        """Layout of `Frame.pose` for recorded poses, else None."""
        ...

    @property
    def duration_s(self) -> float | None:
        """How long a recording is, None where nobody knows."""
        ...

    @property
    def dropped(self) -> int:
        """Frames captured so far that nobody was given, because a newer one was there."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...
