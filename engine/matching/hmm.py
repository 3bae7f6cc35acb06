"""The matcher: a forward-filtered switching bar-pointer HMM over reference positions.

    embedding ─emission→ log ratios (N,) ┐
    pose ─facing→ turned away?           ┼─forward→ belief over position × rate, off task at i, idle ─mode→ Match
         stillness→ pausing? news?       ┘

State that decides lives in three arrays (`on`, `off`, `idle`) and a few numbers; it can be saved and restored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.matching import transitions
from engine.matching.base import Delayed, Match
from engine.matching.emission import Emission
from engine.matching.facing import Facing
from engine.matching.forward import compile_once, forward
from engine.matching.smoothing import LAG_S, FixedLag
from engine.matching.stillness import BUSY, Stillness, moving, pause_nats_per_s
from engine.matching.transitions import RATES, Dynamics
from engine.reference import Reference

HOME_S = 0.15
"""Between cycles people stand as they do at its start and end: the poses this close to either fit idleness too."""
RESTLESS = 3.0
"""But whoever has not rested for this many times the reference's length only passes through them: they go from one cycle into the next. At
a third of the pace, the slowest that is followed, that is one cycle (docs/decisions/013)."""
CONFIDENCE_S = 0.5
"""Confidence is the belief within this distance of the mode."""
LAPSE = 0.035
"""Share of the ticks without any doubt that are misplaced all the same, because what was done resembles another moment more than
its own: no posterior knows of it. Tuning stations: 0.03 from true joints, 0.05 through the pose estimator."""
LOST_S = 0.5
"""Nobody seen for this long: lost."""
FORGET_S = 30.0
"""After a hole longer than this nothing is known any more."""
LONGEST_STEP_S = 0.25
"""A longer tick is walked through in steps of this length."""
PACE_S = 1.0
"""Memory of the pace that the ETA is computed with."""


class SwitchingMatcher:
    """Follows one stream against one reference. Implements `engine.matching.base.Matcher`."""

    def __init__(self, reference: Reference, dynamics: Dynamics | None = None) -> None:
        self.reference = reference
        self.dynamics = dynamics or Dynamics()
        self._emission, self._facing = Emission(reference), Facing(reference)
        count, rates = len(reference), len(RATES)
        self._rate_hz = reference.info.rate_hz
        self._cyclic = reference.info.cyclic
        self._stillness = Stillness(reference.poses.shape[1], self._rate_hz)
        self._moving = moving(reference.poses, self._rate_hz)
        self._land, self._begin = transitions.landings(reference, self.dynamics)
        self._entry = np.array(self.dynamics.entry, np.float32)
        self._rates = np.array(RATES)
        self._phase_of = np.array([reference.phase_index(i / self._rate_hz) for i in range(count)])
        self._on = np.empty((rates, count), np.float32)
        self._off = np.empty(count, np.float32)
        self._mixed, self._moved = np.empty_like(self._on), np.empty_like(self._on)
        self._neutral = np.ones(count, np.float32)
        self._likelihood = np.empty(count, np.float32)
        self._window = max(1, round(CONFIDENCE_S * self._rate_hz))
        self._home = min(count, max(1, round(HOME_S * self._rate_hz)))
        furthest = int(np.ceil(max(RATES) * LONGEST_STEP_S * self._rate_hz))
        self._lag = FixedLag(count, round(LAG_S * self._rate_hz), furthest, self._land, self._begin)
        self._prepared_s = -1.0
        compile_once()
        self.reset()

    def reset(self) -> None:
        """Nothing is known: idle, at the start, or anywhere in the procedure."""
        self._on[:] = 0.4 * np.outer(self._entry, self._begin)
        self._off[:] = 0.1 / len(self._off)
        self._idle = 0.5
        self._pace = 1.0
        self._unseen_s = 0.0
        self._lag.reset()
        self._emission.reset()
        self._facing.reset()
        self._stillness.reset()

    def step(
        self, embedding: NDArray[np.float32] | None, dt_s: float, pose: NDArray[np.floating] | None = None
    ) -> Match:
        """One tick, see `engine.matching.base.Matcher`.

        A tick whose embedding is missing, not finite or zero carries no evidence. Time that stands still or goes back moves
        nothing; after a hole longer than `FORGET_S` the matcher starts anew.
        """
        dt_s = dt_s if np.isfinite(dt_s) and dt_s > 0 else 0.0
        if dt_s > FORGET_S:
            self.reset()
            dt_s = 1 / self._rate_hz
        seen = embedding is not None and bool(np.isfinite(embedding).all()) and bool(embedding.any())
        self._unseen_s = 0.0 if seen else self._unseen_s + dt_s
        likelihood, at_home = self._neutral, 1.0
        move = self._stillness.step(pose if seen else None)
        if seen:
            likelihood = self._likelihood
            at_work = float(self._off.sum()) + self._idle < 0.5
            turned = self._facing.turned(pose, dt_s, at_work)
            # Whoever is turned away or waits for work to begin is not followed, however still they stand.
            share = self._stillness.news(move) if at_work and not turned else 1.0
            np.exp(self._emission(embedding, dt_s, turned, share), out=likelihood)  # type: ignore[arg-type]
            at_home = max(float(likelihood[: self._home].max()), float(likelihood[-self._home :].max()))
            at_home = at_home if turned else max(at_home, 1.0)  # whoever waits faces the work, too
            if self._stillness.since_rest_s > RESTLESS * self.reference.duration_s:
                at_home = min(at_home, 1.0)
        nats = np.float32(pause_nats_per_s(move) * dt_s)
        if nats < 0:
            self._on[0] *= np.exp(nats)
        elif nats > 0:
            self._on[1:] *= np.exp(-nats * self._moving)
        for home in (slice(self._home), slice(-self._home, None)):
            # Who stands where the work begins, or where it has ended, is not paused in it.
            self._idle += float(self._on[0, home].sum())
            self._on[0, home] = 0.0
        steps = max(1, int(np.ceil(dt_s / LONGEST_STEP_S)))
        for number in range(steps):
            last = number == steps - 1
            self._advance(dt_s / steps, likelihood if last else self._neutral, at_home if last else 1.0, seen)
        return self._answer(dt_s, busy=move is not None and move > BUSY)

    def _advance(self, dt_s: float, likelihood: NDArray[np.float32], at_home: float, seen: bool) -> None:
        if dt_s != self._prepared_s:
            self._prepare(dt_s)
        odds = self._odds if seen else self._odds_unseen
        self._lag.push(self._on, self._off, self._idle, likelihood, at_home, self._spread, odds)
        self._idle = forward(
            self._on,
            self._off,
            self._idle,
            self._mixing,
            self._shifts,
            odds,
            self._entry,
            self._land,
            self._begin,
            likelihood,
            at_home,
            self._mixed,
            self._moved,
        )

    def _prepare(self, dt_s: float) -> None:
        """Probabilities of one tick of this length."""
        dynamics, chance = self.dynamics, transitions.chance
        self._mixing = transitions.rate_transition(dynamics, dt_s)
        self._shifts = self._rates * dt_s * self._rate_hz
        self._spread = self._lag.spread(self._shifts)
        self._odds = np.array(
            [
                chance(dynamics.jump, dt_s),
                chance(dynamics.leave, dt_s),
                chance(dynamics.come_back, dt_s),
                dynamics.come_back_here,
                dynamics.come_back_start / max(1 - dynamics.come_back_here, 1e-9),
                chance(dynamics.give_up, dt_s),
                chance(dynamics.begin, dt_s),
                dynamics.wrap if self._cyclic else 0.0,
            ]
        )
        self._odds_unseen = self._odds.copy()
        self._odds_unseen[1] = chance(dynamics.leave_unseen, dt_s)
        self._prepared_s = dt_s

    @property
    def nbytes(self) -> int:
        """What the matcher keeps in memory, apart from the reference itself."""
        own = sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))
        return own + self._emission.nbytes + self._lag.nbytes

    @property
    def belief(self) -> NDArray[np.float32]:
        """Belief (N,) in being on task (or paused) at each position; what is missing from 1 is off task or idle."""
        return self._on.sum(axis=0)

    def _answer(self, dt_s: float, busy: bool) -> Match:
        belief = self.belief
        off, on = float(self._off.sum()), float(belief.sum())
        paused = float(self._on[0].sum())
        working = on >= max(off, self._idle)
        if self._unseen_s >= LOST_S:
            status = "lost"
        elif working:
            status = "paused" if paused > 0.5 * on and not busy else "on_task"
        else:
            status = "off_task" if off >= self._idle else "idle"
        where = belief if working or self._idle > off else self._off
        mode = int(where.argmax())
        near = self._near(mode)
        mass = float(where[near].sum())
        if working:
            local = self._on[:, near].sum(axis=1, dtype=np.float64)
            rate = float(local @ self._rates / max(local.sum(), 1e-12))
            if status == "on_task":
                self._pace += (1 - np.exp(-dt_s / PACE_S)) * (max(rate, RATES[1]) - self._pace)
        else:
            rate = 0.0
        position_s = mode / self._rate_hz
        duration_s = self.reference.duration_s
        phase = int(self._phase_of[mode])
        span = self.reference.info.phases[phase]
        length_s = max(span.end_s - span.start_s, 1 / self._rate_hz)
        return Match(
            position_s=position_s,
            phase=phase,
            phase_progress=min(max((position_s - span.start_s) / length_s, 0.0), 1.0),
            cycle_progress=position_s / duration_s,
            rate=rate,
            confidence=(1 - LAPSE) * mass if working else max(off, self._idle),
            status=status,  # type: ignore[arg-type]
            eta_s=(duration_s - position_s) / self._pace if working and status != "lost" else None,
            delayed=self._delayed(self._lag.belief(), self._lag.filled),
        )

    def remaining(self) -> list[Delayed]:
        """What the delayed copy has not come to yet, up to the last tick: for the end of a stream. Nothing when asked again."""
        out = [self._delayed(self._lag.belief(since), self._lag.filled - since) for since in range(1, self._lag.filled)]
        if self._lag.filled:
            out.append(self._delayed(self.belief, 0))
        self._lag.reset()
        return out

    def _delayed(self, belief: NDArray[np.float32], lag: int) -> Delayed:
        """From the belief (N,) in being at work at each position `lag` ticks ago."""
        mode = int(belief.argmax())
        return Delayed(
            position_s=mode / self._rate_hz,
            phase=int(self._phase_of[mode]),
            confidence=float(belief[self._near(mode)].sum()),
            at_work=float(belief.sum()),
            lag_s=lag / self._rate_hz,
        )

    def _near(self, mode: int) -> NDArray[np.int64] | slice:
        count = len(self._off)
        low, high = mode - self._window, mode + self._window + 1
        if high - low >= count:
            return slice(0, count)
        if low >= 0 and high <= count:
            return slice(low, high)
        if not self._cyclic:
            return slice(max(low, 0), min(high, count))
        return np.arange(low, high) % count

    def state(self) -> dict[str, NDArray[Any]]:
        numbers = np.array([self._idle, self._pace, self._unseen_s, self._emission.best_of_late])
        own = {"on": self._on.copy(), "off": self._off.copy(), "numbers": numbers}
        return own | self._lag.state() | self._facing.state() | self._stillness.state()

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._on[:], self._off[:] = state["on"], state["off"]
        self._idle, self._pace, self._unseen_s, self._emission.best_of_late = map(float, state["numbers"])
        self._lag.restore(state)
        self._facing.restore(state)
        self._stillness.restore(state)
