"""What happened, told from what the matcher says at each tick: cycles, phases, deviations, pauses, absences.

    Match per tick ─► presence ─► status (off task, pause) ─► cycle and phase visits ─► drafts of events

Every decision accumulates evidence over time and leaks it when the evidence turns (CUSUM, Page 1954), so one bad tick
decides nothing. What decides lives in `_Memory`, plain values that can be saved and restored in the middle of a cycle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cycle import ESTABLISHED, CycleRecord, Procedure
from engine.matching.base import Match
from engine.messages import Event, EventKind
from engine.reference import Reference

COVERAGE = 0.8
"""A cycle counts when this share of what was not skipped has been seen."""
MOST_SKIPPED, MOST_UNFINISHED = 0.4, 0.3
"""A cycle that left out more of the procedure than this was abandoned, not finished; less is forgiven where its end is
among what was left out."""
TRUSTED = 0.4
"""Ticks of lower confidence say nothing about position."""
PHASE_EVIDENCE_S = 0.2
BEGIN_EVIDENCE_S = 0.3
"""Trusted time at work before a cycle is said to have started."""
BEGIN_COVERAGE = 0.06
PAUSE_S, RESUME_S = 0.7, 0.3
OFF_TASK_S, BACK_S = 1.0, 0.4
IDLE_S = 1.0
GIVEN_UP_S = 30.0
"""A cycle left (off task or out of the picture) for this long is abandoned."""
LOST_S, FOUND_S = 1.0, 0.3
END_S = 0.1
"""This close to the end of the clock counts as having reached it."""
END_WAIT_S = 1.0
MADE_UP_S = 0.6
"""A matcher slides from the end to the start for a moment before it sees that a passed phase is being made up for."""
TAIL = 0.12
"""Share of the clock at its end in which no cycle starts: it belongs to the one that has just ended."""
AGAIN = 0.35
"""From the last such share of a phase back into its first: the phase is being done again."""
STRIDE_S = 0.4
"""Most that one tick may advance and still have passed through what lies between."""


@dataclass
class _Memory:
    cycle: int = 0
    finished: int = 0
    open: bool = False
    """A cycle has started and has not ended."""
    record: dict[str, Any] = field(default_factory=dict)
    last_time_s: float | None = None
    last_bin: int = -1
    candidate: int = -1
    candidate_s: float = 0.0
    candidate_since_s: float = 0.0
    begin_s: float = 0.0
    wrapped_s: float | None = None
    """When work went back to the start although something had been passed over; undecided for `MADE_UP_S`."""
    repeated: bool = False
    """The last phase of the cycle that has ended was told to be done again."""
    fresh: bool = True
    """Nothing is known of what came before (start of the stream, long absence)."""
    evidence: dict[str, list[float]] = field(default_factory=dict)
    """Per detector: [accumulated seconds, onset]."""
    paused: bool = False
    off_task: bool = False
    lost: bool = False
    unconfirmed: dict[str, float] = field(default_factory=dict)
    """Phases left but not yet confirmed from outside → when they were left."""


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
        self.reset()

    def reset(self) -> None:
        self._memory = _Memory()
        self._record = CycleRecord.empty(self._procedure, 0.0, joined=True)
        self._confirmations: list[int] = []
        self._drafts: list[Event] = []
        self._now = (0.0, 0.0, 0.0)

    @property
    def cycle(self) -> int:
        """Number of the current (or last) cycle, from 1; 0 before the first."""
        return self._memory.cycle

    @property
    def cycles_finished(self) -> int:
        return self._memory.finished

    def confirm(self, phase: str) -> bool:
        """An external signal says that a phase is done; told at the next tick. False if there is no such phase."""
        index = next((i for i, known in enumerate(self._procedure.phases) if known.name == phase), None)
        if index is not None:
            self._confirmations.append(index)
        return index is not None

    def step(self, match: Match, time_s: float, wall_s: float, seen: bool) -> list[Event]:
        """One tick at `time_s` (stream clock) and `wall_s` (Unix time); `seen`: a person was in the picture."""
        memory = self._memory
        self._drafts = []
        self._now = (time_s, wall_s, match.confidence)
        dt_s = 0.0 if memory.last_time_s is None else min(max(time_s - memory.last_time_s, 0.0), 1.0)
        memory.last_time_s = time_s
        self._presence(seen, dt_s)
        for phase in self._confirmations:
            self._confirm(phase)
        self._confirmations = []
        if seen and not memory.lost:
            self._statuses(match, dt_s)
            if match.status in ("on_task", "paused") and match.confidence >= TRUSTED and not memory.off_task:
                self._work(match, dt_s)
        elif self._held("away", memory.lost, dt_s, GIVEN_UP_S) is not None:
            self._leave_cycle(time_s)
        return self._drafts

    # Presence and status

    def _presence(self, seen: bool, dt_s: float) -> None:
        memory = self._memory
        gone, back = self._held("gone", not seen, dt_s, LOST_S), self._held("back", seen, dt_s, FOUND_S)
        if not memory.lost and gone is not None:
            memory.lost = True
            self._tell("operator_lost", gone)
        elif memory.lost and back is not None:
            memory.lost = False
            self._tell("operator_found", back)

    def _statuses(self, match: Match, dt_s: float) -> None:
        memory = self._memory
        off = self._held("off", match.status == "off_task", dt_s, OFF_TASK_S)
        working = self._held("working", match.status in ("on_task", "paused"), dt_s, BACK_S)
        idle = self._held("idle", match.status == "idle", dt_s, IDLE_S)
        long_off = self._held("long off", match.status in ("off_task", "idle"), dt_s, GIVEN_UP_S)
        paused = self._held("pause", match.status == "paused", dt_s, PAUSE_S)
        moving = self._held("moving", match.status != "paused", dt_s, RESUME_S)
        if memory.paused and moving is not None:
            memory.paused = False
            self._tell("resumed", moving)
        if not memory.open:
            memory.off_task = False
            return
        if idle is not None and not memory.off_task:
            self._leave_cycle(idle)
        elif long_off is not None:
            self._leave_cycle(long_off)
        elif not memory.off_task and off is not None:
            memory.off_task = True
            self._tell("off_task", off, self._phase_name())
        elif memory.off_task and working is not None:
            memory.off_task = False
            self._tell("back_on_task", working, self._phase_name())
        elif not memory.paused and not memory.off_task and paused is not None:
            memory.paused = True
            self._tell("paused", paused, self._phase_name())

    def _held(self, name: str, true: bool, dt_s: float, needed_s: float) -> float | None:
        """Accumulates while true, leaks twice as fast while not. Once `needed_s` is reached: when it began, else None."""
        evidence = self._memory.evidence.setdefault(name, [0.0, 0.0])
        if true:
            if evidence[0] <= 0.0:
                evidence[1] = self._now[0]
            evidence[0] = min(evidence[0] + dt_s, needed_s + 0.1)
        else:
            evidence[0] = max(evidence[0] - 2 * dt_s, 0.0)
        return evidence[1] if true and evidence[0] >= needed_s - 1e-9 else None

    # Cycles and phases

    def _work(self, match: Match, dt_s: float) -> None:
        memory, record, procedure = self._memory, self._record, self._procedure
        time_s = self._now[0]
        here, before = procedure.bin_of(match.position_s), memory.last_bin
        memory.last_bin = here
        bins = procedure.bins
        stride = max(2, int(min(STRIDE_S / procedure.duration_s, 0.2) * bins))
        forward = (here - before) % bins if before >= 0 else 0
        backward = before >= 0 and here < before
        if memory.wrapped_s is not None:
            if here > 0.25 * bins:  # it went back to what had been passed over
                memory.wrapped_s = None
            elif time_s - memory.wrapped_s < MADE_UP_S:
                return
            else:
                self._end_cycle(memory.wrapped_s)
        elif memory.open and backward and self._starts_anew(before, here, forward <= stride):
            if record.missing(procedure):
                memory.wrapped_s = time_s
                return
            self._end_cycle(time_s)
        record = self._record
        if not memory.open:
            self._before_start(match, here, dt_s)
            record = self._record
            if here > bins * (1 - TAIL) or match.phase == len(procedure.phases) - 1 > 0:
                return  # the tail of the cycle that has just ended
        if record.current >= 0 and record.established and backward:
            start, end = procedure.spans[record.current]
            if before >= end - AGAIN * (end - start) and start <= here <= start + AGAIN * (end - start):
                record.revisit(time_s)
        low = before + 1 if 0 <= before < here and forward <= stride else here
        record.mark(min(low, here), here)
        if not memory.open:
            return
        self._visit(match.phase, match.confidence, dt_s)
        if match.status == "on_task" and record.current >= 0:
            record.dwell_s[record.current] += dt_s
            record.visit_s += dt_s
            limit_s = procedure.limits_s[record.current]
            if not record.slow and record.visit_s > limit_s:
                record.slow = True
                self._tell("slow", time_s, self._phase_name(), dwell_s=record.visit_s, limit_s=limit_s)
        at_end = here >= bins - max(1, round(END_S / procedure.duration_s * bins))
        stays = self._held("at end", at_end, dt_s, END_WAIT_S) is not None
        # What was passed over may still be made up for; the next start, or standing still here, says that it was not.
        if at_end and (stays or not record.missing(procedure)) and self._complete():
            self._end_cycle(time_s)

    def _before_start(self, match: Match, here: int, dt_s: float) -> None:
        """No cycle is open: has one begun?"""
        memory, procedure = self._memory, self._procedure
        if match.phase == len(procedure.phases) - 1 > 0 and not memory.fresh:
            self._last_phase_again(match.phase, here)
            return
        if len(procedure.phases) > 1 and any(self._record.covered[procedure.spans[-1][0] :]):
            self._record = CycleRecord.empty(procedure, self._now[0])
        ended = here > procedure.bins * (1 - TAIL)
        begun = self._held("begin", match.status == "on_task" and not ended, dt_s, self._begin_needs_s())
        covered = sum(self._record.covered) / procedure.bins
        if begun is None or covered < BEGIN_COVERAGE:
            if memory.evidence["begin"][0] == 0.0:
                self._record = CycleRecord.empty(procedure, self._now[0], joined=memory.fresh)
            return
        # Standing ready looks like the start: no longer ago than half speed needs for what has been passed through.
        begun = max(begun, self._now[0] - 2 * covered * procedure.duration_s)
        memory.open, memory.off_task, memory.paused = True, False, False
        memory.cycle += 1
        self._record.started_s = begun
        self._record.joined = memory.fresh and match.phase > 0
        memory.fresh = False
        self._tell("cycle_started", begun)
        memory.candidate, memory.candidate_since_s, memory.candidate_s = match.phase, begun, PHASE_EVIDENCE_S

    def _last_phase_again(self, phase: int, here: int) -> None:
        """The cycle has ended and its last phase is being done: once more, not a cycle that left out all others."""
        memory, record = self._memory, self._record
        if not any(record.covered):
            record.started_s, memory.repeated = self._now[0], False
        seen = [b for b, covered in enumerate(record.covered) if covered]
        record.mark(min(seen[-1] + 1, here) if seen and 0 <= here - seen[-1] <= 8 else here, here)
        if not memory.repeated and record.coverage(self._procedure, [phase]) >= ESTABLISHED:
            memory.repeated = True
            self._tell("phase_repeated", record.started_s, self._procedure.phases[phase].name)

    def _begin_needs_s(self) -> float:
        return min(BEGIN_EVIDENCE_S, 0.15 * self._procedure.duration_s)

    def _starts_anew(self, before: int, here: int, near: bool) -> bool:
        """Position went back: is this the next cycle, and not a phase done again?"""
        bins, procedure = self._procedure.bins, self._procedure
        if here > 0.25 * bins:
            return False
        if near or before > 0.75 * bins:
            return True
        # A first phase that was passed over is only being made up for.
        order = self._record.order
        return (0 in order or self._record.joined) and max(order, default=0) >= 2 and here < procedure.spans[0][1]

    def _visit(self, phase: int, confidence: float, dt_s: float) -> None:
        """Follows which phase is being visited, and tells what each visit means for the order."""
        memory, record, procedure = self._memory, self._record, self._procedure
        if phase != memory.candidate:
            memory.candidate, memory.candidate_s, memory.candidate_since_s = phase, 0.0, self._now[0]
        memory.candidate_s += dt_s * confidence
        length_s = procedure.phases[phase].end_s - procedure.phases[phase].start_s
        if phase != record.current and memory.candidate_s >= min(PHASE_EVIDENCE_S, 0.25 * length_s):
            since_s = memory.candidate_since_s
            for passed in range(record.current + 1, phase) if record.current >= 0 else ():
                # Too short to be told while it lasted, but passed through.
                if passed not in record.order and record.coverage(procedure, [passed]) >= COVERAGE:
                    self._leave_phase(since_s)
                    self._enter_phase(passed, since_s)
                    self._judge()
            self._leave_phase(since_s)
            self._enter_phase(phase, since_s)
            low, high = procedure.spans[phase]
            first = next((b for b in range(low, high) if record.covered[b]), low)
            if phase not in record.order:
                record.visit[first : memory.last_bin + 1] = [1] * max(memory.last_bin + 1 - first, 0)
        if record.current >= 0:
            low, high = procedure.spans[record.current]
            if not record.established and record.visit_coverage(procedure) >= ESTABLISHED:
                self._judge()

    def _judge(self) -> None:
        for kind, phase, when in self._record.establish(self._procedure, self._now[0]):
            if kind == "phase_skipped":
                self._skip(phase, when)
            else:
                self._tell(kind, when, self._procedure.phases[phase].name)  # type: ignore[arg-type]

    def _skip(self, phase: int, when: float) -> None:
        self._record.pending.pop(str(phase), None)
        self._record.skipped.append(phase)
        if not self._procedure.phases[phase].optional:
            self._tell("phase_skipped", when, self._procedure.phases[phase].name)

    def _enter_phase(self, phase: int, time_s: float) -> None:
        self._record.enter(phase, time_s)
        self._tell("phase_started", time_s, self._procedure.phases[phase].name)

    def _leave_phase(self, time_s: float) -> None:
        record, phase = self._record, self._record.current
        if phase < 0:
            return
        if self._procedure.phases[phase].confirm and phase not in record.confirmed:
            self._memory.unconfirmed[str(phase)] = time_s
        else:
            name = self._procedure.phases[phase].name
            self._tell("phase_finished", time_s, name, dwell_s=record.visit_s)
        record.current = -1

    def _confirm(self, phase: int) -> None:
        """From outside: done, whatever the camera saw of it."""
        record = self._record
        self._tell("phase_confirmed", self._now[0], self._procedure.phases[phase].name)
        if not self._memory.open:
            return
        if phase not in record.confirmed:
            record.confirmed.append(phase)
        low, high = self._procedure.spans[phase]
        record.covered[low:high] = [1] * (high - low)
        record.pending.pop(str(phase), None)
        left_s = self._memory.unconfirmed.pop(str(phase), None)
        if left_s is not None:
            name = self._procedure.phases[phase].name
            self._tell("phase_finished", left_s, name, dwell_s=record.dwell_s[phase])

    def _complete(self) -> bool:
        """Seen enough to count, leaving aside what was passed over."""
        record, procedure = self._record, self._procedure
        missing = record.missing(procedure)
        left_out = sorted({*missing, *record.skipped})
        kept = [p for p in range(len(procedure.phases)) if p not in left_out]
        if not kept or (record.joined and missing):
            return False
        most = MOST_UNFINISHED if len(procedure.phases) - 1 in left_out else MOST_SKIPPED
        return procedure.share(left_out) <= most and record.done_share(procedure, kept) >= COVERAGE

    def _leave_cycle(self, time_s: float) -> None:
        """Work has stopped for good: the cycle ends as it is."""
        self._memory.fresh = True
        if self._memory.open:
            self._end_cycle(time_s)

    def _end_cycle(self, time_s: float) -> None:
        memory, record, procedure = self._memory, self._record, self._procedure
        complete = self._complete()
        self._leave_phase(time_s)
        for phase in map(int, memory.unconfirmed):
            self._tell("phase_skipped", time_s, procedure.phases[phase].name, reason="not confirmed")
        memory.unconfirmed = {}
        for key, (_, when) in list(record.pending.items()):
            self._skip(int(key), when)
        if complete:
            for phase in record.missing(procedure):
                self._skip(phase, time_s)
            memory.finished += 1
            self._tell(
                "cycle_finished",
                time_s,
                durations_s=list(record.dwell_s),
                coverage=record.coverage(procedure),
                duration_s=time_s - record.started_s,
            )
        else:
            self._tell("cycle_abandoned", time_s, coverage=sum(record.covered) / procedure.bins)
        memory.open = memory.off_task = False
        memory.wrapped_s = None
        memory.candidate, memory.candidate_s = -1, 0.0
        memory.evidence["begin"] = [0.0, time_s]
        self._record = CycleRecord.empty(procedure, time_s)

    # Drafts and state

    def _phase_name(self) -> str | None:
        current = self._record.current
        return self._procedure.phases[current].name if current >= 0 else None

    def _tell(
        self, kind: EventKind, when_s: float, phase: str | None = None, **details: float | str | list[float] | None
    ) -> None:
        time_s, wall_s, confidence = self._now
        self._drafts.append(
            Event(
                station=self.station,
                seq=0,
                event=kind,
                time_s=when_s,
                wall_s=wall_s - (time_s - when_s),
                cycle=self._memory.cycle,
                phase=phase,
                confidence=confidence,
                noticed_s=time_s,
                details=details,
            )
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything needed to go on, as one array of JSON bytes."""
        content = {"memory": asdict(self._memory), "record": asdict(self._record), "confirm": self._confirmations}
        return {"json": np.frombuffer(json.dumps(content).encode(), np.uint8).copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        content = json.loads(state["json"].tobytes())
        self._memory = _Memory(**content["memory"])
        self._record = CycleRecord(**content["record"])
        self._confirmations = list(content["confirm"])
