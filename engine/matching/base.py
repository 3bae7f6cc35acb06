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
    at_work: float
    """Smoothed belief in having been at work, wherever."""
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
    """Probability of being within ±0.5 s of the mode, as often as it has been found right; off task or idle: belief in that."""
    status: Literal["on_task", "paused", "off_task", "idle", "lost"]
    eta_s: float | None
    """Seconds to the end of the cycle at the present rate; None when not on task."""
    delayed: Delayed | None = None
    """None while nothing has been seen yet."""


class Matcher(Protocol):
    def reset(self) -> None: ...

    def step(
        self, embedding: NDArray[np.float32] | None, dt_s: float, pose: NDArray[np.floating] | None = None
    ) -> Match:
        """One tick. `embedding` (D,), unit length, or None where nobody was seen; `dt_s` since the previous tick; `pose`
        (K, 3) in the reference's layout, where there is one: it tells whether the operator has turned away."""
        ...

    def remaining(self) -> list[Delayed]:
        """At the end of a stream: what `Match.delayed` would have told of the ticks up to the last one."""
        ...

    def state(self) -> dict[str, NDArray[Any]]: ...

    def restore(self, state: dict[str, NDArray[Any]]) -> None: ...
