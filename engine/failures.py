"""Failures of a stage in a row, and how long it waits after one.

What fails as soon as it starts waits twice as long each time: it costs the machine a start every `CAP_S` in the end, not
all it has. What had begun to work is worth its restarts: such a failure counts a quarter, and work takes failures back.
So a stage that works and is killed now and then comes back at once.
"""

from __future__ import annotations

from engine.sources.backoff import backoff_s

FIRST_S, CAP_S = 0.25, 15.0
EARLY_S = 1.0
"""A failure before so many seconds of work is one of starting."""
LATER = 0.25
"""What a later one counts."""
STEADY_S = 5.0
"""So many seconds of work take back `LATER`: about twice what preparing the next stand-by takes."""


class Failures:
    def __init__(self) -> None:
        self._count = 0.0

    def in_a_row(self, worked_s: float) -> float:
        """Those that are not taken back after so many seconds of work since the last one."""
        return max(0.0, self._count - LATER * (worked_s // STEADY_S))

    def add(self, worked_s: float) -> float:
        """One more, after so many seconds of work. Returns how many seconds to wait: none for one that stands alone."""
        before = self.in_a_row(worked_s)
        self._count = before + (1.0 if worked_s < EARLY_S else LATER)
        return backoff_s(before - 1, FIRST_S, CAP_S) if before else 0.0
