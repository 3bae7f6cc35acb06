"""The causal crop: poses in pixels → poses on the heatmap grid, wherever the person stands and however big they appear.

    pose (K, 3) px → body centre and body length of this tick → smoothed → (xy − centre) · grid / side → pose (K, 3) grid px

A crop around the whole sequence, as in the LA2DS paper, is not available live. Here the square follows the person:
its centre is the smoothed midpoint of two joint groups (shoulders and hips; for a hand, wrist and knuckles), its side
`side` × a body length. A projected length is never longer than the true one, so the body length rises quickly and
falls slowly. When one group is hidden (hips behind a bench) the last known offset between the groups stands in for it,
so nothing jumps. Everything scales and moves with the picture: no absolute pixel length occurs. NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import skeleton

SEEN = 0.1
"""Confidence below which a joint neither places the crop nor is trusted to exist for it."""


@dataclass(frozen=True)
class _Anchors:
    """What places the crop: two joint groups, lengths (joints, joints, factor to one body length), default offset."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    lengths: tuple[tuple[tuple[int, ...], tuple[int, ...], float], ...]
    offset: tuple[float, float]
    """first → second in body lengths, until both have been seen together."""
    makeshift: tuple[tuple[tuple[int, ...], tuple[int, ...], float], ...] = ()
    """Lengths to begin with where none of `lengths` is seen: a person of whom a shoulder and an arm is all there is."""


def _anchors(layout: skeleton.Layout) -> _Anchors:
    at = layout.index
    if "left_hip" in layout.joints:
        shoulders, hips = (at("left_shoulder"), at("right_shoulder")), (at("left_hip"), at("right_hip"))
        widths = (shoulders[:1], shoulders[1:], 1.4)  # a torso is about 1.4 shoulder widths long
        bones = (("hip", "knee", 1.25), ("knee", "ankle", 1.25), ("shoulder", "elbow", 1.6), ("elbow", "wrist", 1.9))
        makeshift = tuple(
            ((at(f"{side}_{a}"),), (at(f"{side}_{b}"),), factor) for a, b, factor in bones for side in ("left", "right")
        )
        return _Anchors(shoulders, hips, ((shoulders, hips, 1.0), widths), (0.0, 1.0), makeshift)
    knuckles = [f"{finger}_1" for finger in ("index", "middle", "ring", "pinky")]
    sides = ["left_", "right_"] if "left_wrist" in layout.joints else [""]
    wrist = [(at(f"{side}wrist"),) for side in sides]
    knuckle = [tuple(at(side + name) for name in knuckles) for side in sides]
    lengths = tuple((w, k, 1.0) for w, k in zip(wrist, knuckle, strict=True)) + tuple(
        (k[:1], k[-1:], 1.5) for k in knuckle
    )
    if len(sides) == 1:
        return _Anchors(wrist[0], knuckle[0], lengths, (0.0, 0.0))
    return _Anchors(wrist[0] + knuckle[0], wrist[1] + knuckle[1], lengths, (0.0, 0.0))


