"""Phases that were left and that somebody outside has still to confirm: a scanner, a bit of a PLC, a button."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

CONFIRMING_S = 5.0
"""A confirmation may come this long after its phase was left, also when the cycle is over: hands first, scanner next."""


class Left(NamedTuple):
    """A phase that is no longer being visited."""

    phase: int
    at_s: float
    duration_s: float
    """Time at work in it."""
    cycle: int


@dataclass
class Confirmations:
    """Plain values only, so that it can be saved as JSON and printed."""

    awaited: list[Left] = field(default_factory=list)
    """One of a phase at most."""

    def await_of(self, left: Left) -> Left | None:
        """That phase was left just now. Returns the same phase of an earlier cycle, if nobody has confirmed it: nobody will."""
        before = self.given(left.phase)
        self.awaited.append(left)
        return before if before is not None and before.cycle != left.cycle else None

    def given(self, phase: int) -> Left | None:
        """Somebody has confirmed the phase. Returns when it was left, or None if it is not being waited for."""
        left = next((left for left in self.awaited if left.phase == phase), None)
        if left is not None:
            self.awaited.remove(left)
        return left

    def overdue(self, now_s: float, open_cycle: int | None) -> list[Left]:
        """What nobody has confirmed in time, of cycles that are over: it is not waited for any longer."""
        late = [left for left in self.awaited if left.cycle != open_cycle and now_s - left.at_s >= CONFIRMING_S]
        return self._give_up(late)

    def give_up(self) -> list[Left]:
        """Nothing more will come: all that was waited for."""
        return self._give_up(list(self.awaited))

    def _give_up(self, gone: list[Left]) -> list[Left]:
        self.awaited = [left for left in self.awaited if left not in gone]
        return gone
