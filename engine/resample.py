"""From poses at camera times to poses on a fixed tick grid.

Dropped frames, jitter and cameras of another rate do not bend time: ticks are `1/rate` apart on the capture clock and
poses are interpolated between the two frames around each. A gap longer than `max_gap_s` becomes missing poses
(confidence 0), not an invented movement. Recordings go through the same code as live streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import skeleton

MAX_GAP_S = 0.35
"""Longest hole that interpolation may bridge: beyond a third of a second a hand can have been anywhere."""
MAX_HOLE_S = 2.0
"""Longest run of missing ticks emitted for one hole; after that the grid starts anew at the next frame."""
_EPSILON_S = 1e-6


@dataclass(frozen=True)
class Tick:
    """One step of the fixed-rate clock."""

    index: int
    time_s: float
    """On the capture clock."""
    dt_s: float
    """Since the previous tick: 1/rate, or the whole hole after a lost stream."""
    pose: NDArray[np.float32]
    """(K, 3); all confidence 0 where nobody was seen."""

    @property
    def seen(self) -> bool:
        return bool((self.pose[:, 2] > 0).any())


class Resampler:
    """Live resampler: push poses as they come, get the ticks they complete.

    A tick is emitted as soon as the first frame at or after it has arrived. Frames whose time does not advance are
    ignored; a time that falls back by more than `MAX_HOLE_S` means that the stream has started anew.
    """

    def __init__(self, rate_hz: float, max_gap_s: float = MAX_GAP_S) -> None:
        self.period_s = 1.0 / rate_hz
        self.max_gap_s = max_gap_s
        self.reset()

    def reset(self) -> None:
        self._index = 0
        self._anchor_s = 0.0
        self._since_anchor = 0
        self._last_tick_s: float | None = None
        self._time_s: float | None = None
        self._pose: NDArray[np.float32] | None = None

    def push(self, time_s: float, pose: NDArray[np.floating]) -> list[Tick]:
        """A pose (K, 3) captured at `time_s` → the ticks it completes, in order (often one, sometimes none)."""
        if not np.isfinite(time_s):
            return []
        pose = skeleton.clean(pose)
        previous_s, previous = self._time_s, self._pose
        if previous_s is None or previous is None:
            self._restart_grid(time_s)
            previous_s, previous = time_s, pose
        elif time_s <= previous_s:
            if previous_s - time_s < MAX_HOLE_S:
                return []
            self._restart_grid(time_s)
            previous_s, previous = time_s, pose
        self._time_s, self._pose = time_s, pose

        ticks = []
        gap_s = time_s - previous_s
        hole_ends_s = previous_s + MAX_HOLE_S if gap_s > MAX_HOLE_S else np.inf
        while (tick_s := self._anchor_s + self._since_anchor * self.period_s) <= time_s + _EPSILON_S:
            if tick_s > hole_ends_s:
                self._restart_grid(time_s)
                hole_ends_s = np.inf
                continue
            ticks.append(self._tick(tick_s, self._between(previous_s, previous, time_s, pose, tick_s, gap_s)))
        return ticks

    def _restart_grid(self, time_s: float) -> None:
        self._anchor_s, self._since_anchor = time_s, 0

    def _tick(self, tick_s: float, pose: NDArray[np.float32]) -> Tick:
        elapsed_s = self.period_s if self._last_tick_s is None else tick_s - self._last_tick_s
        tick = Tick(self._index, tick_s, elapsed_s if elapsed_s > 0 else self.period_s, pose)
        self._index += 1
        self._since_anchor += 1
        self._last_tick_s = tick_s
        return tick

    def _between(
        self,
        t0: float,
        a: NDArray[np.float32],
        t1: float,
        b: NDArray[np.float32],
        tick_s: float,
        gap_s: float,
    ) -> NDArray[np.float32]:
        """Linear interpolation per joint. A joint seen in one frame only keeps that position, confidence fading."""
        if tick_s >= t1 - _EPSILON_S:
            return b
        if gap_s > self.max_gap_s:
            return np.zeros_like(b)
        weight = np.float32(np.clip((tick_s - t0) / gap_s, 0.0, 1.0))
        out = (1 - weight) * a + weight * b
        only_a, only_b = (b[:, 2] <= 0) & (a[:, 2] > 0), (a[:, 2] <= 0) & (b[:, 2] > 0)
        out[only_a, :2] = a[only_a, :2]
        out[only_b, :2] = b[only_b, :2]
        return out

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything needed to go on, as arrays."""
        times = [self._index, self._since_anchor, self._anchor_s, self._last_tick_s, self._time_s]
        return {
            "clock": np.array([np.nan if value is None else value for value in times], np.float64),
            "pose": np.zeros((0, 3), np.float32) if self._pose is None else self._pose.copy(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        index, since_anchor, anchor_s, last_tick_s, time_s = state["clock"].tolist()
        self._index, self._since_anchor, self._anchor_s = int(index), int(since_anchor), anchor_s
        self._last_tick_s = None if np.isnan(last_tick_s) else last_tick_s
        self._time_s = None if np.isnan(time_s) else time_s
        self._pose = state["pose"].astype(np.float32) if len(state["pose"]) else None


def resample_track(
    times_s: NDArray[np.floating], poses: NDArray[np.floating], rate_hz: float, max_gap_s: float = MAX_GAP_S
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """A recorded track, times (T,) and poses (T, K, 3), on the tick grid: tick times (N,) and poses (N, K, 3)."""
    resampler = Resampler(rate_hz, max_gap_s)
    ticks = [tick for time_s, pose in zip(times_s, poses, strict=True) for tick in resampler.push(float(time_s), pose)]
    if not ticks:
        return np.zeros(0), np.zeros((0, *poses.shape[1:]), np.float32)
    return np.array([tick.time_s for tick in ticks]), np.stack([tick.pose for tick in ticks])