class CausalCrop:
    """One person's crop over time.

    `grid`: heatmap pixels per side; crop coordinates 0 … grid − 1 are pixel centres, joints outside lie beyond them.
    `side`: side of the square in body lengths. `follow`: time constant of the centre in ticks (0: locked to the body).
    `leash`: the centre is never farther than this many body lengths from the body. `rise`, `fall`: time constants of
    the body length in ticks when it grows and shrinks. `forget`: ticks without anybody after which the crop starts anew.
    """

    def __init__(
        self,
        layout: str,
        grid: int = 30,
        side: float = 4.0,
        follow: float = 6.0,
        leash: float = 1.0,
        rise: float = 6.0,
        fall: float = 150.0,
        forget: int = 60,
    ) -> None:
        self._anchors = _anchors(skeleton.layout(layout))
        self._joints = skeleton.layout(layout).size
        self._grid, self._side, self._leash, self._forget = grid, side, leash, forget
        self._gain, self._rise, self._fall = (_gain(ticks) for ticks in (follow, rise, fall))
        self.reset()

    def reset(self) -> None:
        self._x = self._y = self._length = 0.0
        self._dx, self._dy = self._anchors.offset
        self._ticks = 0  # ticks on which the crop was placed; 0: not placed yet
        self._absent = 0

    def state(self) -> NDArray[np.float64]:
        """Everything remembered, shape (7,)."""
        return np.array([self._x, self._y, self._length, self._dx, self._dy, self._ticks, self._absent])

    def restore(self, state: NDArray[np.float64]) -> None:
        self._x, self._y, self._length, self._dx, self._dy = (float(value) for value in state[:5])
        self._ticks, self._absent = int(state[5]), int(state[6])

    def step(self, pose: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pose (K, 3) in pixels → (K, 3) in crop coordinates, float32, finite.

        Confidence is kept; a missing or non-finite joint comes back as zeros. Raises ValueError for a wrong shape.
        """
        if pose.shape != (self._joints, 3):
            raise ValueError(f"expected a pose ({self._joints}, 3), found shape {pose.shape}")
        out = np.array(pose, np.float32)
        bad = ~np.isfinite(out).all(axis=1) | (out[:, 2] <= 0)
        out[bad] = 0.0
        self._place(out.tolist())
        if self._ticks == 0:
            out[:] = 0.0
            return out
        scale = self._grid / (self._side * self._length)
        middle = (self._grid - 1) / 2
        out[:, 0] = (out[:, 0] - self._x) * scale + middle
        out[:, 1] = (out[:, 1] - self._y) * scale + middle
        np.clip(out[:, :2], -self._grid, 2 * self._grid, out=out[:, :2])
        np.clip(out[:, 2], 0.0, 1.0, out=out[:, 2])
        out[bad] = 0.0
        return out

    def _place(self, joints: list[list[float]]) -> None:
        """Moves the crop with the joints of this tick; leaves it where it was if they do not say where the body is."""
        first, second = _mean(joints, self._anchors.first), _mean(joints, self._anchors.second)
        length = _longest(joints, self._anchors.lengths)
        if length == 0.0 and self._ticks == 0:
            length = _longest(joints, self._anchors.makeshift)
        if not (first or second) or (self._ticks == 0 and length == 0.0):
            self._absent += 1
            if self._absent > self._forget:
                self.reset()
            return
        self._absent = 0
        self._ticks += 1
        start_gain = 1.0 / self._ticks  # the first ticks are averaged, so that the first alone decides nothing
        if length > 0.0:
            gain = self._rise if length > self._length else self._fall
            self._length += max(gain, start_gain) * (length - self._length)
        if first and second:
            gain = max(self._gain, start_gain)
            self._dx += gain * ((second[0] - first[0]) / self._length - self._dx)
            self._dy += gain * ((second[1] - first[1]) / self._length - self._dy)
            x, y = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
        elif first:
            x, y = first[0] + self._dx * self._length / 2, first[1] + self._dy * self._length / 2
        else:
            assert second
            x, y = second[0] - self._dx * self._length / 2, second[1] - self._dy * self._length / 2
        gain = max(self._gain, start_gain)
        self._x += gain * (x - self._x)
        self._y += gain * (y - self._y)
        away = math.hypot(x - self._x, y - self._y)
        if away > self._leash * self._length:
            pull = 1.0 - self._leash * self._length / away
            self._x += pull * (x - self._x)
            self._y += pull * (y - self._y)


def _gain(ticks: float) -> float:
    return 1.0 - math.exp(-1.0 / ticks) if ticks > 0 else 1.0


def _longest(joints: list[list[float]], lengths: tuple[tuple[tuple[int, ...], tuple[int, ...], float], ...]) -> float:
    """The body length by that of `lengths` which says most; 0 where none is seen."""
    length = 0.0
    for start, end, factor in lengths:
        a, b = _mean(joints, start), _mean(joints, end)
        if a and b:
            length = max(length, factor * math.hypot(b[0] - a[0], b[1] - a[1]))
    return length


def _mean(joints: list[list[float]], group: tuple[int, ...]) -> tuple[float, float] | None:
    seen = [joints[k] for k in group if joints[k][2] >= SEEN]
    if not seen:
        return None
    return sum(joint[0] for joint in seen) / len(seen), sum(joint[1] for joint in seen) / len(seen)
