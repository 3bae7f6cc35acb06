"""What a reference asks of a cycle: its phases as bins over the reference's clock, their order, length and limits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from engine.reference import Phase, Reference

BINS_PER_S = 20.0
MOST_BINS = 600
ESTABLISHED = 0.35
"""A visit counts once this share of the phase has been passed through: a matcher that slides on for a moment is no visit."""
LAST_ESTABLISHED = 0.45
"""The last phase needs more: nothing comes after it to be told from, and going home begins like it."""
END_S = 0.1
"""This close to the end of the clock counts as having reached it."""
LEARNED_QUANTILE = 2.326
"""Standard normal quantile of 99 %: dwelling longer than this share of log-normal durations is slow."""
LEAST_LOG_SPREAD = 0.35
LEAST_LIMIT_S = 1.0
"""No learned limit is shorter: of a phase that takes a tick or two, a moment's hesitation is a multiple."""


class Procedure:
    """Bins over the reference's clock, and what each phase demands."""

    def __init__(self, reference: Reference) -> None:
        self.phases: tuple[Phase, ...] = reference.info.phases
        self.duration_s = reference.duration_s
        self.bins = int(np.clip(np.ceil(self.duration_s * BINS_PER_S), 8, MOST_BINS))
        self.end_bin = self.bins - max(1, round(END_S / self.duration_s * self.bins))
        """Whoever is here or beyond has reached the end."""
        starts = [0.0, *(phase.start_s for phase in self.phases[1:])]
        edges = [min(round(start / self.duration_s * self.bins), self.bins - 1) for start in starts] + [self.bins]
        self.spans = [(low, max(high, low + 1)) for low, high in pairwise(edges)]
        self.limits_s = [
            phase.limit_s if phase.limit_s is not None else _learned_limit(durations)
            for phase, durations in zip(self.phases, zip(*reference.info.durations_s, strict=True), strict=True)
        ]
        required = [p for p, phase in enumerate(self.phases) if not phase.optional]
        self.last_required = max(required, default=len(self.phases) - 1)
        """Whoever has done this phase may be at the end: only optional ones follow."""
        self._required_bins = sum(map(self.bins_of, required))

    @property
    def any_order(self) -> bool:
        """All phases are of one group: a cycle may begin and end with any of them."""
        return len(self.phases) > 1 and self.phases[0].group is not None and len({p.group for p in self.phases}) == 1

    def bin_of(self, position_s: float) -> int:
        return int(np.clip(position_s / self.duration_s * self.bins, 0, self.bins - 1))

    def earlier(self, phase: int) -> list[int]:
        """Phases that must come before this one: lower index, not of its any-order group."""
        group = self.phases[phase].group
        return [r for r in range(phase) if group is None or self.phases[r].group != group]

    def counts_from(self, phase: int) -> float:
        """Share of a phase from which on it has been done."""
        return LAST_ESTABLISHED if phase == len(self.phases) - 1 > 0 else ESTABLISHED

    def length_s(self, phase: int) -> float:
        """Seconds of a phase on the reference's clock."""
        return self.phases[phase].end_s - self.phases[phase].start_s

    def bins_of(self, phase: int) -> int:
        """Number of bins of a phase."""
        low, high = self.spans[phase]
        return high - low

    def share(self, phases: list[int]) -> float:
        """Share, by the reference's clock, of what must be done that these phases are; optional ones are none of it."""
        return sum(self.bins_of(p) for p in phases if not self.phases[p].optional) / max(self._required_bins, 1)


def _learned_limit(durations_s: tuple[float, ...]) -> float:
    logs = np.log(np.maximum(durations_s, 0.05))
    limit_s = np.exp(logs.mean() + LEARNED_QUANTILE * max(float(logs.std()), LEAST_LOG_SPREAD))
    return max(float(limit_s), LEAST_LIMIT_S)
