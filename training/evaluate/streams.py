"""Streams for the clock-free protocol: trimmed clips made into what a camera over a workplace would see.

A clip that starts and ends with the action lets a clock solve the benchmark; a live stream has no known start, length or
pace. So every clip becomes a stream, seeded: its beginning may be cut off, each third runs at a speed of its own, the
person pauses once, stands idle before and after, and repetitive actions follow one another as cycles.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.datasets.base import Clip

REPETITIVE = frozenset({"jumping_jacks", "pushups", "situp", "squats", "pullups", "bench_press"})
"""Actions people do in series: their clips are chained into several cycles."""

CUT_PROBABILITY, CUT_UP_TO = 0.5, 0.3
SLOWEST, FASTEST = 1 / 3, 3.0
PAUSE_S = (1.0, 3.0)
IDLE_S = (0.0, 3.0)
JITTER = 0.01
"""Standard deviation of a held pose's joints, as a fraction of the longer side of the person's box."""
CYCLES = (2, 5)


@dataclass(frozen=True)
class Stream:
    """T frames of one person; cycle c is the clip `clip_ids[c]`."""

    id: str
    action: str
    poses: NDArray[np.float32]
    """(T, K, 3): x, y in pixels, confidence 0–1."""
    layout: str
    rate_hz: float
    image_size: tuple[int, int]
    clip_ids: tuple[str, ...]
    cycle: NDArray[np.int64]
    """(T,) index into `clip_ids`; −1 while idle."""
    source_frame: NDArray[np.float64]
    """(T,) frame of that clip which is seen; of the held frame while idle."""
    progress: NDArray[np.float64]
    """(T,) 0–1, of that clip; 0 while idle before it, 1 after it."""
    phases: NDArray[np.int64] | None
    """(T,) phase index, −1 while idle; None where the clips are not labelled."""
    is_pause: NDArray[np.bool_]
    """(T,) the pose is held in the midst of the action (phase and cycle stay)."""

    @property
    def boundaries(self) -> tuple[tuple[int, int], ...]:
        """(frame, phase that begins there) of every change of phase within a cycle."""
        if self.phases is None:
            return ()
        changed = (np.diff(self.phases) != 0) & (np.diff(self.cycle) == 0) & (self.cycle[1:] >= 0)
        return tuple((int(t) + 1, int(self.phases[t + 1])) for t in np.flatnonzero(changed))


def compose(clips: Sequence[Clip], seed: int) -> list[Stream]:
    """Every clip as a stream of its own (the first cycle), chained with others of its action and view if repetitive.

    A stream depends on `seed`, on its clip's id and on which other clips there are to chain, not on their order.
    """
    ordered = sorted(clips, key=lambda clip: clip.id)
    streams = []
    for clip in clips:
        rng = np.random.default_rng([seed, zlib.crc32(clip.id.encode())])
        chain = [clip]
        if clip.action in REPETITIVE:
            alike = [other for other in ordered if other.id != clip.id and _alike(other, clip)]
            more = min(int(rng.integers(CYCLES[0], CYCLES[1] + 1)) - 1, len(alike))
            chain += [alike[i] for i in rng.choice(len(alike), more, replace=False)] if more else []
        streams.append(compose_stream(chain, rng))
    return streams


def compose_stream(chain: Sequence[Clip], rng: np.random.Generator) -> Stream:
    """One stream of the given cycles, in order.

    Only the first cycle may lack its beginning: the others are seen from their start. All are put in the first one's
    place and size in the picture, since one camera watches one workplace.
    """
    first = chain[0]
    poses, cycle, frames, phases = [], [], [], []
    for number, clip in enumerate(chain):
        length = len(clip.poses)
        cut = number == 0 and rng.random() < CUT_PROBABILITY
        positions = _own_pace(rng.uniform(0, CUT_UP_TO) * length if cut else 0.0, length, rng)
        moved = clip.poses if number == 0 else _placed_like(clip.poses, first.poses)
        poses.append(poses_at(moved, positions))
        cycle.append(np.full(len(positions), number))
        frames.append(positions)
        if clip.phases is not None:
            phases.append(clip.phases[np.floor(positions).astype(int)])
    labelled = len(phases) == len(chain)
    stream = Stream(
        first.id,
        first.action,
        np.concatenate(poses),
        first.layout,
        first.rate_hz,
        first.image_size,
        tuple(clip.id for clip in chain),
        np.concatenate(cycle),
        np.concatenate(frames),
        np.concatenate([f / max(len(c.poses) - 1, 1) for f, c in zip(frames, chain, strict=True)]),
        np.concatenate(phases) if labelled else None,
        np.zeros(sum(map(len, frames)), bool),
    )
    stream = _held(stream, int(rng.integers(len(stream.poses))), _ticks(PAUSE_S, first.rate_hz, rng), rng, pause=True)
    stream = _held(stream, 0, _ticks(IDLE_S, first.rate_hz, rng), rng, before=True)
    return _held(stream, len(stream.poses) - 1, _ticks(IDLE_S, first.rate_hz, rng), rng)


def poses_at(poses: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Poses (T, K, 3) at fractional frames (N,) → (N, K, 3): linear between neighbours.

    A joint seen in only one of the two neighbours is taken from that one if it is the nearer, else it is not seen.
    """
    low = np.clip(np.floor(positions).astype(int), 0, len(poses) - 1)
    high = np.minimum(low + 1, len(poses) - 1)
    weight = (positions - low)[:, None, None].astype(np.float32)
    a, b = poses[low], poses[high]
    out = a + (b - a) * weight
    nearer = np.where(weight < 0.5, a, b)
    one_sided = (a[..., 2] > 0) != (b[..., 2] > 0)
    out[one_sided] = nearer[one_sided]
    return out


