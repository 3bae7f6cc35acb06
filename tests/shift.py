"""A worker's shift, fed to the events as if the matcher were perfect; used by tests of events and deviations."""

from collections.abc import Callable, Sequence

import numpy as np

from engine.events import EventDetector
from engine.matching.base import Delayed, Match
from engine.messages import Event
from engine.reference import Phase, Reference, ReferenceInfo

RATE_HZ, LENGTH_S = 20.0, 2.0
"""Three phases of two seconds."""


def make_reference(names: str = "abc", **options) -> Reference:
    """Phases of these names; `options`: name → further fields of Phase."""
    phases = tuple(
        Phase(name=n, start_s=i * LENGTH_S, end_s=(i + 1) * LENGTH_S, **options.get(n, {})) for i, n in enumerate(names)
    )
    info = ReferenceInfo(
        bundle="x", bundle_sha256="0", layout="body13", rate_hz=RATE_HZ, phases=phases, durations_s=((LENGTH_S,) * len(names),),
        demonstrations=("x",), emission={"slope": 1.0, "offset": 0.0, "temper": 1.0},
    )  # fmt: skip
    ticks = round(len(names) * LENGTH_S * RATE_HZ)
    return Reference(info, np.zeros((ticks, 4), np.float32), np.zeros(ticks, np.float32), np.zeros((ticks, 13, 3)))


class Shift:
    """Feeds a detector as if the matcher were perfect."""

    def __init__(self, names: str = "abc", **options) -> None:
        self.names = names
        self.reference = make_reference(names, **options)
        self.detector = EventDetector(self.reference, station="bench")
        self.time_s = 0.0
        self.told = []

    def tick(self, position_s: float, status: str = "on_task", seen: bool = True, confidence: float = 0.95) -> None:
        phase = self.reference.phase_index(position_s)
        match = Match(position_s, phase, 0.0, position_s / self.reference.duration_s, 1.0, confidence, status, 1.0)
        self.told += self.detector.step(match, self.time_s, 1e9 + self.time_s, seen)
        self.time_s += 1 / RATE_HZ

    def do(self, *names: str, pace: float = 1.0) -> "Shift":
        for name in names:
            start = LENGTH_S * self.names.index(name)
            for offset in np.arange(0, LENGTH_S - 1e-9, pace / RATE_HZ):
                self.tick(start + offset)
        return self

    def stay(self, position_s: float, seconds: float, status: str, seen: bool = True) -> "Shift":
        for _ in range(round(seconds * RATE_HZ)):
            self.tick(position_s, status, seen)
        return self

    def kinds(self, *kinds: str) -> list[tuple[str, str | None]]:
        return [(e.event, e.phase) for e in self.told if e.event in kinds]


DEVIATIONS = ("phase_skipped", "phase_repeated", "phase_out_of_order", "slow")


def told_with_delay(
    positions: Sequence[float],
    names: str = "abc",
    confidence: float = 0.8,
    status_of: Callable[[int], str] = lambda _: "on_task",
) -> list[Event]:
    """Events where the delayed copy is right, 0.6 s behind a live answer of this confidence, and of this status at each tick."""
    reference, lag = make_reference(names), 12
    detector, told = EventDetector(reference, station="bench"), []
    for tick, live_s in enumerate(map(float, positions)):
        past_s = float(positions[max(tick - lag, 0)])
        delayed = Delayed(past_s, reference.phase_index(past_s), 1.0, 1.0, min(tick, lag) / RATE_HZ)
        live = live_s, reference.phase_index(live_s), 0.0, live_s / reference.duration_s
        match = Match(*live, 1.0, confidence, status_of(tick), 1.0, delayed)
        told += detector.step(match, tick / RATE_HZ, 1e9, True)
    return told


def pass_through(shift: Shift, start_s: float, end_s: float) -> Shift:
    for position_s in np.arange(start_s, end_s - 1e-9, 1 / RATE_HZ):
        shift.tick(float(position_s))
    return shift
