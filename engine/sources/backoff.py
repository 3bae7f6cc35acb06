"""Exponential back-off with jitter, so that a hundred cameras behind one switch do not all come back at once."""

from __future__ import annotations

import random


def backoff_s(attempt: float, first_s: float, cap_s: float) -> float:
    """Seconds to wait before attempt 0, 1, …: doubled every time, capped, times a random factor from 0.5 to 1."""
    return float(min(cap_s, first_s * 2 ** min(attempt, 30)) * random.uniform(0.5, 1.0))


class Backoff:
    """`next_s()` is the next wait in seconds, each longer than the last until it is `reset`."""

    def __init__(self, first_s: float = 0.2, cap_s: float = 8.0) -> None:
        self._first_s, self._cap_s = first_s, cap_s
        self.attempts = 0

    def next_s(self) -> float:
        self.attempts += 1
        return backoff_s(self.attempts - 1, self._first_s, self._cap_s)

    def reset(self) -> None:
        self.attempts = 0
