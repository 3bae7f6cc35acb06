"""The part of the live path that has a memory: resampler → embedder → matcher → events, as one object that can be saved.

    pose at camera time → ticks → embedding → match → events

Runs in the station's own process or, split off, as the `align` stage; either way this is the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.embedder.base import Embedder
from engine.events import EventDetector
from engine.latency import Latency
from engine.matching import open_matcher
from engine.matching.base import Match
from engine.messages import Event
from engine.reference import Reference
from engine.resample import Resampler, Tick
from models import skeleton


@dataclass(frozen=True)
class Step:
    """What one tick brought."""

    tick: Tick
    wall_s: float
    match: Match
    cycle: int
    cycles_finished: int
    events: list[Event]
    """Drafts: the store gives them their number."""


class Aligner:
    """Poses of one operator in, steps out. Raises BadReference if the reference was made with another bundle."""

    def __init__(self, embedder: Embedder, reference: Reference, station: str = "station") -> None:
        reference.check_bundle(embedder.bundle)
        self.reference = reference
        self.embedder = embedder
        self.latency = Latency()
        self._resampler = Resampler(embedder.bundle.info.rate_hz)
        self._matcher = open_matcher(reference)
        self.detector = EventDetector(reference, station=station)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next pose is the first."""
        self._resampler.reset()
        self.embedder.reset()
        self._matcher.reset()
        self.detector.reset()

    def warm_up(self) -> None:
        """Compile and allocate before the first frame waits for it; leaves no trace."""
        for _ in range(3):
            embedding = self.embedder.step(np.zeros((skeleton.layout(self.reference.info.layout).size, 3), np.float32))
            self._matcher.step(embedding, self._resampler.period_s)
        self.reset()

    def push(self, time_s: float, wall_s: float, pose: NDArray[np.float32]) -> list[Step]:
        """A pose (K, 3) in the bundle's layout, captured at `time_s` → the steps it completes."""
        return [self._step(tick, wall_s - (time_s - tick.time_s)) for tick in self._resampler.push(time_s, pose)]

    def finish(self) -> list[Event]:
        """The stream has ended → what was still to be told of its last moments."""
        return self.detector.finish(self._matcher.remaining())

    def _step(self, tick: Tick, wall_s: float) -> Step:
        with self.latency.measure("embed"):
            embedding = self.embedder.step(tick.pose)
        with self.latency.measure("match"):
            match = self._matcher.step(embedding if tick.seen else None, tick.dt_s, tick.pose)
        with self.latency.measure("events"):
            events = self.detector.step(match, tick.time_s, wall_s, tick.seen)
        return Step(tick, wall_s, match, self.detector.cycle, self.detector.cycles_finished, events)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything needed to go on in another process, as flat arrays named `part/tensor`."""
        parts = {
            "resampler": self._resampler.state(),
            "embedder": self.embedder.state(),
            "matcher": self._matcher.state(),
            "events": self.detector.state(),
        }
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        def of(part: str) -> dict[str, NDArray[Any]]:
            return {
                name.removeprefix(part + "/"): array for name, array in state.items() if name.startswith(part + "/")
            }

        self._resampler.restore(of("resampler"))
        self.embedder.restore(of("embedder"))
        self._matcher.restore(of("matcher"))
        self.detector.restore(of("events"))
