"""A station: one camera looking at one workplace. `Station.run` is the whole live path.

source ─frame→ locate ─pose→ aligner ─step→ sinks (bus, store, terminal view, timeline)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.aligner import Aligner, Step
from engine.latency import Latency
from engine.messages import Event, Hello, PhaseInfo, State, Status
from engine.reference import Reference
from engine.sources.base import Frame, Source, StreamNotice
from engine.sources.watch import told_again
from models import skeleton

LATENCY_EVERY = 15
"""Ticks between two computations of the latency percentiles: they cost more than the rest of a state message."""


class Sink(Protocol):
    """Whoever listens to a station inside its process."""

    def hello(self, hello: Hello) -> None: ...

    def state(self, state: State, frame: Frame) -> None: ...

    def event(self, event: Event) -> None: ...


class Station:
    """Follows the operator before one source against one reference.

    `locate` turns a frame into the operator's pose (K, 3) in the bundle's layout; `number` gives an event draft its
    sequence number, storing it first. A frame without a person, or a corrupt one, is a tick on which nobody was seen.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        locate: Callable[[Frame], NDArray[np.float32]],
        aligner: Aligner,
        number: Callable[[Event], Event],
        sinks: Iterable[Sink] = (),
    ) -> None:
        self.name, self.source, self.aligner = name, source, aligner
        self.latency: Latency = aligner.latency
        self.ticks = 0
        self.frames = 0
        self.confirmations: Callable[[], list[str]] = list
        """Phases confirmed from outside since the last call; the bus sets this."""
        self._locate, self._number, self._sinks = locate, number, tuple(sinks)
        self._stopping = False
        self._frame_times: deque[float] = deque(maxlen=90)
        self._first_s: float | None = None
        self.stream_lost = False
        """The newest notice says so; set before `run`, it is what an earlier process told last."""
        self._latency_ms: dict[str, tuple[float, float]] = {}

    def run(self) -> None:
        """Until the source ends or `stop` is called. Closing the source is the caller's."""
        for sink in self._sinks:
            sink.hello(hello(self.name, self.aligner.reference))
        for frame in told_again(self.source, self.stream_lost) if self.source.live else self.source:
            if self._stopping:
                break
            taken_s = time.monotonic()
            captured_wall_s = time.time() - (taken_s - frame.captured_monotonic_s)
            if frame.notice is not None:
                self._notice(frame.notice, frame.time_s)
            for phase in self.confirmations():
                self.aligner.detector.confirm(phase)
            with self.latency.measure("pose"):
                pose = self._locate(frame)
            located_s = time.monotonic()
            for step in self.aligner.push(frame.time_s, captured_wall_s, pose):
                self._tell(step, frame)
            self._measure(frame, taken_s, located_s)
        else:  # the source has ended by itself
            for draft in self.aligner.finish():
                self._emit(draft)

    def stop(self) -> None:
        """End after the frame in hand; safe from a signal handler or another thread."""
        self._stopping = True

    def _tell(self, step: Step, frame: Frame) -> None:
        with self.latency.measure("publish"):
            for draft in step.events:
                self._emit(draft)
            state = self._state(step)
            for sink in self._sinks:
                sink.state(state, frame)
        self.ticks += 1

    def _notice(self, notice: StreamNotice, now_s: float) -> None:
        """What happened to the stream itself is an event like any other."""
        self.stream_lost = notice.kind == "stream_lost"
        self._emit(
            Event(
                station=self.name,
                seq=0,
                event=notice.kind,
                time_s=notice.time_s,
                wall_s=time.time(),
                cycle=self.aligner.detector.cycle,
                confidence=1.0,
                noticed_s=now_s,
                details={"reason": notice.reason},
            )
        )

    def _emit(self, draft: Event) -> None:
        event = self._number(draft)
        for sink in self._sinks:
            sink.event(event)

    def _measure(self, frame: Frame, taken_s: float, located_s: float) -> None:
        now_s = time.monotonic()
        self.frames += 1
        self._first_s = now_s if self._first_s is None else self._first_s
        self._frame_times.append(now_s)
        self.latency.add("wait", 1000 * (taken_s - frame.captured_monotonic_s))
        self.latency.add("after_pose", 1000 * (now_s - located_s))
        self.latency.add("total", 1000 * (now_s - frame.captured_monotonic_s))

    @property
    def mean_fps(self) -> float:
        """Frames per second from the first frame to the last."""
        if self._first_s is None or self.frames < 2 or self._frame_times[-1] <= self._first_s:
            return 0.0
        return (self.frames - 1) / (self._frame_times[-1] - self._first_s)

    @property
    def fps(self) -> float:
        """Frames per second over the last three seconds or so, through the whole path."""
        times = self._frame_times
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def _state(self, step: Step) -> State:
        match = step.match
        status: Status = "no_stream" if self.stream_lost else match.status
        working = status in ("on_task", "paused")
        if step.tick.index % LATENCY_EVERY == 0:
            self._latency_ms = self.latency.recent()
        return State(
            station=self.name,
            tick=step.tick.index,
            time_s=step.tick.time_s,
            wall_s=step.wall_s,
            status=status,
            cycle=step.cycle,
            cycles_finished=step.cycles_finished,
            phase=self.aligner.reference.info.phases[match.phase].name if working else None,
            phase_index=match.phase if working else None,
            phase_progress=match.phase_progress,
            cycle_progress=match.cycle_progress,
            position_s=match.position_s,
            rate=match.rate,
            confidence=match.confidence,
            eta_s=match.eta_s,
            fps=round(self.fps, 2),
            dropped=self.source.dropped,
            latency_ms=self._latency_ms,
            image_size=self.source.size,
            pose=[(round(float(x), 1), round(float(y), 1), round(float(c), 2)) for x, y, c in step.tick.pose],
        )


def hello(station: str, reference: Reference) -> Hello:
    """What a subscriber needs to know once."""
    info = reference.info
    return Hello(
        station=station,
        phases=[PhaseInfo(phase.name, phase.start_s, phase.end_s, phase.optional) for phase in info.phases],
        reference_s=reference.duration_s,
        layout=info.layout,
        limbs=list(skeleton.layout(info.layout).limbs),
        rate_hz=info.rate_hz,
        bundle=f"{info.bundle} {info.bundle_sha256[:12]}",
    )
