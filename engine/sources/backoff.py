"""Exponential back-off with jitter, so that a hundred cameras behind one switch do not all come back at once."""

from __future__ import annotations

import random


class Backoff:
    """`next_s()` is the next wait in seconds: doubled every time, capped, times a random factor from 0.5 to 1."""

    def __init__(self, first_s: float = 0.2, cap_s: float = 8.0) -> None:
        self._first_s, self._cap_s = first_s, cap_s
        self.attempts = 0

    def next_s(self) -> float:
        wait_s = min(self._cap_s, self._first_s * 2 ** min(self.attempts, 30))
        self.attempts += 1
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.attempts = 0
