"""Turns what the matcher says at each tick into events. Whatever decides can be saved and restored in the middle of a cycle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.events.cycle_tracking import CycleTracker
from engine.events.evidence import Evidence
from engine.events.presence import GIVEN_UP_S, Presence
from engine.events.procedure import Procedure
from engine.events.working import Working
from engine.matching.base import Delayed, Match
from engine.messages import Event, EventKind
from engine.reference import Reference

TRUSTED = 0.4
"""Ticks of lower confidence say nothing about position."""

REMEMBERED_S = 2.0
"""Longer than the delayed copy's lag."""

SURE = 0.9
"""Where the live answer is this confident of the delayed one's phase, work has come as far as the live one says."""


class EventDetector:
    """Turns matches into events.

        detector = EventDetector(reference, station="bench 3")
        for event in detector.step(match, time_s, wall_s, seen):
            print(event.event, event.phase)

    Drafts have sequence number 0; the store numbers them.
    """

    def __init__(self, reference: Reference, station: str = "station") -> None:
        self.station = station
        self._procedure = Procedure(reference)
        self._cycles = CycleTracker(self._procedure, self._tell)
        self.reset()

    def reset(self) -> None:
        self._presence = Presence()
        self._cycles.reset()
        self._last_time_s: float | None = None
        self._confirmations: list[int] = []
        self._paused: list[tuple[float, bool]] = []
        self._drafts: list[Event] = []
        self._now = (0.0, 0.0, 0.0)

    @property
    def cycle(self) -> int:
        """Number of the current (or last) cycle, from 1; 0 before the first."""
        return self._cycles.cycle

    @property
    def cycles_finished(self) -> int:
        return self._cycles.finished

    def confirm(self, phase: str) -> bool:
        """An external signal says that a phase is done; told at the next tick. False if there is no such phase."""
        index = next((i for i, known in enumerate(self._procedure.phases) if known.name == phase), None)
        if index is not None:
            self._confirmations.append(index)
        return index is not None

    def step(self, match: Match, time_s: float, wall_s: float, seen: bool) -> list[Event]:
        """One tick at `time_s` (stream clock) and `wall_s` (Unix time); `seen`: a person was in the picture."""
        self._drafts = []
        if self._last_time_s is not None and not 0.0 <= time_s - self._last_time_s < GIVEN_UP_S:
            self._start_anew()
        self._now = (time_s, wall_s, match.confidence)
        dt_s = 0.0 if self._last_time_s is None else min(time_s - self._last_time_s, 1.0)
        self._last_time_s = time_s
        presence, cycles = self._presence, self._cycles
        self._note_pause(match, time_s)
        presence.seen(seen, time_s, dt_s, self._tell)
        for phase in self._confirmations:
            cycles.confirm(phase, time_s)
        self._confirmations = []
        cycles.time_passes(time_s)
        if seen and not presence.lost:
            left_s = presence.status(match, time_s, dt_s, cycles.open, cycles.phase_name, self._tell)
            if left_s is not None:
                cycles.leave(left_s, time_s - left_s)
            elif not presence.off_task and (tick := self._work(match, time_s, dt_s)) is not None:
                cycles.work(tick)
        elif presence.out_of_sight(time_s, dt_s):
            cycles.leave(time_s, GIVEN_UP_S)
        if presence.away:
            cycles.interrupted(time_s)
        return self._drafts

    def finish(self, remaining: Sequence[Delayed]) -> list[Event]:
        """The stream has ended: what the delayed copy had still to tell, and the cycle that was done when it stopped."""
        self._drafts = []
        if self._last_time_s is None:
            return []
        lag_s = remaining[0].lag_s if remaining else 0.0
        for where in remaining:
            dt_s, lag_s = lag_s - where.lag_s, where.lag_s
            if not self._presence.away and _trusted(where):
                self._cycles.work(self._as_work(where, self._last_time_s, dt_s, where.position_s))
        self._cycles.stream_ended()
        return self._drafts

    def _start_anew(self) -> None:
        """Time fell back or leapt ahead: what comes next has nothing to do with what was being done."""
        self._cycles.start_anew()
        self._presence.start_anew()
        self._last_time_s, self._paused = None, []

    def _work(self, match: Match, time_s: float, dt_s: float) -> Working | None:
        """The tick as work that can be trusted, from the delayed copy where there is one; else None."""
        where = match.delayed
        if where is None:
            paused = match.status == "paused"
            if not (paused or match.status == "on_task") or match.confidence < TRUSTED:
                return None
            return Working(time_s, dt_s, match.position_s, match.phase, match.confidence, paused, match.position_s)
        if not _trusted(where):
            return None
        onward = match.status == "on_task" and match.confidence >= SURE and match.phase == where.phase
        ahead_s = max(where.position_s, match.position_s) if onward else where.position_s
        return self._as_work(where, time_s, dt_s, ahead_s, leaving=match.status in ("off_task", "lost"))

    def _as_work(self, where: Delayed, now_s: float, dt_s: float, ahead_s: float, leaving: bool = False) -> Working:
        at_s = now_s - where.lag_s
        paused = self._was_paused(at_s)
        return Working(at_s, dt_s, where.position_s, where.phase, where.confidence, paused, ahead_s, leaving)

    def _note_pause(self, match: Match, time_s: float) -> None:
        """The delayed copy is told of pauses as of its own time: whoever stops now was still working then."""
        self._paused = [entry for entry in self._paused if time_s - REMEMBERED_S < entry[0] < time_s]
        self._paused.append((time_s, match.status == "paused"))

    def _was_paused(self, at_s: float) -> bool:
        before = [paused for time_s, paused in self._paused if time_s <= at_s + 1e-6]
        return before[-1] if before else self._paused[0][1]

    def _tell(
        self,
        kind: EventKind,
        when_s: float,
        phase: str | None = None,
        *,
        cycle: int | None = None,
        **details: float | str | list[float] | None,
    ) -> None:
        time_s, wall_s, confidence = self._now
        self._drafts.append(
            Event(
                station=self.station,
                seq=0,
                event=kind,
                time_s=when_s,
                wall_s=wall_s - (time_s - when_s),
                cycle=self._cycles.cycle if cycle is None else cycle,
                phase=phase,
                confidence=confidence,
                noticed_s=time_s,
                details=details,
            )
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything needed to go on, as one array of JSON bytes."""
        content = {
            "presence": asdict(self._presence),
            "cycles": self._cycles.state(),
            "last_time_s": self._last_time_s,
            "confirm": self._confirmations,
            "paused": self._paused,
        }
        return {"json": np.frombuffer(json.dumps(content).encode(), np.uint8).copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        content = json.loads(state["json"].tobytes())
        presence = dict(content["presence"])
        evidence = Evidence(**presence.pop("evidence"))
        self._presence = Presence(**presence, evidence=evidence)
        self._cycles.restore(content["cycles"])
        self._last_time_s = content["last_time_s"]
        self._confirmations = list(content["confirm"])
        self._paused = [(time_s, paused) for time_s, paused in content["paused"]]


def _trusted(where: Delayed) -> bool:
    return where.at_work >= 0.5 and where.confidence >= TRUSTED
