"""Where the work was a moment ago, in the light of what has been seen since: fixed-lag smoothing of the filter's belief.

    belief (N,) at t − lag   ×   how well each position there explains the ticks after it   →   smoothed belief (N,)

The second factor goes backward over the ticks of the lag (Rabiner 1989, eq. 24–25) over positions only: rates are summed
out with the filter's own belief in them, so a tick costs O(lag · N) and not O(lag · N · K²).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled

LAG_S = 0.4


class FixedLag:
    """Keeps the last `ticks` of the filter. All arrays are allocated once."""

    def __init__(self, count: int, ticks: int, furthest: int, land: NDArray[np.float32]) -> None:
        """`count` positions N; `furthest`: most positions that one tick can advance; `land` (N,): where jumps land."""
        self.ticks = max(1, ticks)
        self._land = land
        self._likelihood = np.ones((self.ticks, count), np.float32)
        self._taps = np.zeros((self.ticks, furthest + 2), np.float32)
        self._jump = np.zeros(self.ticks)
        self._wrap = np.zeros(self.ticks)
        self._belief = np.zeros((self.ticks, count), np.float32)
        self._explains, self._scratch = np.ones(count, np.float32), np.empty(count, np.float32)
        self.reset()

    def reset(self) -> None:
        self._filled = self._newest = 0

    def push(
        self,
        before: NDArray[np.float32],
        likelihood: NDArray[np.float32],
        rates: NDArray[np.float64],
        shifts: NDArray[np.float64],
        jump: float,
        wrap: float,
    ) -> None:
        """One tick of the filter: belief (N,) before it, evidence (N,), belief in each rate (K,), ticks advanced at it (K,)."""
        self._newest = (self._newest + 1) % self.ticks
        self._filled = min(self._filled + 1, self.ticks)
        n = self._newest
        self._belief[n], self._likelihood[n] = before, likelihood
        self._jump[n], self._wrap[n] = jump, wrap
        taps = self._taps[n]
        taps[:] = 0.0
        whole = shifts.astype(int)
        share = rates / max(float(rates.sum()), 1e-12)
        np.add.at(taps, whole, share * (1.0 - (shifts - whole)))
        np.add.at(taps, whole + 1, share * (shifts - whole))

    def belief(self) -> NDArray[np.float32]:
        """Smoothed belief (N,) in each position `filled` ticks ago, summing to 1. The array is reused by the next call."""
        oldest = (self._newest + 1 - self._filled) % self.ticks
        _explain(
            self._likelihood, self._taps, self._jump, self._wrap, self._land, oldest, self._filled, self._explains,
            self._scratch,
        )  # fmt: skip
        smoothed = np.multiply(self._belief[oldest], self._explains, out=self._scratch)
        total = float(smoothed.sum())
        if total <= 0.0:
            smoothed[:] = 1.0 / len(smoothed)
        else:
            smoothed /= np.float32(total)
        return smoothed

    @property
    def filled(self) -> int:
        """Ticks of lag there are: fewer than `ticks` after a start."""
        return self._filled

    @property
    def nbytes(self) -> int:
        return self._likelihood.nbytes + self._belief.nbytes + self._taps.nbytes

    def state(self) -> dict[str, NDArray[Any]]:
        return {
            "likelihood": self._likelihood.copy(),
            "taps": self._taps.copy(),
            "before": self._belief.copy(),
            "lag": np.stack([self._jump, self._wrap]),
            "ring": np.array([self._filled, self._newest]),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._likelihood[:], self._taps[:], self._belief[:] = state["likelihood"], state["taps"], state["before"]
        self._jump[:], self._wrap[:] = state["lag"]
        self._filled, self._newest = (int(value) for value in state["ring"])


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _explain(likelihood, taps, jump, wrap, land, oldest, filled, explains, scratch):
    """`explains` (N,): probability of all ticks kept, from the newest back to the oldest, given the position before them."""
    ticks, count = likelihood.shape
    reach = taps.shape[1]
    for i in range(count):
        explains[i] = 1.0
    for back in range(filled):
        n = (oldest + filled - 1 - back) % ticks
        landed = 0.0
        for i in range(count):
            scratch[i] = likelihood[n, i] * explains[i]
            landed += land[i] * scratch[i]
        anywhere = np.float32(jump[n] * landed)
        stays = np.float32(1.0 - jump[n])
        for i in range(count):
            explains[i] = anywhere
        for step in range(reach):
            weight = np.float32(stays * taps[n, step])
            if weight > 0.0:
                inside = max(0, count - step)
                for i in range(inside):
                    explains[i] += weight * scratch[i + step]
                # Past the end: into the next cycle, or idle, where evidence scores 1.
                around, out = np.float32(wrap[n]), np.float32(1.0 - wrap[n])
                for i in range(inside, count):
                    explains[i] += weight * (around * scratch[(i + step) % count] + out)
        most = np.float32(1e-30)
        for i in range(count):
            most = max(most, explains[i])
        scale = np.float32(1.0) / most
        for i in range(count):
            explains[i] *= scale
