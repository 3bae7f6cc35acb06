"""What the matcher says at each tick, and what it asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Delayed:
    """Where the work was `lag_s` ago, judged with what has been seen since: steadier than the live answer, for alarms."""

    position_s: float
    phase: int
    confidence: float
    """Smoothed belief within ±0.5 s of the mode."""
    lag_s: float


@dataclass(frozen=True)
class Match:
    """The matcher's answer for one tick."""

    position_s: float
    """Mode of the posterior, seconds on the reference's clock."""
    phase: int
    """Index into the reference's phases of the position (meaningful while on task or paused)."""
    phase_progress: float
    cycle_progress: float
    rate: float
    """Live speed over reference speed."""
    confidence: float
    """Posterior mass within ±0.5 s of the mode."""
    status: Literal["on_task", "paused", "off_task", "idle", "lost"]
    eta_s: float | None
    """Seconds to the end of the cycle at the present rate; None when not on task."""
    delayed: Delayed | None = None
    """None while nothing has been seen yet."""


class Matcher(Protocol):
    def reset(self) -> None: ...

    def step(self, embedding: NDArray[np.float32] | None, dt_s: float) -> Match:
        """One tick. `embedding` (D,), unit length, or None where nobody was seen; `dt_s` since the previous tick."""
        ...

    def state(self) -> dict[str, NDArray[Any]]: ...

    def restore(self, state: dict[str, NDArray[Any]]) -> None: ...
