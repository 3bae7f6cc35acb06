"""Failures of a stage in a row, and how long it waits after one.

Work forgives: each `STEADY_S` that a stage worked takes back one failure. So a stage that works and is killed every now and
then comes back at once each time, and one that fails soon after each start waits longer and longer: it costs the machine
a start every `CAP_S` in the end, not all it has.
"""

from __future__ import annotations

from engine.sources.backoff import backoff_s

STEADY_S = 5.0
"""About twice what preparing the next stand-by takes."""
FIRST_S, CAP_S = 0.25, 15.0


class Failures:
    def __init__(self) -> None:
        self._count = 0

    def in_a_row(self, worked_s: float) -> int:
        """Those that are not forgiven after so many seconds of work since the last one."""
        return max(0, self._count - int(worked_s // STEADY_S))

    def add(self, worked_s: float) -> float:
        """One more, after so many seconds of work. Returns how many seconds to wait: none for one that stands alone."""
        before = self.in_a_row(worked_s)
        self._count = before + 1
        return backoff_s(before - 1, FIRST_S, CAP_S) if before else 0.0
