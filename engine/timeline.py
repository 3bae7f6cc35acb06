"""What a run was like: every tick and event kept compactly, for the report, the JSON summary and comparison with the truth."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.messages import Event, Hello, State
from engine.sources.base import Frame

_FIELDS = ("time_s", "position_s", "phase_progress", "cycle_progress", "rate", "confidence")
STATUSES = ("starting", "on_task", "paused", "off_task", "idle", "lost", "no_stream")


class Timeline:
    """A sink (see `engine.station.Sink`): about 70 bytes a tick, so a shift fits in memory."""

    def __init__(self) -> None:
        self.hello_message: Hello | None = None
        self.events: list[Event] = []
        self.last: State | None = None
        self._finished_since = 0
        self._values = {name: array("d") for name in _FIELDS}
        self._phase, self._status, self._cycle = array("b"), array("b"), array("i")
        self._truth_phase, self._truth_cycle = array("b"), array("i")
        self._truth_progress = array("f")
        self.has_truth = False

    def hello(self, hello: Hello) -> None:
        self.hello_message = hello

    def event(self, event: Event) -> None:
        self.events.append(event)
        self._finished_since += event.event == "cycle_finished"

    def state(self, state: State, frame: Frame) -> None:
        self.last, self._finished_since = state, 0
        for name, values in self._values.items():
            values.append(getattr(state, name))
        self._phase.append(-1 if state.phase_index is None else state.phase_index)
        self._status.append(STATUSES.index(state.status))
        self._cycle.append(state.cycle)
        truth = frame.truth
        self.has_truth |= truth is not None
        at_work = truth is not None and truth.phase_index is not None and truth.status in ("on_task", "paused")
        self._truth_phase.append(truth.phase_index if at_work else -1)
        self._truth_cycle.append(truth.cycle if truth is not None else 0)
        self._truth_progress.append(truth.cycle_progress if truth is not None else 0.0)

    def __len__(self) -> int:
        return len(self._phase)

    def column(self, name: str) -> NDArray[Any]:
        """One value per tick: a float field of State, or `phase`, `status`, `cycle`, `truth_phase`, … as integers.

        `phase` and `truth_phase` are −1 where nobody is at work; `status` indexes STATUSES.
        """
        return np.array(self._values[name] if name in self._values else getattr(self, f"_{name}"))

    @property
    def phase_names(self) -> list[str]:
        return [phase.name for phase in self.hello_message.phases] if self.hello_message else []

    @property
    def cycles_counted(self) -> int:
        """Those of the last state, and those told when the stream had ended."""
        return (self.last.cycles_finished if self.last else 0) + self._finished_since

    def segments(self, column: str = "phase") -> list[tuple[str, float, float]]:
        """Stretches of one phase: (name, start, end) on the capture clock, in order; idle and off task left out."""
        times_s, phase, cycle = (
            self.column("time_s"),
            self.column(column),
            self.column(column.replace("phase", "cycle")),
        )
        if not len(times_s):
            return []
        changes = np.flatnonzero((np.diff(phase) != 0) | ((np.diff(cycle) != 0) & (phase[1:] >= 0))) + 1
        starts, ends = [0, *changes], [*changes, len(phase)]
        step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
        return [
            (
                self.phase_names[phase[a]],
                float(times_s[a]),
                float(times_s[b] if b < len(times_s) else times_s[-1] + step_s),
            )
            for a, b in zip(starts, ends, strict=True)
            if phase[a] >= 0
        ]

    def score(self) -> dict[str, float | int]:
        """Against the truth that the frames carried: phase accuracy over ticks of work, progress error, cycles.

        `phase_accuracy` counts ticks on which the worker truly is at work; saying 'idle' there is wrong.
        `idle_accuracy` counts the other ticks. `cycles_true` counts the cycles the worker truly finished.
        """
        truth, found = self.column("truth_phase"), self.column("phase")
        work = truth >= 0
        same = work & (truth == found)
        error = np.abs(self.column("truth_progress") - self.column("cycle_progress"))[same]
        cycles = self.column("truth_cycle")
        last = int(cycles[-1]) if len(cycles) else 0
        finished = last - int(bool(len(work) and work[-1]))  # the stream may end in the middle of a cycle
        return {
            "phase_accuracy": float(same.sum() / max(1, work.sum())),
            "idle_accuracy": float((found[~work] < 0).mean()) if (~work).any() else 1.0,
            "progress_mae": float(error.mean()) if len(error) else 1.0,
            "cycles_true": finished,
            "cycles_counted": self.cycles_counted,
        }
