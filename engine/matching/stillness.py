"""Whether the operator's body stands still: a cue for pauses that comes sooner, and is surer, than a belief that stays where it is.

    poses of the last 0.6 s ─halves' means→ farthest move of any joint ÷ size of the body ─► nats for a pause

Two means of `HALF_S` each are compared, so an estimator's jitter, which changes from frame to frame, hardly counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SURE = 0.5
"""Confidence from which on a joint counts: one that is hidden is guessed anew in every frame."""
HALF_S = 0.3
STILL, MOVING = 0.028, 0.05
"""Moves as shares of the body's size (diagonal of the box around its joints). Tuning stations through the pose estimator: four in five
ticks of a pause stay below the first, nine in ten of those at work are above the second."""
FOR_S, AGAINST_S = 4.0, 8.0
"""Nats that a second of stillness says for a pause, and a second of movement against one: work has its still moments, a pause no
movement."""


class Stillness:
    """The last poses of one operator, in a ring that is allocated once."""

    def __init__(self, joints: int, rate_hz: float) -> None:
        self._half = max(1, round(HALF_S * rate_hz))
        self._ring = np.zeros((2 * self._half, joints, 3), np.float32)
        self._order = np.arange(2 * self._half)
        self.reset()

    def reset(self) -> None:
        self._next = self._filled = 0

    def nats_per_s(self, pose: NDArray[np.floating] | None) -> float:
        """The next pose (K, 3) → evidence for a pause, from −`AGAINST_S` to `FOR_S`; 0 while nothing can be said."""
        if pose is None or pose.shape != self._ring.shape[1:] or not (pose[:, 2] > 0).any():
            self.reset()
            return 0.0
        self._ring[self._next] = pose
        self._next = (self._next + 1) % len(self._ring)
        self._filled = min(self._filled + 1, len(self._ring))
        if self._filled < len(self._ring):
            return 0.0
        in_time = self._ring[(self._order + self._next) % len(self._ring)]
        seen = (in_time[:, :, 2] >= SURE).all(axis=0)
        if not seen.any():
            return 0.0
        before, now = in_time[: self._half, seen, :2].mean(axis=0), in_time[self._half :, seen, :2].mean(axis=0)
        size = float(np.linalg.norm(np.ptp(now, axis=0)))
        if size <= 0.0:
            return 0.0
        move = float(np.linalg.norm(now - before, axis=1).max()) / size
        return float(np.interp(move, (STILL, MOVING), (FOR_S, -AGAINST_S)))

    def state(self) -> dict[str, NDArray[Any]]:
        return {"still_ring": self._ring.copy(), "still_at": np.array([self._next, self._filled])}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._ring[:] = state["still_ring"]
        self._next, self._filled = map(int, state["still_at"])
