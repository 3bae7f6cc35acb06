"""Which way the operator faces, and whether anybody at this work ever faces so: a cue that embeddings do not give.

    pose ─shoulders→ signed width ÷ the person's own full width ≈ cos(turn) ─against the reference's range→ turned away?

Seen from behind a body's joints make another, plausible pose, and the embedding likens it to some moment of the work. But the left
shoulder is then where the right one was. So somebody whose shoulders leave the range that the reference shows is turned
away. Nothing is said of people who never faced as the reference does (another side of the camera): they are judged by likeness alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.reference import Reference
from models import skeleton

SEEN = 0.3
"""Confidence from which on a shoulder counts."""
BEYOND = 0.4
"""Farther outside the reference's range than this, as a share of the full width, is turned away (0.4 ≈ from 55° on, for work
that faces the camera)."""
AGREED_S = 1.0
"""Somebody must have worked facing as the reference does for this long before turning means anything."""
LEAP_PER_S = 12.0
"""Nobody turns so fast that this cosine changes by more per second: left and right were mixed up by the pose estimator, which is
taken to go on until the shoulders are back in range."""
WIDER_S, NARROWER_S = 0.3, 60.0
"""A projected width is never larger than the true one: it is learned quickly and forgotten slowly."""


class Facing:
    """Follows one operator's facing. Layouts without shoulders, and references without poses, give no cue."""

    def __init__(self, reference: Reference) -> None:
        joints = skeleton.layout(reference.info.layout).joints
        self._pair = ("left_shoulder", "right_shoulder")
        self._indices = tuple(joints.index(name) for name in self._pair if name in joints)
        self._low, self._high = _range(reference.poses, self._indices, reference.info.rate_hz)
        self.reset()

    def reset(self) -> None:
        self._width = 0.0
        self._agreed_s = 0.0
        self._facing = 0.0
        self._mixed_up = False

    def turned(self, pose: NDArray[np.floating] | None, dt_s: float, at_work: bool) -> bool:
        """True if the operator of this pose (K, 3) has turned to where nobody at this work looks.

        `at_work`: they were so far, which is when their own facing is learned.
        """
        if pose is None or not self._low <= self._high:
            return False
        left, right = (pose[i] for i in self._indices)
        if min(left[2], right[2]) < SEEN:
            return False
        span = float(left[0] - right[0])
        wide = abs(span)
        memory_s = WIDER_S if wide > self._width else NARROWER_S
        self._width = (
            wide if self._width == 0.0 else self._width + (1 - math.exp(-dt_s / memory_s)) * (wide - self._width)
        )
        facing = span / max(self._width, 1e-6)
        outside = not self._low - BEYOND <= facing <= self._high + BEYOND
        self._mixed_up = outside and (self._mixed_up or abs(facing - self._facing) > LEAP_PER_S * dt_s)
        self._facing = facing
        if at_work and not outside:
            self._agreed_s = min(self._agreed_s + dt_s, AGREED_S)
        return outside and not self._mixed_up and self._agreed_s >= AGREED_S

    def state(self) -> dict[str, NDArray[Any]]:
        return {"facing": np.array([self._width, self._agreed_s, self._facing, float(self._mixed_up)])}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._width, self._agreed_s, self._facing = map(float, state["facing"][:3])
        self._mixed_up = bool(state["facing"][3])


def _range(poses: NDArray[np.floating], shoulders: tuple[int, ...], rate_hz: float) -> tuple[float, float]:
    """Between which shares of the full width the shoulders are while the work is shown; empty (1, 0) if that cannot be told.

    The estimator mixes up left and right of whoever shows the work, too: where they leap to the other side, they do not count.
    """
    if len(shoulders) < 2 or not len(poses):
        return 1.0, 0.0
    left, right = poses[:, shoulders[0]], poses[:, shoulders[1]]
    seen = np.minimum(left[:, 2], right[:, 2]) >= SEEN
    span = left[:, 0] - right[:, 0]
    if seen.sum() < 0.5 * len(poses) or not np.abs(span[seen]).max() > 0:
        return 1.0, 0.0
    facing = span / np.quantile(np.abs(span[seen]), 0.9)
    leaps = (np.abs(np.diff(facing, prepend=facing[0])) > LEAP_PER_S / rate_hz) & seen & np.roll(seen, 1)
    stretch, mostly = np.cumsum(leaps), np.median(facing[seen])
    for number in np.unique(stretch[seen]):
        of_it = seen & (stretch == number)
        if np.median(facing[of_it]) * mostly < 0:
            seen = seen & ~of_it
    return float(np.quantile(facing[seen], 0.02)), float(np.quantile(facing[seen], 0.98))
