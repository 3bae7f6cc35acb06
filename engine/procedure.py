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
LEARNED_QUANTILE = 2.326
"""Standard normal quantile of 99 %: dwelling longer than this share of log-normal durations is slow."""
LEAST_LOG_SPREAD = 0.35


class Procedure:
    """Bins over the reference's clock, and what each phase demands."""

    def __init__(self, reference: Reference) -> None:
        self.phases: tuple[Phase, ...] = reference.info.phases
        self.duration_s = reference.duration_s
        self.bins = int(np.clip(np.ceil(self.duration_s * BINS_PER_S), 8, MOST_BINS))
        starts = [0.0, *(phase.start_s for phase in self.phases[1:])]
        edges = [min(round(start / self.duration_s * self.bins), self.bins - 1) for start in starts] + [self.bins]
        self.spans = [(low, max(high, low + 1)) for low, high in pairwise(edges)]
        self.limits_s = [
            phase.limit_s if phase.limit_s is not None else _learned_limit(durations)
            for phase, durations in zip(self.phases, zip(*reference.info.durations_s, strict=True), strict=True)
        ]

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
        """Share of the reference's clock that these phases take."""
        return sum(map(self.bins_of, phases)) / self.bins


def _learned_limit(durations_s: tuple[float, ...]) -> float:
    logs = np.log(np.maximum(durations_s, 0.05))
    return float(np.exp(logs.mean() + LEARNED_QUANTILE * max(float(logs.std()), LEAST_LOG_SPREAD)))
