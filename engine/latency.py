"""How long each stage took lately: rolling percentiles, cheap enough to keep for every frame."""

from __future__ import annotations

import random
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

WINDOW = 600
"""Samples kept for the rolling figures: about 20 s at 30 fps."""
RESERVOIR = 50_000
"""Samples kept for the figures since the start: all of half an hour at 30 fps, an even choice of them later."""


class Latency:
    """Milliseconds per stage. `recent` is for a live view; `summary` is over everything since the start."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}
        self._all: dict[str, array[float]] = {}
        self._counts: dict[str, int] = {}
        self._random = random.Random(0)
        self.listeners: list[Callable[[str, float], None]] = []
        """Told every sample: stage and milliseconds."""

    def add(self, stage: str, milliseconds: float) -> None:
        for listener in self.listeners:
            listener(stage, milliseconds)
        self._recent.setdefault(stage, deque(maxlen=WINDOW)).append(milliseconds)
        kept = self._all.setdefault(stage, array("f"))
        count = self._counts[stage] = self._counts.get(stage, 0) + 1
        if len(kept) < RESERVOIR:
            kept.append(milliseconds)
        elif (slot := self._random.randrange(count)) < RESERVOIR:  # reservoir sampling: memory stays flat for years
            kept[slot] = milliseconds

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, 1000 * (time.perf_counter() - started))

    def recent(self) -> dict[str, tuple[float, float]]:
        """Stage → p50 and p95 of the last samples, milliseconds."""
        return {
            stage: tuple(np.percentile(np.fromiter(samples, float), (50, 95)).round(3).tolist())
            for stage, samples in self._recent.items()
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """Stage → p50, p95, p99 and count since the start."""
        result = {}
        for stage, samples in self._all.items():
            p50, p95, p99 = np.percentile(samples, (50, 95, 99)).round(3).tolist()
            result[stage] = {"p50": p50, "p95": p95, "p99": p99, "count": self._counts[stage]}
        return result