def _alike(a: Clip, b: Clip) -> bool:
    return (a.action, a.view, a.layout, a.phases is None) == (b.action, b.view, b.layout, b.phases is None)


def _own_pace(start: float, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Frames seen of a clip from `start` to its end, each third at a speed log-uniform in [SLOWEST, FASTEST]."""
    edges = np.linspace(start, length, 4)
    speeds = np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST), 3))
    parts = [
        np.linspace(a, b, max(1, round((b - a) / speed)), endpoint=False)
        for a, b, speed in zip(edges[:-1], edges[1:], speeds, strict=True)
    ]
    return np.minimum(np.concatenate(parts), length - 1)


def _ticks(range_s: tuple[float, float], rate_hz: float, rng: np.random.Generator) -> int:
    return round(rng.uniform(*range_s) * rate_hz)


def _box(poses: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Centre (2,) and longer side of the box of all joints seen, in pixels."""
    seen = poses[poses[..., 2] > 0][:, :2]
    if not len(seen):
        return np.zeros(2, np.float32), 1.0
    low, high = seen.min(axis=0), seen.max(axis=0)
    return (low + high) / 2, max(float((high - low).max()), 1.0)


def _placed_like(poses: NDArray[np.float32], model: NDArray[np.float32]) -> NDArray[np.float32]:
    """Poses moved and scaled so that their box over time is as that of `model`."""
    (centre, side), (model_centre, model_side) = _box(poses), _box(model)
    out = poses.copy()
    out[..., :2] = (out[..., :2] - centre) * (model_side / side) + model_centre
    out[poses[..., 2] == 0] = 0.0
    return out


def _held(
    stream: Stream, frame: int, count: int, rng: np.random.Generator, *, pause: bool = False, before: bool = False
) -> Stream:
    """The stream with `count` frames inserted after (or before) `frame`, which hold its pose with jitter."""
    at = frame if before else frame + 1
    held = np.repeat(stream.poses[frame][None], count, axis=0)
    jitter = rng.normal(0.0, JITTER * _box(stream.poses[frame])[1], held[..., :2].shape)
    held[..., :2] += np.where(held[..., 2:] > 0, jitter, 0.0).astype(np.float32)

    def inserted(values: NDArray, value: float) -> NDArray:
        return np.insert(values, [at] * count, value)

    return replace(
        stream,
        poses=np.concatenate([stream.poses[:at], held, stream.poses[at:]]),
        cycle=inserted(stream.cycle, stream.cycle[frame] if pause else -1),
        source_frame=inserted(stream.source_frame, stream.source_frame[frame]),
        progress=inserted(stream.progress, stream.progress[frame] if pause else (0.0 if before else 1.0)),
        phases=None if stream.phases is None else inserted(stream.phases, stream.phases[frame] if pause else -1),
        is_pause=inserted(stream.is_pause, pause),
    )
