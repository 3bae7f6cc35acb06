"""What the worker does when: parameters → segments on a *work clock* → figures and truth at any times.

The work clock counts procedure, not time: it runs at the worker's pace, stands still in a pause and while they are away.
Progress is read off it, so truth is exact by construction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import choreography as ch
from engine.sources.rendered import kinematics as kin
from engine.sources.rendered.parameters import NOMINAL_S, PHASES, Deviation, StationParams
from engine.sources.rendered.truth import CYCLE_S, NOMINAL_START_S, STATUSES, FrameTruth, Truth, TruthEvent

Array = NDArray[np.float64]

BENCH_BACK = 0.075
"""Where the far edge of the bench is, z as a fraction of body height."""

_EASE_S = 0.12
"""Half-width of the box over which the work clock is smoothed, so that nobody stops dead at a pause."""
_TURN_S = 0.9
"""How long a worker takes to stop working and turn away, or back."""
_WALK_M_S = 1.15

_ASIDE = ch.key((-0.13, 0.5, 0.05), (0.13, 0.5, 0.05), head=(0.05, 0.0))
_BUSY_BEHIND = ch.key((-0.1, 0.6, 0.2), (0.12, 0.62, 0.2), (0.2, 0.2), 0.1, 0.0, 0.0, (0.35, 0.1))


@dataclass(frozen=True)
class Segment:
    """A stretch of the work clock: idle, or one execution of a phase."""

    phase: int
    """-1 while idle."""
    cycle: int
    work_s: float
    """Its length on the work clock."""
    pace: float
    """Work seconds per second."""
    tag: str | None = None
    """repeat, or swap, where this execution is the deviation."""
    stops: tuple[Deviation, ...] = ()


def _plan(params: StationParams, rng: np.random.Generator) -> tuple[list[Segment], list[tuple[int, Deviation]]]:
    """Segments in order, and the skips as (index of the segment before which the phase is missing, deviation)."""
    by_cycle: dict[int, list[Deviation]] = {}
    for deviation in params.deviations:
        by_cycle.setdefault(deviation.cycle, []).append(deviation)
    segments: list[Segment] = []
    skips: list[tuple[int, Deviation]] = []

    def idle(cycle: int) -> None:
        seconds = params.idle_s * float(np.exp(rng.normal(0, 0.25)))
        if seconds > 1 / params.fps:
            segments.append(Segment(-1, cycle, seconds, 1.0))

    idle(0)
    for cycle in range(1, params.cycles + 1):
        deviations = by_cycle.get(cycle, [])
        order: list[tuple[int, str | None]] = [(phase, None) for phase in range(len(PHASES))]
        for deviation in deviations:
            place = next((i for i, (phase, _) in enumerate(order) if phase == deviation.phase), None)
            if place is None:
                continue
            if deviation.kind == "skip":
                del order[place]
            elif deviation.kind == "repeat":
                order.insert(place + 1, (deviation.phase, "repeat"))
            elif deviation.kind == "swap" and place + 1 < len(order):
                order[place], order[place + 1] = (order[place + 1][0], "swap"), (order[place][0], "swap")
        first = len(segments)
        for phase, tag in order:
            pace = params.speed * params.phase_speeds[phase] * float(np.exp(rng.normal(0, params.speed_variation)))
            stops = tuple(
                d for d in deviations if d.phase == phase and tag != "repeat" and d.kind in ("pause", "leave", "turn")
            )
            segments.append(
                Segment(phase, cycle, NOMINAL_S[phase], pace, tag, tuple(sorted(stops, key=lambda d: d.at)))
            )
        for deviation in deviations:
            if deviation.kind == "skip":
                later = sum(1 for phase, _ in order if phase < deviation.phase)
                skips.append((first + later, deviation))
        idle(cycle)
    if not segments:
        segments.append(Segment(-1, 0, max(params.idle_s, 2 / params.fps), 1.0))
    return segments, skips


class _Drift:
    """A smooth random wander of several channels: sums of slow sines, so it can be evaluated at any time."""

    def __init__(self, rng: np.random.Generator, channels: int, low_hz: float, high_hz: float) -> None:
        self._hz = rng.uniform(low_hz, high_hz, (3, channels))
        self._phase = rng.uniform(0, 2 * np.pi, (3, channels))

    def at(self, t: Array) -> Array:
        """(T, channels), about unit variance."""
        angles = 2 * np.pi * self._hz * t[:, None, None] + self._phase
        return np.sin(angles).sum(axis=1) * np.sqrt(2 / 3)


class Performance:
    """One recording, laid out in time; `truth(times)` and `figure(times)` evaluate it anywhere."""

    def __init__(self, params: StationParams) -> None:
        self.params = params
        rng = np.random.default_rng([params.seed, 0x57A7])
        self.segments, skips = _plan(params, rng)
        self._work = np.concatenate([[0.0], np.cumsum([s.work_s for s in self.segments])])
        self._lay_out_time(skips)
        self._track = self._lay_out_motion(rng)
        self._sway = _Drift(rng, ch.CHANNELS, 0.1, 0.45)
        self._shift = _Drift(rng, 2, 0.05, 0.2)
        self._shake = _Drift(rng, 2, 0.8, 5.0)
        self._camera = kin.Camera(params.view, params.size)

    def _lay_out_time(self, skips: list[tuple[int, Deviation]]) -> None:
        """Knots that map time to the work clock, the stretches off work, and the events."""
        t, knots = 0.0, [(0.0, 0.0)]
        bounds = [0.0]
        events: list[TruthEvent] = []
        self._stops: list[tuple[float, float, Deviation]] = []
        for i, segment in enumerate(self.segments):
            start = t
            events += [TruthEvent("skip", d.cycle, PHASES[d.phase], start, start) for place, d in skips if place == i]
            done = 0.0
            for stop in segment.stops:
                t += (stop.at - done) * segment.work_s / segment.pace
                done = stop.at
                work = self._work[i] + done * segment.work_s
                knots += [(t, work), (t + stop.duration_s, work)]
                self._stops.append((t, t + stop.duration_s, stop))
                events.append(TruthEvent(stop.kind, segment.cycle, PHASES[segment.phase], t, t + stop.duration_s))
                t += stop.duration_s
            t += (1 - done) * segment.work_s / segment.pace
            knots.append((t, float(self._work[i + 1])))
            bounds.append(t)
            if segment.phase >= 0:
                events.append(TruthEvent("phase", segment.cycle, PHASES[segment.phase], start, t))
                if segment.tag:
                    events.append(TruthEvent(segment.tag, segment.cycle, PHASES[segment.phase], start, t))
        cycles: dict[int, list[int]] = {}
        for i, segment in enumerate(self.segments):
            if segment.phase >= 0:
                cycles.setdefault(segment.cycle, []).append(i)
        for cycle, own in cycles.items():
            events.append(TruthEvent("cycle", cycle, None, bounds[own[0]], bounds[own[-1] + 1]))
        self.duration_s = t
        self._knots_t, self._knots_work = np.array(knots).T
        self.events = tuple(sorted(events, key=lambda e: (e.start_s, e.end_s)))

    def _lay_out_motion(self, rng: np.random.Generator) -> ch.Track:
        habit = np.random.default_rng([self.params.habit, 0x4AB1])
        # The worker's own places for each key pose: wider than what varies from cycle to cycle.
        habits = {
            phase: [(habit.normal(0, 0.011, 6), habit.uniform(0.05, 0.2)) for _ in motion.keys]
            for phase, motion in ch.MOTIONS.items()
        }
        times, keys, arcs, swings = [0.0], [ch.HOME], [0.0], []

        def add(time: float, key: Array, arc: float) -> None:
            times.append(time)
            keys.append(key)
            arcs.append(arc)

        for i, segment in enumerate(self.segments):
            start = float(self._work[i])
            if segment.phase < 0:
                count = max(1, round(segment.work_s / 1.4))
                for n in range(1, count + 1):
                    key = ch.HOME.copy()
                    if n < count:  # glances and fidgets, then ready again
                        key[:6] += rng.normal(0, 0.012, 6)
                        key[ch.HEAD_YAW] += rng.normal(0, 0.3)
                        key[ch.HEAD_PITCH] += rng.uniform(-0.1, 0.2)
                        key[ch.SIDE] += rng.normal(0, 0.03)
                    add(start + segment.work_s * n / count, key, 0.0)
                continue
            name = PHASES[segment.phase]
            motion = ch.MOTIONS[name]
            for (at, key), (offset, arc) in zip(motion.keys, habits[name], strict=True):
                moved = key.copy()
                # Hands meet what does not move (bins, fixture, tray), so they vary less there than their arcs do.
                moved[:6] += offset + rng.normal(0, self.params.motion_variation, 6)
                moved[6:] += rng.normal(0, 0.015, ch.CHANNELS - 6)
                late = 0.0 if at == 1.0 else rng.normal(0, 0.012)
                add(start + (at + late) * segment.work_s, moved, arc)
            if motion.swings:
                lo, hi = motion.swing
                swings.append(
                    (
                        start + lo * segment.work_s,
                        start + hi * segment.work_s,
                        motion.swings,
                        np.array(motion.amplitude),
                    )
                )
        return ch.Track(np.array(times), np.array(keys), np.array(arcs), tuple(swings))

    def work_clock(self, t: Array) -> Array:
        """Work seconds (T,) at times (T,), eased around pauses."""
        offsets = np.linspace(-_EASE_S, _EASE_S, 5)
        return np.mean([np.interp(t + o, self._knots_t, self._knots_work) for o in offsets], axis=0)

    def figure(self, t: Array) -> kin.Figure:
        """The worker in metres at times (T,)."""
        p = self.params
        channels = self._track.at(self.work_clock(t))
        channels += self._sway.at(t) * np.array([0.0016] * 6 + [0.02, 0.02, 0.008, 0.01, 0.012, 0.02, 0.03])
        root = np.zeros((len(t), 3))
        root[:, [0, 2]] = self._shift.at(t) * np.array([0.012, 0.008])
        yaw, own = np.zeros(len(t)), np.zeros(len(t))
        for start, end, stop in self._stops:
            now = (t > start) & (t < end)
            if stop.kind == "pause" or not now.any():
                continue
            since, until = t[now] - start, end - t[now]
            gone = np.minimum(since, until)  # seconds since they stopped working, or until they work again
            turn = min(_TURN_S, (end - start) / 3)
            # First the hands leave the work, then the body turns: an arm held back would be wrenched round.
            away = ch.minimum_jerk(gone / (0.6 * turn))
            turned = ch.minimum_jerk((gone - 0.4 * turn) / turn)
            if stop.kind == "turn":
                pose = np.repeat(_BUSY_BEHIND[None], now.sum(), 0)
                pose[:, :6] += 0.03 * np.sin(since[:, None] * np.array([2.1, 2.9, 1.3, 1.7, 2.4, 1.1]))
                yaw[now] = 2.75 * turned
            else:
                walked = np.maximum(gone - 0.8 * turn, 0.0)
                x = np.minimum(_WALK_M_S * walked * np.minimum(1.0, walked / 0.6), 2.2)
                root[now, 0] += x
                root[now, 1] += 0.012 * np.sin(2 * np.pi * 1.9 * walked) * (x > 0)
                pose = np.repeat(_ASIDE[None], now.sum(), 0)
                step = np.sin(2 * np.pi * 0.95 * walked) * np.minimum(1.0, walked)
                pose[:, 2] += 0.08 * step
                pose[:, 5] -= 0.08 * step
                # Out of sight they turn round.
                yaw[now] = np.where(since < until, 1.35, -1.35) * turned * np.minimum(1.0, (2.2 - x) / 0.2)
            channels[now] += away[:, None] * (pose - channels[now])
            own[now] = away
        return kin.pose_figure(channels, root, yaw, own, p.body)

    def shake(self, t: Array) -> Array:
        """Offset of the camera in pixels (T, 2)."""
        return self._shake.at(t) * self.params.view.shake_px

    @property
    def camera(self) -> kin.Camera:
        return self._camera

    def joints(self, figure: kin.Figure, t: Array) -> NDArray[np.float32]:
        """Pixels and visibility (T, 13, 3) of a figure at times (T,)."""
        width, height = self.params.size
        pixels = self._camera.project(figure.joints)
        x, y = pixels[..., 0].copy(), pixels[..., 1].copy()
        shake = self.shake(t)
        inside = np.ones(x.shape, bool)
        # The bench hides whatever lies behind its far edge and below it.
        h = self.params.body.height_m
        edge = self._camera.project(
            np.stack([figure.joints[..., 0], np.full(x.shape, ch.BENCH * h), np.full(x.shape, BENCH_BACK * h)], -1)
        )
        inside &= (y < edge[..., 1]) | (figure.joints[..., 2] > BENCH_BACK * h)
        # The torso hides an arm that is behind it.
        for joints in ((kin.L_ELBOW, kin.R_ELBOW), (kin.L_WRIST, kin.R_WRIST)):
            for joint in joints:
                corners = figure.joints[:, [kin.L_SHOULDER, kin.R_SHOULDER]]
                behind = figure.joints[:, joint, 2] < corners[..., 2].min(1) - 0.05 * h
                span = pixels[:, [kin.L_SHOULDER, kin.R_SHOULDER], 0]
                inside[:, joint] &= ~(behind & (x[:, joint] > span.min(1)) & (x[:, joint] < span.max(1)))
        x += shake[:, :1]
        y += shake[:, 1:]
        inside &= (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return np.stack([x, y, inside], -1).astype(np.float32)

    def truth(self, t: Array) -> Truth:
        """Ground truth at times (T,), increasing."""
        work = self.work_clock(t)
        i = np.clip(np.searchsorted(self._work, work, side="right") - 1, 0, len(self.segments) - 1)
        phase = np.array([s.phase for s in self.segments])[i]
        cycle = np.array([s.cycle for s in self.segments])[i]
        progress = (work - self._work[i]) / np.array([s.work_s for s in self.segments])[i]
        working = phase >= 0
        nominal = np.array(NOMINAL_S)[np.maximum(phase, 0)]
        along = (np.array(NOMINAL_START_S)[np.maximum(phase, 0)] + progress * nominal) / CYCLE_S
        status = np.where(working, STATUSES.index("on_task"), STATUSES.index("idle"))
        for start, end, stop in self._stops:
            status[(t >= start) & (t < end)] = STATUSES.index("paused" if stop.kind == "pause" else "off_task")
        return Truth(
            self.params,
            t,
            cycle.astype(np.int64),
            phase.astype(np.int64),
            np.where(working, progress.clip(0, 1), 0.0),
            np.where(working, along.clip(0, 1), 0.0),
            status.astype(np.int64),
            self.joints(self.figure(t), t),
            self.events,
        )

    @property
    def frames(self) -> int:
        return max(1, int(np.floor(self.duration_s * self.params.fps)))

    def chunks(self, first: int = 0, length: int = 240) -> Iterator[tuple[Array, kin.Figure, Truth]]:
        """The recording from frame `first` in chunks: times, figure, truth. Memory does not grow with its length."""
        for start in range(first, self.frames, length):
            t = np.arange(start, min(start + length, self.frames)) / self.params.fps
            yield t, self.figure(t), self.truth(t)


class TruthByFrame:
    """Ground truth of single frames, for who sees the pixels of some and draws none: `TruthByFrame(params)[index]`."""

    _CHUNK = 240

    def __init__(self, params: StationParams) -> None:
        self._performance = Performance(params)
        self._first = -1
        self._truth: Truth | None = None

    def __getitem__(self, index: int) -> FrameTruth:
        first = index - index % self._CHUNK
        if self._truth is None or first != self._first:
            times = np.arange(first, first + self._CHUNK) / self._performance.params.fps
            self._first, self._truth = first, self._performance.truth(times)
        return self._truth.frame(index - first)


def simulate(params: StationParams) -> Truth:
    """Ground truth of a whole recording without drawing a pixel. Raises ConfigError for impossible parameters."""
    performance = Performance(params)
    return performance.truth(np.arange(performance.frames) / params.fps)
