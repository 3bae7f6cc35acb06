"""What is true of every frame of a rendered station, and the JSON in which `lockstep synth` writes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered.parameters import NOMINAL_S, PHASES, StationParams

FORMAT = 1
STATUSES = ("on_task", "paused", "off_task", "idle")
NOMINAL_START_S = tuple(float(s) for s in np.concatenate([[0.0], np.cumsum(NOMINAL_S)[:-1]]))
CYCLE_S = float(sum(NOMINAL_S))
"""Duration of a cycle at speed 1."""


@dataclass(frozen=True)
class TruthEvent:
    """A cycle, the execution of a phase, or a deviation, with the time it took.

    `kind`: cycle, phase, skip, repeat, swap, pause, leave or turn. A skip takes no time.
    """

    kind: str
    cycle: int
    phase: str | None
    start_s: float
    end_s: float


@dataclass(frozen=True)
class FrameTruth:
    """One frame."""

    time_s: float
    cycle: int
    """From 1; 0 before the first. Between cycles: the last one."""
    phase: str | None
    """None while idle."""
    phase_index: int | None
    phase_progress: float
    """Share of the phase's work that is done: a pause holds it."""
    cycle_progress: float
    """On the clock of the nominal procedure: (nominal start of the phase + progress · its nominal duration) / cycle."""
    status: str
    """on_task, paused, off_task or idle."""
    deviations: tuple[str, ...]
    """Kinds of the deviations under way."""
    joints: NDArray[np.float32]
    """(13, 3) in body13: exact pixels; confidence 1 where visible, 0 where hidden or out of the picture."""


@dataclass(frozen=True)
class Truth:
    """A whole recording: arrays over its T frames, and its events."""

    params: StationParams
    times_s: NDArray[np.float64]
    cycle: NDArray[np.int64]
    phase: NDArray[np.int64]
    """Index into PHASES, -1 while idle."""
    phase_progress: NDArray[np.float64]
    cycle_progress: NDArray[np.float64]
    status: NDArray[np.int64]
    """Index into STATUSES."""
    joints: NDArray[np.float32]
    """(T, 13, 3)."""
    events: tuple[TruthEvent, ...]

    def __len__(self) -> int:
        return len(self.times_s)

    @cached_property
    def _deviations(self) -> list[TruthEvent]:
        return [event for event in self.events if event.kind not in ("cycle", "phase")]

    def events_of(self, *kinds: str) -> list[TruthEvent]:
        return [event for event in self.events if event.kind in kinds]

    def frame(self, i: int) -> FrameTruth:
        t, phase = float(self.times_s[i]), int(self.phase[i])
        return FrameTruth(
            t,
            int(self.cycle[i]),
            PHASES[phase] if phase >= 0 else None,
            phase if phase >= 0 else None,
            float(self.phase_progress[i]),
            float(self.cycle_progress[i]),
            STATUSES[self.status[i]],
            tuple(e.kind for e in self._deviations if e.start_s <= t < e.end_s),
            self.joints[i],
        )

    def as_json(self) -> dict[str, Any]:
        """The document described in docs/sources.md."""
        return {
            "format": FORMAT,
            "params": self.params.as_json(),
            "phases": [{"name": n, "nominal_s": d} for n, d in zip(PHASES, NOMINAL_S, strict=True)],
            "statuses": list(STATUSES),
            "layout": "body13",
            "fps": self.params.fps,
            "size": list(self.params.size),
            "events": [asdict(event) for event in self.events],
            "frames": {
                "time_s": np.round(self.times_s, 4).tolist(),
                "cycle": self.cycle.tolist(),
                "phase": self.phase.tolist(),
                "phase_progress": np.round(self.phase_progress, 4).tolist(),
                "cycle_progress": np.round(self.cycle_progress, 4).tolist(),
                "status": self.status.tolist(),
                "joints": np.round(self.joints.astype(float), 2).tolist(),
            },
        }

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_json(), separators=(",", ":")))
