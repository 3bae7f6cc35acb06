"""What has been seen of one cycle: which parts of the procedure, in which order, for how long.

`engine.events.procedure` is what a reference asks for, `CycleRecord` what one cycle gave; `engine.events.cycle_tracking` decides what to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.events.procedure import Procedure
from engine.messages import EventKind

AGAIN = 0.3
"""Back by this share of a phase: it is being done again."""
GOES_ON = 0.2
"""Back by less, after what never counted as a visit: it goes on."""
RETURNED, RETURNED_TIME = 0.2, 0.5
"""Done again at once, a phase counts from this share on, if work since it was first left took this share of its time."""
ONCE_MORE = 0.8
"""A phase that has just been begun again is not begun once more before this share of its time: matchers slip back in steps."""
DONE = 0.8
"""But only of a phase that had been gone through by this share."""
HIDING = 1.4
"""A phase that came after a passed one and took this much longer than it usually does, at the pace of the cycle, took the time of
both: the passed phase was done then, and looked like it. Tuning stations: 1.7–3.2 where that was so, at most 1.34 where not."""
HIDDEN = 0.25
"""But not by less than this share of what the passed phase takes: of a phase that has only been begun a tick or two make the former
ratio. Nine seeds of stations: 0.25–0.87 in 42 cycles where that was so, 0.15–0.23 in three where not."""
PACE_PRIOR_S = 1.0
"""Work at the usual pace that is added to what has been seen, before the pace of a cycle is spoken of."""
LATEST = 0.5
"""Weight of the latest cycle in what a phase usually takes somebody."""
BEGUN = 0.45
"""A phase of which less was seen before has not been done, but begun: what comes late resembles the start of what comes next. Tuning
stations: 0.64 or more had been seen of 203 phases that were repeated, 0.21 to 0.40 of three that were not."""
WHOLE = 0.6
"""A phase of which this share was passed through was done, whatever was not recognised of the rest."""
TURNING_S = 2.0
"""What seemed to begin this shortly before the operator was away may have been their going."""

COMING_S = 1.5
"""What seems to be done again this soon after they are back may be their coming, and so may what was taken up before the phase
that was left."""
MOVED_ON_S = 1.5
"""Work after a pause until the position is trusted again as a place to have gone back from."""

LEAP_S = 0.3
"""A belief that leaps in a pause seems to be at work for this long."""


@dataclass
class CycleRecord:
    """Plain values only, so that it can be saved as JSON and printed."""

    covered: list[int]
    """Per bin: seen in this cycle."""
    visit: list[int]
    """Per bin: seen in this visit of the current phase."""
    dwell_s: list[float]
    started_s: float
    usual: list[float | None]
    """Per phase: seconds that it has taken in earlier cycles, per second of the reference; None: not known."""
    joined: bool = False
    """First seen in its midst (the stream began there): what came before is unknown, not skipped."""
    current: int = -1
    """Phase being visited."""
    entered_s: float = 0.0
    begun_share: float = 0.0
    """Share of that phase that had been seen in this cycle before the visit."""
    established: bool = False
    order: list[int] = field(default_factory=list)
    """Established visits."""
    order_s: list[float] = field(default_factory=list)
    """When each of them began."""
    pending: dict[str, list[float]] = field(default_factory=dict)
    """Passed without a visit: phase → [phase that came instead, when]."""
    skipped: list[int] = field(default_factory=list)
    """Reported as skipped, or not known of (see `begin`) and not to be reported."""
    confirmed: list[int] = field(default_factory=list)
    slow: bool = False
    """The current visit has been reported as slow."""
    visit_s: float = 0.0
    """Time at work in this visit."""
    begun_again_s: float = 0.0
    """What `visit_s` was when the phase was begun again without another in between."""
    last_work_s: float = 0.0
    """When work was last seen."""
    dwell_at_last_s: float = 0.0
    """All of `dwell_s` when the last visit that counted ended."""
    left_s: float | None = None
    """When the operator went away, until a phase is established again."""
    back_s: float = 0.0
    """Time at work since then."""
    unsure_of_s: float | None = None
    """`left_s` of an absence after which another phase was taken up, as it seems: see `COMING_S`."""
    left_bin: int = 0
    """Where the last visit that counted was left."""
    paused_bin: int | None = None
    """Where the operator stopped, until they have worked on for a while: matchers drift while somebody stands still."""
    since_pause_s: float = 0.0
    """Time at work after that."""
    hiding: list[int] = field(default_factory=list)
    """Phases that took another one's time, see `HIDING`."""

    @staticmethod
    def empty(procedure: Procedure) -> CycleRecord:
        """Of the first cycle; nobody knows what came before."""
        bins, phases = procedure.bins, len(procedure.phases)
        return CycleRecord([0] * bins, [0] * bins, [0.0] * phases, 0.0, [None] * phases, joined=True)

    def following(
        self, procedure: Procedure, time_s: float, joined: bool = False, left_s: float | None = None
    ) -> CycleRecord:
        """An empty record of the next cycle. Habits go with it; whoever takes over has their own after two or three cycles."""
        empty = CycleRecord.empty(procedure)
        return replace(empty, started_s=time_s, usual=list(self.usual), joined=joined, left_s=left_s)

    def begin(self, procedure: Procedure, phase: int, time_s: float, fresh: bool, away_s: float | None) -> None:
        """The cycle has begun at `time_s`, as it seems with `phase`.

        `fresh`: nothing is known of what came before. `away_s`: when the operator was last away; whoever comes from there may go on
        with what they had begun, or their coming only resembles work: what would have come before is not reported as skipped.
        """
        self.started_s = time_s
        self.joined = fresh and not all(procedure.phases[before].optional for before in range(phase))
        if not self.joined and away_s is not None and time_s - away_s < COMING_S:
            self.skipped = procedure.earlier(phase)

    def mark(self, low: int, high: int) -> None:
        """Bins low … high have been passed through."""
        for b in range(low, high + 1):
            self.covered[b] = self.visit[b] = 1

    def enter(self, procedure: Procedure, phase: int, time_s: float) -> None:
        self.current, self.entered_s, self.established, self.slow = phase, time_s, False, False
        self.visit_s = self.begun_again_s = 0.0
        self.begun_share = self.coverage(procedure, [phase])
        self.visit = [0] * len(self.visit)

    def stand_still(self, here: int) -> None:
        self.since_pause_s = 0.0
        if self.paused_bin is None:
            self.paused_bin = here

    def move_on(self, seconds: float) -> None:
        self.since_pause_s += seconds
        if self.since_pause_s >= MOVED_ON_S:
            self.paused_bin = None

    def just_stood(self) -> bool:
        """Work after a pause is no older than what a leap in one looks like."""
        return self.paused_bin is not None and self.since_pause_s < LEAP_S

    def surely_reached(self, position_bin: int) -> int:
        """That bin, or where the operator stopped, if they have only just moved on."""
        return position_bin if self.paused_bin is None else min(position_bin, self.paused_bin)

    def dwell(self, seconds: float) -> None:
        """Time at work in the current phase."""
        self.dwell_s[self.current] += seconds
        self.visit_s += seconds

    def give_back(self, seconds: float) -> None:
        """The last time at work in the current phase, if any, was already the next one's."""
        if self.current >= 0:
            seconds = min(seconds, self.visit_s)
            self.dwell(-seconds)

    def left(self, procedure: Procedure) -> None:
        """The current visit, which counted, is over."""
        low, high = procedure.spans[self.current]
        self.left_bin = next((b for b in range(high - 1, low, -1) if self.visit[b]), low)
        self.dwell_at_last_s = sum(self.dwell_s)

    def goes_on(self, procedure: Procedure, phase: int, here: int) -> bool:
        """Back in the phase that was done last, soon and about where it was left: what seemed to come between was nothing."""
        if not self.order or self.order[-1] != phase or self.left_s is not None:
            return False
        back = self.surely_reached(self.left_bin) - here
        return back < GOES_ON * procedure.bins_of(phase) and not self._long_enough_since(procedure, phase)

    def coming(self) -> bool:
        """The operator has only just come back: see `COMING_S`."""
        return self.back_s < COMING_S and self._after_absence() is not None

    def may_begin_again(self, procedure: Procedure, time_s: float) -> bool:
        """Whoever has just begun a phase again takes time before they do so once more: see `ONCE_MORE`."""
        again = self.order[-2:] == [self.current] * 2
        return not again or time_s - self.entered_s >= ONCE_MORE * self._takes_s(procedure, self.current)

    def revisit(self, procedure: Procedure, time_s: float) -> None:
        """The current phase is being done again, without another in between."""
        self.entered_s, self.established, self.visit = time_s, False, [0] * len(self.visit)
        self.begun_again_s, self.slow = self.visit_s, False
        self.begun_share = self.coverage(procedure, [self.current])

    def coverage(self, procedure: Procedure, phases: list[int] | None = None) -> float:
        """Share of the bins of these phases (None: of all that were not skipped) seen in this cycle."""
        if phases is None:
            phases = [p for p in range(len(procedure.phases)) if p not in self.skipped]
        spans = [procedure.spans[p] for p in phases]
        seen = sum(sum(self.covered[low:high]) for low, high in spans)
        return seen / max(sum(high - low for low, high in spans), 1)

    def done_share(self, procedure: Procedure, phases: list[int]) -> float:
        """Share of these phases, by length, that has been done; of a phase seen for `WHOLE`, all of it.

        Whoever leaves a phase out comes into the next one from elsewhere and is recognised only further along.
        """
        whole = WHOLE if len(procedure.phases) > 1 else 1.0
        lengths = [procedure.bins_of(p) for p in phases]
        done = [min(self.coverage(procedure, [p]) / whole, 1.0) for p in phases]
        return sum(d * n for d, n in zip(done, lengths, strict=True)) / max(sum(lengths), 1)

    def beyond_doubt(self, procedure: Procedure, ahead: int) -> bool:
        """Enough of the current phase has been passed through for the visit to count.

        `ahead`: bin where work is by now, as the live answer has it. It is believed sooner of a phase that has not been done
        yet: most wrong turns of the live answer go back.
        """
        low, high = procedure.spans[self.current]
        seen = sum(self.visit[low:high])
        needed = procedure.counts_from(self.current) * (high - low)
        if seen >= needed or self._returned(procedure, seen / (high - low)):
            return True
        last = next((b for b in range(high - 1, low - 1, -1) if self.visit[b]), low)
        onward = max(min(ahead, high - 1) - last, 0)
        return self.current not in self.order and seen + onward >= needed

    def _returned(self, procedure: Procedure, share: float) -> bool:
        """The phase that was done last goes on being done, of which this visit has passed through `share`.

        Whoever begins it again is first taken to stand where it ended; see `RETURNED`.
        """
        if share < RETURNED or not self.order or self.order[-1] != self.current or self.left_s is not None:
            return False
        if self.coverage(procedure, [self.current]) < DONE:
            return False
        return self._long_enough_since(procedure, self.current)

    def _long_enough_since(self, procedure: Procedure, phase: int) -> bool:
        """Work since a visit last counted has taken so long that the phase may have been done again."""
        return self.long_enough(procedure, phase, sum(self.dwell_s) - self.dwell_at_last_s)

    def long_enough(self, procedure: Procedure, phase: int, seconds: float) -> bool:
        """So long that the phase may have been done again: see `RETURNED`."""
        return seconds >= RETURNED_TIME * self._takes_s(procedure, phase)

    def _takes_s(self, procedure: Procedure, phase: int) -> float:
        """What a phase usually takes this person, at the pace of this cycle."""
        return procedure.length_s(phase) * self._usual(phase) * self.pace(procedure)

    def establish(self, procedure: Procedure, time_s: float) -> list[tuple[EventKind, int, float]]:
        """The current visit is now beyond doubt: what that says about order, as (kind, phase, when)."""
        phase = self.current
        verdicts: list[tuple[EventKind, int, float]] = []
        self.established = True
        if self.resumes(procedure):
            return []
        left_s, self.left_s = self._after_absence(), None
        self.unsure_of_s = left_s if phase not in self.order else None
        if str(phase) in self.pending:
            del self.pending[str(phase)]
            verdicts.append(("phase_out_of_order", phase, self.entered_s))
        elif phase in self.order:
            was_another = phase in self.hiding and self.order.count(phase) == 1
            if not was_another and self.begun_share >= BEGUN:
                verdicts.append(("phase_repeated", phase, self.entered_s))
        elif self.order and any(phase in procedure.earlier(q) for q in self.order) and not self.joined:
            verdicts.append(("phase_out_of_order", phase, self.entered_s))
        # Work has gone further forward than what came instead of a passed phase: it will not be made up for.
        for key, (instead, when) in list(self.pending.items()):
            if phase > instead and self._hides(procedure, int(key)):
                self._take_as_done(procedure, int(key))
                verdicts.append(("phase_out_of_order", int(key), self.entered_s))
            elif phase > instead:
                verdicts.append(("phase_skipped", int(key), when))
        if self.order or not self.joined:
            known_from = min(self.order) if self.joined and self.order else 0
            for r in procedure.earlier(phase):
                gone = r in self.order or r in self.skipped or str(r) in self.pending
                if not gone and r >= known_from and not self.done(procedure, r):
                    self.pending[str(r)] = [phase, self.entered_s]
        self.order.append(phase)
        self.order_s.append(self.entered_s)
        return verdicts

    def _hides(self, procedure: Procedure, passed: int) -> bool:
        """The current phase has taken too long for what it has come through: see `HIDING` and `HIDDEN`."""
        expected_s = self.pace(procedure) * self._passed_s(procedure, self.current) * self._usual(self.current)
        took_s = self.dwell_s[self.current]
        return took_s > HIDING * expected_s and took_s - expected_s >= HIDDEN * self._takes_s(procedure, passed)

    def _passed_s(self, procedure: Procedure, phase: int) -> float:
        """How much of a phase has been seen in this cycle, in seconds of the reference."""
        low, high = procedure.spans[phase]
        return sum(self.covered[low:high]) * procedure.duration_s / procedure.bins

    def pace(self, procedure: Procedure) -> float:
        """Time that this cycle's other phases have taken, as a multiple of what they usually take."""
        others = {p for p in self.order if p != self.current}
        usual_s = sum(self._passed_s(procedure, p) * self._usual(p) for p in others)
        return (sum(self.dwell_s[p] for p in others) + PACE_PRIOR_S) / (usual_s + PACE_PRIOR_S)

    def _usual(self, phase: int) -> float:
        """Seconds that a phase takes this person per second of the reference; as the others do where it is not known."""
        known = [ratio for ratio in self.usual if ratio is not None]
        own = self.usual[phase]
        return own if own is not None else sum(known) / len(known) if known else 1.0

    def learn_usual(self, procedure: Procedure) -> None:
        """The cycle is over: what its phases took, of those that were done once, by themselves and almost wholly."""
        for phase in set(self.order):
            alone = self.order.count(phase) == 1 and phase not in self.hiding and self.dwell_s[phase] > 0
            if alone and self.coverage(procedure, [phase]) >= WHOLE:
                ratio, before = self.dwell_s[phase] / self._passed_s(procedure, phase), self.usual[phase]
                self.usual[phase] = ratio if before is None else (1 - LATEST) * before + LATEST * ratio

    def _take_as_done(self, procedure: Procedure, phase: int) -> None:
        """Done, though it was not recognised."""
        low, high = procedure.spans[phase]
        self.covered[low:high] = [1] * (high - low)
        self.hiding.append(self.current)
        self.pending.pop(str(phase), None)
        self.order.append(phase)
        self.order_s.append(self.entered_s)

    def _after_absence(self) -> float | None:
        """`left_s` of an absence after which no phase has been taken up beyond doubt."""
        return self.left_s if self.left_s is not None or self.back_s > COMING_S else self.unsure_of_s

    def resumes(self, procedure: Procedure) -> bool:
        """The operator is back from being away and takes up the phase that was left: no repetition of it.

        What was seen beyond it while they were turning away, or back, was no work, and is taken back.
        """
        left_s = self._after_absence()
        if left_s is None or self.current not in self.order:
            return False
        place = len(self.order) - 1 - self.order[::-1].index(self.current)
        if any(began_s < left_s - TURNING_S for began_s in self.order_s[place + 1 :]):
            return False
        for illusion in self.order[place + 1 :]:
            low, high = procedure.spans[illusion]
            self.covered[low:high] = [0] * (high - low)
            self.pending = {key: passed for key, passed in self.pending.items() if passed[0] != illusion}
        del self.order[place + 1 :], self.order_s[place + 1 :]
        self.left_s = self.unsure_of_s = None
        return True

    def done(self, procedure: Procedure, phase: int) -> bool:
        seen = self.coverage(procedure, [phase]) >= procedure.counts_from(phase)
        return seen or phase in self.confirmed or phase in self.order

    def missing(self, procedure: Procedure) -> list[int]:
        """Phases not done and not yet reported as skipped."""
        return [p for p in range(len(procedure.phases)) if p not in self.skipped and not self.done(procedure, p)]

    def left_out(self, procedure: Procedure) -> list[int]:
        """Phases not done, reported or not."""
        return sorted({*self.missing(procedure), *self.skipped})

    def may_be_made_up_for(self, procedure: Procedure) -> bool:
        """The last phase was done, but not all of those before it, and that has not been reported."""
        missing = self.missing(procedure)
        return bool(missing) and len(procedure.phases) - 1 not in missing
