"""Where the work was a moment ago, in the light of what has been seen since: fixed-lag smoothing of the filter's belief.

    belief at t − lag   ×   how well each state there explains the ticks after it   →   smoothed belief

The second factor goes backward over the ticks of the lag (Rabiner 1989, eq. 24–25) over positions on and off task and idleness;
rates are summed out with the filter's own belief in them, so a tick costs O(lag · N) and not O(lag · N · K²).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.matching.forward import BACK, BACK_HERE, BACK_START, BEGIN, GIVE_UP, JUMP, LEAVE, WRAP

LAG_S = 0.4
"""Long enough for a jump to have shown itself, short enough for an alarm."""


class FixedLag:
    """Keeps the last `ticks` of the filter. All arrays are allocated once."""

    def __init__(
        self, count: int, ticks: int, furthest: int, land: NDArray[np.float32], begin: NDArray[np.float32]
    ) -> None:
        """`count` positions N; `furthest`: most positions that one tick can advance; `land`, `begin` (N,): where jumps and
        cycles begin."""
        self.ticks = max(1, ticks)
        self._land, self._begin = land, begin
        self._likelihood = np.ones((self.ticks, count), np.float32)
        self._taps = np.zeros((self.ticks, furthest + 2), np.float32)
        self._odds = np.zeros((self.ticks, 8))
        self._idle = np.zeros((self.ticks, 2))
        """Per tick: belief in idleness before it, its evidence for it."""
        self._on = np.zeros((self.ticks, count), np.float32)
        self._off = np.zeros((self.ticks, count), np.float32)
        self._explains_on, self._explains_off = np.ones(count, np.float32), np.ones(count, np.float32)
        self._scratch = np.empty(count, np.float32)
        self.reset()

    def spread(self, shifts: NDArray[np.float64]) -> NDArray[np.float32]:
        """Ticks advanced per rate (K,) → shares of 0, 1, … positions, split linearly over two (K, furthest + 2)."""
        ticks = np.arange(self._taps.shape[1])
        return np.maximum(1.0 - np.abs(ticks[None] - shifts[:, None]), 0.0).astype(np.float32)

    def reset(self) -> None:
        self._filled = self._newest = 0

    def push(
        self,
        on: NDArray[np.float32],
        off: NDArray[np.float32],
        idle: float,
        likelihood: NDArray[np.float32],
        idle_likelihood: float,
        spread: NDArray[np.float32],
        odds: NDArray[np.float64],
    ) -> None:
        """The filter just before a tick, and that tick.

        Belief on task (K, N), off task (N,) and in idleness; evidence (N,) and of idleness; `spread` of that tick; odds as in
        `engine.matching.forward`.
        """
        self._newest = (self._newest + 1) % self.ticks
        self._filled = min(self._filled + 1, self.ticks)
        n = self._newest
        np.sum(on, axis=0, out=self._on[n])
        self._off[n], self._likelihood[n], self._odds[n] = off, likelihood, odds
        self._idle[n] = idle, idle_likelihood
        rates = on.sum(axis=1)
        np.dot(rates / max(float(rates.sum()), 1e-12), spread, out=self._taps[n])

    def belief(self, since: int = 0) -> NDArray[np.float32]:
        """Smoothed belief (N,) in being at work at each position `filled - since` ticks ago; what is missing from 1 was not
        at work. `since` from 0 to below `filled`.

        The array is reused by the next call.
        """
        filled = self._filled - since
        oldest = (self._newest + 1 - filled) % self.ticks
        explains_idle = _explain(
            self._likelihood, self._idle, self._taps, self._odds, self._land, self._begin, oldest, filled,
            self._explains_on, self._explains_off, self._scratch,
        )  # fmt: skip
        smoothed = np.multiply(self._on[oldest], self._explains_on, out=self._scratch)
        total = float(smoothed.sum(dtype=np.float64)) + float(self._off[oldest] @ self._explains_off)
        total += float(self._idle[oldest, 0]) * explains_idle
        smoothed *= np.float32(1.0 / total) if total > 0.0 else np.float32(0.0)
        return smoothed

    @property
    def filled(self) -> int:
        """Ticks of lag there are: fewer than `ticks` after a start."""
        return self._filled

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))

    def state(self) -> dict[str, NDArray[Any]]:
        return {
            "lag_likelihood": self._likelihood.copy(),
            "lag_taps": self._taps.copy(),
            "lag_on": self._on.copy(),
            "lag_off": self._off.copy(),
            "lag_idle": self._idle.copy(),
            "lag_odds": self._odds.copy(),
            "lag_ring": np.array([self._filled, self._newest]),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._likelihood[:], self._taps[:] = state["lag_likelihood"], state["lag_taps"]
        self._on[:], self._off[:] = state["lag_on"], state["lag_off"]
        self._idle[:], self._odds[:] = state["lag_idle"], state["lag_odds"]
        self._filled, self._newest = (int(value) for value in state["lag_ring"])


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _explain(likelihood, idle, taps, odds, land, begin, oldest, filled, on, off, arriving):
    """`on`, `off` (N,), and returned for idleness: probability of all ticks kept, from the newest back to the oldest, given the
    state before them, up to a common factor. `arriving` (N,) is scratch."""
    ticks, count = likelihood.shape
    reach = taps.shape[1]
    for i in range(count):
        on[i] = off[i] = 1.0
    idly = 1.0
    for back in range(filled):
        n = (oldest + filled - 1 - back) % ticks
        tick = odds[n]
        landed = begun = 0.0
        for i in range(count):
            arriving[i] = likelihood[n, i] * on[i]
            landed += land[i] * arriving[i]
            begun += begin[i] * arriving[i]
            on[i] = 0.0
        at_home = idle[n, 1] * idly
        around = np.float32(tick[WRAP])
        out = np.float32((1.0 - tick[WRAP]) * at_home)
        for step in range(reach):
            weight = taps[n, step]
            if weight > 0.0:
                inside = max(0, count - step)
                for i in range(inside):
                    on[i] += weight * arriving[i + step]
                for i in range(inside, count):  # past the end: into the next cycle, or idle
                    on[i] += weight * (around * arriving[(i + step) % count] + out)
        stay, leave = np.float32(1.0 - tick[JUMP] - tick[LEAVE]), np.float32(tick[LEAVE])
        here = np.float32(tick[BACK] * tick[BACK_HERE])
        stay_off = np.float32(1.0 - tick[BACK] - tick[GIVE_UP])
        elsewhere = tick[BACK] * (1.0 - tick[BACK_HERE])
        from_off = elsewhere * (tick[BACK_START] * begun + (1.0 - tick[BACK_START]) * landed) + tick[GIVE_UP] * at_home
        from_on = np.float32(tick[JUMP] * landed)
        idly = (1.0 - tick[BEGIN]) * at_home + tick[BEGIN] * begun
        most = np.float32(max(idly, 1e-30))
        for i in range(count):
            moved, gone = on[i], off[i]
            on[i] = stay * moved + leave * gone + from_on
            off[i] = stay_off * gone + here * moved + np.float32(from_off)
            most = max(most, on[i], off[i])
        scale = np.float32(1.0) / most
        for i in range(count):
            on[i] *= scale
            off[i] *= scale
        idly *= scale
    return idly
