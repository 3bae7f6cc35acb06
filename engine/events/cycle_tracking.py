"""Follows cycles and the visits of their phases, and tells what they mean: starts, ends, skips, repeats, order, slowness.

position at work per tick ─► begun? ended? ─► which phase is visited ─► verdicts of `engine.events.cycle_record.CycleRecord`
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engine.events.confirmations import Confirmations, Left
from engine.events.cycle_record import AGAIN, RETURNED, CycleRecord
from engine.events.evidence import Evidence
from engine.events.presence import Tell
from engine.events.procedure import ESTABLISHED, Procedure
from engine.events.working import Working

COVERAGE = 0.8
"""A cycle counts when this share of what was not skipped has been seen."""
MOST_SKIPPED, MOST_UNFINISHED = 0.4, 0.3
"""A cycle that left out more of the procedure than this was abandoned, not finished; less is forgiven where its end is
among what was left out."""
PHASE_EVIDENCE_S = 0.2
"""Trusted time in another phase before it is being visited."""
ROUNDING_S = 1e-6
"""Four sure ticks make up that time exactly: rounding of their confidence must not decide."""
BEGIN_EVIDENCE_S = 0.3
"""Trusted time at work before a cycle is said to have started."""
BEGIN_COVERAGE = 0.06
END_WAIT_S, MAKING_UP_S = 1.0, 1.6
"""Standing at the end this long ends the cycle: the latter where a phase was passed over, which may come late, after the last."""
MADE_UP_S = 0.6
"""A matcher slides from the end to the start for a moment before it sees that a passed phase is being made up for."""
START, START_ALONG = 0.25, 0.35
"""Shares of the clock in which a cycle begins that follows another one: usually, and at the farthest."""
TAIL = 0.12
"""Share of the clock at its end in which no cycle starts: it belongs to the one that has just ended."""
STRIDE_S = 0.4
"""Most that one tick may advance and still have passed through what lies between."""


@dataclass
class _Memory:
    """Plain values, saved with the record."""

    cycle: int = 0
    finished: int = 0
    open: bool = False
    """A cycle has started and has not ended."""
    last_bin: int = -1
    candidate: int = -1
    candidate_s: float = 0.0
    candidate_work_s: float = 0.0
    """Time at work since it became one."""
    candidate_since_s: float = 0.0
    candidate_bin: int = 0
    wrapped_s: float | None = None
    """When work leapt back to the start, or went on there although something had been passed over; undecided for `MADE_UP_S`."""
    ended_s: float = 0.0
    """When the last cycle ended."""
    over_s: float | None = None
    """When work stopped after the last phase, though something had been passed over that may still be made up for."""
    away_s: float | None = None
    """When the operator was last away."""
    repeated: bool = False
    """The last phase of the cycle that has ended was told to be done again."""
    fresh: bool = True
    """Nothing is known of what came before (start of the stream, long absence)."""
    confirmations: Confirmations = field(default_factory=Confirmations)
    evidence: Evidence = field(default_factory=Evidence)


class CycleTracker:
    """State is `_Memory` and one `CycleRecord`."""

    def __init__(self, procedure: Procedure, tell: Tell) -> None:
        self.procedure = procedure
        self._tell = tell
        self.reset()

    def reset(self) -> None:
        self._memory = _Memory()
        self._record = CycleRecord.empty(self.procedure)

    @property
    def open(self) -> bool:
        return self._memory.open

    @property
    def cycle(self) -> int:
        return self._memory.cycle

    @property
    def finished(self) -> int:
        return self._memory.finished

    @property
    def phase_name(self) -> str | None:
        """The phase being visited."""
        current = self._record.current
        return self.procedure.phases[current].name if current >= 0 else None

    def work(self, tick: Working) -> None:
        """One tick of trusted work."""
        memory, procedure = self._memory, self.procedure
        here, before = procedure.bin_of(tick.position_s), memory.last_bin
        bins = procedure.bins
        stride = max(2, int(min(STRIDE_S / procedure.duration_s, 0.2) * bins))
        forward = (here - before) % bins if before >= 0 else 0
        backward = before >= 0 and here < before
        leaps = memory.open and forward > stride and tick.phase != self._record.current
        if leaps and (tick.paused or self._record.just_stood()):
            self._record.move_on(0.0 if tick.paused else tick.dt_s)
            return  # nobody leaps while standing still
        memory.last_bin = here
        if memory.wrapped_s is not None:
            beyond, missing, coming = here > START * bins, self._record.missing(procedure), self._record.coming()
            if beyond and (tick.phase in missing or (forward > stride and (missing or coming))):
                memory.wrapped_s = None  # it went back to what had been passed over, or never to the start
            elif (coming or not beyond) and tick.at_s - memory.wrapped_s < MADE_UP_S:
                return
            else:
                self.end(self._record.last_work_s)
        elif memory.open and backward and self._starts_anew(before, here, forward <= stride):
            if forward > stride or self._record.missing(procedure):
                memory.wrapped_s = tick.at_s
                return
            self.end(self._record.last_work_s)
        if memory.over_s is not None and self._goes_on_elsewhere(tick):
            self.end(memory.over_s)
        if not memory.open:
            self._before_start(tick, here)
            if self._ends_with(tick.phase) or (here > bins * (1 - TAIL) and not procedure.any_order):
                return  # the tail of the cycle that has just ended
        record = self._record
        if record.current >= 0 and record.established and backward and not tick.paused:
            back = record.surely_reached(before) - here >= AGAIN * procedure.bins_of(record.current)
            if back and here >= procedure.spans[record.current][0] and record.may_begin_again(procedure, tick.at_s):
                record.revisit(procedure, tick.at_s)
        low = before + 1 if 0 <= before < here and forward <= stride else here
        record.mark(min(low, here), here)
        if not memory.open:
            return
        record.last_work_s = tick.at_s
        record.back_s += tick.dt_s
        self._visit(tick)
        record = self._record  # the visit may have begun the next cycle
        if tick.paused:
            record.stand_still(here)
        else:
            record.move_on(tick.dt_s)
            self._dwell(tick)
        at_end = here >= procedure.end_bin
        wait_s = MAKING_UP_S if record.may_be_made_up_for(procedure) else END_WAIT_S
        stays = memory.evidence.since("at end", at_end, tick.at_s, tick.dt_s, wait_s) is not None
        # What was passed over may still be made up for; the next start, or standing still here, says that it was not.
        if at_end and (stays or not record.missing(procedure)) and self._complete():
            self.end(tick.at_s)

    def interrupted(self, now_s: float) -> None:
        """The operator is away: what is taken up again afterwards is no repetition."""
        self._memory.away_s = now_s
        self._memory.wrapped_s = None
        self._record.back_s = 0.0
        if self._record.left_s is None:
            self._record.left_s = self._record.last_work_s

    def leave(self, time_s: float, gone_s: float) -> None:
        """Work has stopped for good, `gone_s` ago: the cycle ends as it is, at `time_s`.

        Where all is done but for what was passed over, that may still be made up for: it takes longer to believe.
        """
        if self._memory.open:
            if gone_s < MAKING_UP_S and self._complete() and self._record.may_be_made_up_for(self.procedure):
                self._memory.over_s = time_s
                return
            self._memory.fresh = not self._complete()
            self.end(time_s)

    def stream_ended(self) -> None:
        """Nothing more will be seen. What has been done of a cycle in the midst of which that happens is not judged."""
        if self._memory.wrapped_s is not None or (self._memory.open and self._complete()):
            self.end(self._record.last_work_s)
        for left in self._memory.confirmations.give_up():
            self._not_confirmed(left)

    def start_anew(self) -> None:
        """Time has leapt: the open cycle ends where work was last seen, and nothing is known of what comes next."""
        self.stream_ended()
        if self._memory.open:
            self.end(self._record.last_work_s)
        memory = self._memory
        self._memory = _Memory(cycle=memory.cycle, finished=memory.finished)
        self._record = self._record.following(self.procedure, 0.0, joined=True)

    def confirm(self, phase: int, now_s: float) -> None:
        """From outside: done, whatever the camera saw of it."""
        record, procedure, memory = self._record, self.procedure, self._memory
        name = procedure.phases[phase].name
        left = memory.confirmations.given(phase)
        cycle = memory.cycle if left is None else left.cycle
        self._tell("phase_confirmed", now_s, name, cycle=cycle)
        if left is not None:
            self._tell("phase_finished", left.at_s, name, cycle=cycle, duration_s=left.duration_s)
        if not memory.open or cycle != memory.cycle:
            return
        if phase not in record.confirmed:
            record.confirmed.append(phase)
        low, high = procedure.spans[phase]
        record.covered[low:high] = [1] * (high - low)
        record.pending.pop(str(phase), None)

    def time_passes(self, now_s: float) -> None:
        """At work or not: of a cycle that is over, what nobody has confirmed in time was not done."""
        memory = self._memory
        for left in memory.confirmations.overdue(now_s, memory.cycle if memory.open else None):
            self._not_confirmed(left)

    def _not_confirmed(self, left: Left) -> None:
        name = self.procedure.phases[left.phase].name
        self._tell("phase_skipped", left.at_s, name, cycle=left.cycle, reason="not confirmed")

    # Starts and ends

    def _before_start(self, tick: Working, here: int) -> None:
        """No cycle is open: has one begun?"""
        memory, procedure = self._memory, self.procedure
        if self._ends_with(tick.phase) and not memory.fresh:
            self._last_phase_again(tick, here)
            return
        last = len(procedure.phases) - 1
        if self._ends_with(last) and any(self._record.covered[procedure.spans[last][0] :]):
            self._record = self._record.following(procedure, tick.at_s, left_s=self._record.left_s)
        ended = here > procedure.bins * (1 - TAIL) and not procedure.any_order
        needs_s = min(BEGIN_EVIDENCE_S, 0.15 * procedure.duration_s)
        if tick.paused and not ended and not memory.evidence.none("begin"):
            return  # a moment's hesitation takes nothing back
        begun = memory.evidence.since("begin", not tick.paused and not ended, tick.at_s, tick.dt_s, needs_s)
        covered = sum(self._record.covered) / procedure.bins
        if begun is None or covered < BEGIN_COVERAGE:
            if memory.evidence.none("begin"):
                self._record = self._record.following(procedure, tick.at_s, memory.fresh, self._record.left_s)
            return
        # Standing ready looks like the start: no longer ago than half speed needs for what has been passed through.
        begun = max(begun, tick.at_s - 2 * covered * procedure.duration_s)
        self._start(tick.phase, begun)
        memory.candidate, memory.candidate_since_s, memory.candidate_s = tick.phase, begun, PHASE_EVIDENCE_S
        memory.candidate_bin, memory.candidate_work_s = here, tick.at_s - begun

    def _start(self, phase: int, time_s: float) -> None:
        """A cycle has begun at that time, as it seems with that phase."""
        memory = self._memory
        memory.open = True
        memory.cycle += 1
        self._record.begin(self.procedure, phase, time_s, memory.fresh, memory.away_s)
        memory.fresh = False
        self._tell("cycle_started", time_s)

    def _start_next_with_this_visit(self) -> None:
        """Of phases in any order all have been done: the one begun again is the first of the next cycle."""
        done = self._record
        phase, since_s = done.current, done.entered_s
        done.current = -1
        self.end(since_s)
        self._start(phase, since_s)
        self._enter_phase(phase, since_s)
        record = self._record
        record.last_work_s = done.last_work_s
        record.covered, record.visit = list(done.visit), list(done.visit)
        record.dwell(done.visit_s - done.begun_again_s)

    def _ends_with(self, phase: int) -> bool:
        """Cycles end with that phase."""
        return phase == len(self.procedure.phases) - 1 > 0 and not self.procedure.any_order

    def _last_phase_again(self, tick: Working, here: int) -> None:
        """The cycle has ended and its last phase is being done: once more, not a cycle that left out all others."""
        memory, record = self._memory, self._record
        if not any(record.covered):
            record.started_s, memory.repeated = tick.at_s, False
        seen = [b for b, covered in enumerate(record.covered) if covered]
        record.mark(min(seen[-1] + 1, here) if seen and 0 <= here - seen[-1] <= 8 else here, here)
        took = record.long_enough(self.procedure, tick.phase, tick.at_s - memory.ended_s)
        if min(seen, default=here) >= self.procedure.end_bin:
            return  # only standing there
        if not memory.repeated and record.coverage(self.procedure, [tick.phase]) >= (RETURNED if took else ESTABLISHED):
            memory.repeated = True
            if record.left_s is not None:
                return  # going away looked like the end of the cycle: now it is really done
            self._tell("phase_repeated", record.started_s, self.procedure.phases[tick.phase].name)

    def _goes_on_elsewhere(self, tick: Working) -> bool:
        """Work that had stopped after the last phase goes on, and not with what was passed over."""
        made_up = tick.phase in self._record.missing(self.procedure)
        elsewhere = not made_up and tick.phase != len(self.procedure.phases) - 1
        return self._memory.evidence.since("elsewhere", elsewhere, tick.at_s, tick.dt_s, PHASE_EVIDENCE_S) is not None

    def _starts_anew(self, before: int, here: int, near: bool) -> bool:
        """Position went back: is this the next cycle, and not a phase done again?"""
        bins, procedure = self.procedure.bins, self.procedure
        if procedure.any_order:
            return False  # see `_start_next_with_this_visit`
        from_end = before > procedure.spans[procedure.last_required][1] - START * bins
        # Going away looks like work that begins somewhere; who has not been away and was at the end may begin further along.
        if here > (START_ALONG if from_end and self._record.left_s is None else START) * bins:
            return False
        if near or from_end:
            return True
        order, last = self._record.order, len(procedure.phases) - 1
        if last in order and procedure.share(self._record.left_out(procedure)) > MOST_SKIPPED:
            return True  # what seemed to be a cycle was none
        # A first phase that was passed over is only being made up for.
        return (0 in order or self._record.joined) and max(order, default=0) >= 2 and here < procedure.spans[0][1]

    def _complete(self) -> bool:
        """Seen enough to count, leaving aside what was passed over."""
        record, procedure = self._record, self.procedure
        left_out = record.left_out(procedure)
        kept = [p for p in range(len(procedure.phases)) if p not in left_out]
        if not kept or (record.joined and record.missing(procedure)):
            return False
        most = MOST_UNFINISHED if procedure.last_required in left_out else MOST_SKIPPED
        return procedure.share(left_out) <= most and record.done_share(procedure, kept) >= COVERAGE

    def end(self, time_s: float) -> None:
        """The open cycle is over, as it is."""
        memory, record, procedure = self._memory, self._record, self.procedure
        complete = self._complete()
        memory.ended_s = time_s
        self._leave_phase(time_s)
        if complete:
            for key, (_, when) in list(record.pending.items()):
                self._skip(int(key), when)
            for phase in record.missing(procedure):
                self._skip(phase, min(record.last_work_s, time_s))
            record.learn_usual(procedure)
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
        memory.open = False
        memory.wrapped_s = memory.over_s = None
        memory.candidate, memory.candidate_s = -1, 0.0
        memory.evidence.forget("begin")
        self._record = record.following(procedure, time_s, left_s=record.left_s)

    # Visits

    def _visit(self, tick: Working) -> None:
        """Follows which phase is being visited, and tells what each visit means for the order."""
        memory, record, procedure = self._memory, self._record, self.procedure
        phase = tick.phase
        if phase != memory.candidate:
            memory.candidate, memory.candidate_s, memory.candidate_since_s = phase, 0.0, tick.at_s
            memory.candidate_bin, memory.candidate_work_s = memory.last_bin, 0.0
        memory.candidate_s += tick.dt_s * tick.confidence
        length_s = procedure.length_s(phase)
        if phase != record.current and memory.candidate_s >= min(PHASE_EVIDENCE_S, 0.25 * length_s) - ROUNDING_S:
            since_s = memory.candidate_since_s
            record.give_back(memory.candidate_work_s)
            for passed in range(record.current + 1, phase) if record.current >= 0 else ():
                # Too short to be told while it lasted, but passed through.
                if passed not in record.order and record.coverage(procedure, [passed]) >= COVERAGE:
                    self._leave_phase(since_s)
                    self._enter_phase(passed, since_s)
                    self._judge(tick.at_s)
            self._leave_phase(since_s)
            goes_on = record.goes_on(procedure, phase, memory.candidate_bin)
            self._enter_phase(phase, since_s)
            record.dwell(memory.candidate_work_s)
            record.established = goes_on or (record.unsure_of_s is not None and record.resumes(procedure))
            low, high = procedure.spans[phase]
            first = memory.candidate_bin
            if phase not in record.order:
                first = next((b for b in range(low, high) if record.covered[b]), low)
            record.visit[first : memory.last_bin + 1] = [1] * max(memory.last_bin + 1 - first, 0)
        again = record.current in record.order
        if record.current >= 0 and not record.established and not (again and (tick.leaving or record.coming())):
            ahead = procedure.bin_of(tick.ahead_s) if record.current == phase else 0
            if record.beyond_doubt(procedure, ahead):
                if procedure.any_order and again and not record.missing(procedure):
                    self._start_next_with_this_visit()
                self._judge(tick.at_s)

    def _dwell(self, tick: Working) -> None:
        record = self._record
        self._memory.candidate_work_s += tick.dt_s
        if record.current < 0:
            return
        record.dwell(tick.dt_s)
        limit_s, dwell_s = self.procedure.limits_s[record.current], record.visit_s - record.begun_again_s
        if not record.slow and dwell_s > limit_s:
            record.slow = True
            self._tell("slow", tick.at_s, self.phase_name, dwell_s=dwell_s, limit_s=limit_s)

    def _judge(self, time_s: float) -> None:
        self._memory.over_s = None
        verdicts = self._record.establish(self.procedure, time_s)
        left_out = {*self._record.skipped, *(phase for kind, phase, _ in verdicts if kind == "phase_skipped")}
        # A cycle that lacks more than this will be told as abandoned, unless what it lacks is still made up for.
        tells_skips = self.procedure.share(sorted(left_out)) <= MOST_SKIPPED
        for kind, phase, when in verdicts:
            if kind == "phase_skipped":
                if tells_skips:
                    self._skip(phase, when)
            else:
                self._tell(kind, when, self.procedure.phases[phase].name)

    def _skip(self, phase: int, when: float) -> None:
        self._record.pending.pop(str(phase), None)
        self._record.skipped.append(phase)
        if not self.procedure.phases[phase].optional:
            self._tell("phase_skipped", when, self.procedure.phases[phase].name)

    def _enter_phase(self, phase: int, time_s: float) -> None:
        self._record.enter(self.procedure, phase, time_s)
        self._tell("phase_started", time_s, self.procedure.phases[phase].name)

    def _leave_phase(self, time_s: float) -> None:
        record, phase = self._record, self._record.current
        if phase < 0:
            return
        if record.established:
            record.left(self.procedure)
        if self.procedure.phases[phase].confirm and phase not in record.confirmed:
            memory = self._memory
            never = memory.confirmations.await_of(Left(phase, time_s, record.visit_s, memory.cycle))
            if never is not None:
                self._not_confirmed(never)
        else:
            self._tell("phase_finished", time_s, self.procedure.phases[phase].name, duration_s=record.visit_s)
        record.current = -1

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain values."""
        return {"memory": asdict(self._memory), "record": asdict(self._record)}

    def restore(self, state: dict[str, Any]) -> None:
        memory = dict(state["memory"])
        evidence = Evidence(**memory.pop("evidence"))
        confirmations = Confirmations([Left(*left) for left in memory.pop("confirmations")["awaited"]])
        self._memory = _Memory(**memory, evidence=evidence, confirmations=confirmations)
        self._record = CycleRecord(**state["record"])
