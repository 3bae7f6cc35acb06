"""Whether the operator's body stands still: a cue for pauses that comes sooner, and is surer, than a belief that stays where it is.

    poses of the last 0.6 s ─halves' means→ farthest move of any joint ÷ size of the body ─┬► nats for a pause
                                                                                           ├► how much of a tick is news
                                                                                           └► do they rest between cycles?

Two means of `HALF_S` each are compared, so an estimator's jitter, which changes from frame to frame, hardly counts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled

SURE = 0.5
"""Confidence from which on a joint counts: one that is hidden is guessed anew in every frame."""
HALF_S = 0.3
STILL, MOVING = 0.028, 0.05
"""Moves as shares of the body's size (diagonal of the box around its joints). Tuning stations through the pose estimator: four in five
ticks of a pause stay below the first, nine in ten of those at work are above the second."""
STANDS_S, MOVES_S = 8.0, 8.0
"""Nats that a second of stillness says against work that goes on, and a second of movement against a pause. Of being at work at all
neither says anything: whoever waits for the next part stands as still as whoever pauses."""
BUSY = 0.07
"""Whoever moves this much is not paused, whatever the work resembles. False pauses an hour, 120 stations: 4.0 → 2.6; from 0.05 on 2.3, but
through the pose estimator one pause of seven is no longer told."""
REST_S = 0.5
"""Whoever moves less than `MOVING` for this long rests. Where a repeated movement turns it is still for a moment only."""
SAME, NEW = 0.015, 0.03
"""Moves from which on a tick begins to say something new about where the work is, and is all new."""
SAID_AGAIN, SAID_OFTEN_S = 0.1, 0.5
"""What a tick of a body that has just come to rest is worth, beside one that moves, and how fast that fades: it shows the same pose once
more, and its embedding drifts as the network's window forgets how the pose was come to (docs/decisions/010)."""


class Stillness:
    """The last poses of one operator, in a ring that is allocated once."""

    def __init__(self, joints: int, rate_hz: float) -> None:
        self._ring = np.zeros((2 * max(1, round(HALF_S * rate_hz)), joints, 3), np.float32)
        self._period_s = 1.0 / rate_hz
        self.reset()
        _farthest(self._ring, self._next, SURE)  # compiled, or loaded, before the first live tick needs it

    def reset(self) -> None:
        """Somebody else may be there; they are thought to have just rested."""
        self._forget()
        self._since_rest = 0

    def _forget(self) -> None:
        self._next = self._filled = self._same = self._resting = 0

    @property
    def since_rest_s(self) -> float:
        """Time since somebody last rested, in ticks that were seen or not."""
        return self._since_rest * self._period_s

    def step(self, pose: NDArray[np.floating] | None) -> float | None:
        """The next pose (K, 3) → the farthest move of a joint, as a share of the body's size; None while nothing can be said."""
        self._since_rest += 1
        if pose is None or pose.shape != self._ring.shape[1:] or not (pose[:, 2] > 0).any():
            self._forget()
            return None
        self._ring[self._next] = pose
        self._next = (self._next + 1) % len(self._ring)
        self._filled = min(self._filled + 1, len(self._ring))
        if self._filled < len(self._ring):
            return None
        move = float(_farthest(self._ring, self._next, SURE))
        self._same = self._same + 1 if 0.0 <= move < SAME else 0
        self._resting = self._resting + 1 if 0.0 <= move < MOVING else 0
        if self._resting * self._period_s >= REST_S:
            self._since_rest = 0
        return None if move < 0.0 else move

    def news(self, move: float | None) -> float:
        """Share of the newest tick's evidence that earlier ticks have not given (0–1); `move` as `step` gave it."""
        again = SAID_AGAIN * math.exp(-self._same * self._period_s / SAID_OFTEN_S)
        return 1.0 if move is None else float(np.interp(move, (SAME, NEW), (again, 1.0)))

    def state(self) -> dict[str, NDArray[Any]]:
        counts = [self._next, self._filled, self._same, self._resting, self._since_rest]
        return {"still_ring": self._ring.copy(), "still_at": np.array(counts)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._ring[:] = state["still_ring"]
        self._next, self._filled, self._same, self._resting, self._since_rest = map(int, state["still_at"])


def moving(poses: NDArray[np.floating], rate_hz: float) -> NDArray[np.float32]:
    """How surely the work itself moves at each position of a reference (N,), 0–1, from its poses (N, K, 3).

    Where it stands still for a look at the part, whoever does so is not paused. 1 where nothing is known.
    """
    stillness = Stillness(poses.shape[1], rate_hz)
    moves = [stillness.step(pose) for pose in poses]
    return np.array([1.0 if m is None else np.interp(m, (STILL, MOVING), (0.0, 1.0)) for m in moves], np.float32)


def pause_nats_per_s(move: float | None) -> float:
    """Evidence of such a move for a pause against work that goes on, from −`MOVES_S` to `STANDS_S`; 0 of what is not known."""
    return 0.0 if move is None else float(np.interp(move, (STILL, MOVING), (STANDS_S, -MOVES_S)))


@compiled()
def _farthest(ring, oldest, sure):
    """Farthest move of any joint that was surely seen throughout, between the means of the older and the newer half of `ring`
    (2H, K, 3), as a share of the body's size; −1 where there is none."""
    ticks, joints, _ = ring.shape
    half = ticks // 2
    farthest, left, right, top, bottom = -1.0, np.inf, -np.inf, np.inf, -np.inf
    for k in range(joints):
        before_x = before_y = now_x = now_y = 0.0
        seen = True
        for t in range(ticks):
            x, y, confidence = ring[(oldest + t) % ticks, k]
            seen = seen and confidence >= sure
            if t < half:
                before_x, before_y = before_x + x, before_y + y
            else:
                now_x, now_y = now_x + x, now_y + y
        if not seen:
            continue
        now_x, now_y = now_x / half, now_y / half
        farthest = max(farthest, np.hypot(now_x - before_x / half, now_y - before_y / half))
        left, right, top, bottom = min(left, now_x), max(right, now_x), min(top, now_y), max(bottom, now_y)
    size = np.hypot(right - left, bottom - top) if farthest >= 0.0 else 0.0
    return farthest / size if size > 0.0 else -1.0
