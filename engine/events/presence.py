"""Whether the operator is there, at work, and moving: lost and found, off and back on task, paused and resumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from engine.events.evidence import Evidence
from engine.matching.base import Match
from engine.messages import EventKind

PAUSE_S, RESUME_S = 0.7, 0.3
OFF_TASK_S, BACK_S = 1.0, 0.4
IDLE_S = 1.0
GIVEN_UP_S = 30.0
"""A cycle left (off task or out of the picture) for this long is abandoned."""
LOST_S, FOUND_S = 1.0, 0.3


class Tell(Protocol):
    """How a part of the detector drafts an event that began at `when_s`, of this `cycle` (None: the current or last one)."""

    def __call__(
        self,
        kind: EventKind,
        when_s: float,
        phase: str | None = None,
        *,
        cycle: int | None = None,
        **details: float | str | list[float] | None,
    ) -> None: ...


@dataclass
class Presence:
    """Plain values only, so that it can be saved as JSON and printed."""

    paused: bool = False
    off_task: bool = False
    """Told so; only where a cycle is open."""
    absent: bool = False
    """Off task, whether or not a cycle is open."""
    lost: bool = False
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def away(self) -> bool:
        return self.lost or self.absent

    def start_anew(self) -> None:
        """Time has leapt: what has been told stays so until the opposite is seen, what was building up is void."""
        self.evidence = Evidence()

    def seen(self, seen: bool, now_s: float, dt_s: float, tell: Tell) -> None:
        """Is anybody in the picture?"""
        gone = self.evidence.since("gone", not seen, now_s, dt_s, LOST_S)
        back = self.evidence.since("back", seen, now_s, dt_s, FOUND_S)
        if not self.lost and gone is not None:
            self.lost = True
            tell("operator_lost", gone)
        elif self.lost and back is not None:
            self.lost = False
            tell("operator_found", back)

    def out_of_sight(self, now_s: float, dt_s: float) -> bool:
        """Nobody has been seen for so long that the cycle is given up."""
        return self.evidence.since("away", self.lost, now_s, dt_s, GIVEN_UP_S) is not None

    def status(
        self, match: Match, now_s: float, dt_s: float, open_cycle: bool, phase: str | None, tell: Tell
    ) -> float | None:
        """What the operator who is seen is doing. Returns since when the cycle has been left for good, else None."""

        def since(name: str, statuses: tuple[str, ...], needed_s: float) -> float | None:
            return self.evidence.since(name, match.status in statuses, now_s, dt_s, needed_s)

        off = since("off", ("off_task",), OFF_TASK_S)
        working = since("working", ("on_task", "paused"), BACK_S)
        idle = since("idle", ("idle",), IDLE_S)
        long_off = since("long off", ("off_task", "idle"), GIVEN_UP_S)
        paused = since("pause", ("paused",), PAUSE_S)
        moving = since("moving", ("on_task", "off_task", "idle", "lost"), RESUME_S)
        self.absent = off is not None or (self.absent and working is None)
        if self.paused and moving is not None:
            self.paused = False
            tell("resumed", moving)
        if not open_cycle:
            self.off_task = False
            return None
        if idle is not None and not self.off_task:
            return idle
        if long_off is not None:
            return long_off
        if not self.off_task and off is not None:
            self.off_task = True
            tell("off_task", off, phase)
        elif self.off_task and working is not None:
            self.off_task = False
            tell("back_on_task", working, phase)
        elif not self.paused and not self.off_task and paused is not None:
            self.paused = True
            tell("paused", paused, phase)
        return None
