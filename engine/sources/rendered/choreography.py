"""The procedure as key poses: where the hands, elbows, torso and head are at which progress of which phase.

Positions are fractions of body height: x to the picture's right, y up from the floor, z towards the camera. Between key
poses every channel follows the minimum-jerk profile of human reaching (Flash and Hogan 1985).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered.parameters import PHASES

BENCH = 0.492
"""Height of the bench top."""
FIXTURE = (0.0, BENCH, 0.215)
PART_BIN = (-0.365, 0.705, 0.06)
HANGING_TOOL = (-0.135, 0.895, 0.17)
OUT_TRAY = (0.355, 0.575, 0.10)

CHANNELS = 13
RIGHT, LEFT = slice(0, 3), slice(3, 6)
RIGHT_ELBOW, LEFT_ELBOW, LEAN, SIDE, TWIST, HEAD_PITCH, HEAD_YAW = range(6, 13)
"""Elbows: 0 hanging, 1 raised sideways. Angles in radians: lean forward, side to the picture's right, twist and head yaw
to the picture's right, head pitch down."""

_LEAD_S = np.array([0.0] * 3 + [-0.05] * 3 + [0.0] * 2 + [0.03] * 3 + [0.12] * 2)
"""Eyes lead the hands, the left hand follows the right: nothing on a person moves at exactly the same time."""


def key(
    right: tuple[float, float, float],
    left: tuple[float, float, float],
    elbows: tuple[float, float] = (0.1, 0.1),
    lean: float = 0.03,
    side: float = 0.0,
    twist: float = 0.0,
    head: tuple[float, float] = (0.18, 0.0),
) -> NDArray[np.float64]:
    """One key pose as a row of channels; `head` is pitch down and yaw."""
    return np.array([*right, *left, *elbows, lean, side, twist, *head])


HOME = key((-0.145, 0.55, 0.13), (0.145, 0.55, 0.13), head=(0.08, 0.0))

_AT_BIN = key((-0.345, 0.735, 0.06), (0.135, 0.56, 0.14), (0.3, 0.1), 0.03, -0.12, -0.15, (0.15, -0.5))
_IN_BIN = key((-0.355, 0.705, 0.07), (0.13, 0.56, 0.15), (0.3, 0.1), 0.04, -0.14, -0.17, (0.22, -0.5))
_PART_HELD = key((-0.082, 0.675, 0.2), (0.092, 0.655, 0.2), (0.15, 0.15), 0.03, 0.0, 0.0, (0.28, 0.0))

_ABOVE_FIXTURE = key((-0.082, 0.625, 0.215), (0.082, 0.625, 0.215), (0.35, 0.35), 0.12, 0.0, 0.0, (0.38, 0.0))
_PRESSED = key((-0.085, 0.565, 0.22), (0.085, 0.565, 0.22), (0.6, 0.6), 0.2, 0.0, 0.0, (0.42, 0.0))
_RELEASED = key((-0.135, 0.575, 0.18), (0.12, 0.565, 0.19), (0.3, 0.3), 0.1, 0.0, 0.0, (0.35, 0.0))

_TOOL_REACHED = key((-0.145, 0.895, 0.15), (0.085, 0.565, 0.21), (0.55, 0.25), 0.03, 0.0, 0.05, (-0.05, -0.25))
_TOOL_LEFT = key((-0.13, 0.72, 0.18), (0.088, 0.565, 0.21), (0.3, 0.25), 0.08, 0.0, 0.0, (0.25, 0.0))
_DRIVE = key((-0.045, 0.695, 0.215), (0.085, 0.56, 0.215), (1.0, 0.3), 0.11, 0.03, 0.08, (0.36, 0.0))
_DRIVE_RIGHT = key((0.005, 0.695, 0.22), (0.09, 0.56, 0.215), (1.0, 0.3), 0.11, 0.04, 0.12, (0.36, 0.05))

_GRIPPED = key((-0.085, 0.57, 0.215), (0.085, 0.57, 0.215), (0.25, 0.25), 0.14, 0.0, 0.0, (0.38, 0.0))
_LIFTED = key((-0.092, 0.785, 0.2), (0.092, 0.785, 0.2), (0.15, 0.15), -0.02, 0.0, 0.0, (0.22, 0.0))
_TURNED = key((-0.08, 0.815, 0.19), (0.096, 0.755, 0.21), (0.25, 0.1), -0.02, 0.05, 0.1, (0.25, 0.12))
_TURNED_BACK = key((-0.096, 0.755, 0.21), (0.08, 0.815, 0.19), (0.1, 0.25), -0.02, -0.05, -0.1, (0.25, -0.12))

_PASSING = key((-0.1, 0.6, 0.17), (0.2, 0.69, 0.17), (0.1, 0.25), 0.04, 0.06, 0.12, (0.25, 0.35))
_AT_TRAY = key((-0.14, 0.56, 0.14), (0.345, 0.615, 0.11), (0.1, 0.25), 0.06, 0.16, 0.2, (0.28, 0.5))


@dataclass(frozen=True)
class Motion:
    """One phase: key poses at increasing progress, the last at 1, and a small oscillation laid over a part of it."""

    keys: tuple[tuple[float, NDArray[np.float64]], ...]
    swing: tuple[float, float] = (0.0, 0.0)
    """From which progress to which the oscillation lasts."""
    swings: float = 0.0
    amplitude: tuple[float, ...] = (0.0,) * 6
    """Of right x, y, z and left x, y, z."""


MOTIONS: dict[str, Motion] = {
    "pick": Motion(((0.34, _AT_BIN), (0.46, _IN_BIN), (0.56, _AT_BIN), (1.0, _PART_HELD))),
    "place": Motion(
        ((0.3, _ABOVE_FIXTURE), (0.6, _PRESSED), (0.78, _PRESSED), (1.0, _RELEASED)),
        (0.28, 0.6), 3.0, (0.008, 0, 0, 0.008, 0, 0),
    ),
    "fasten": Motion(
        ((0.18, _TOOL_REACHED), (0.36, _DRIVE), (0.5, _DRIVE), (0.57, _DRIVE_RIGHT), (0.68, _DRIVE_RIGHT),
         (0.88, _TOOL_REACHED), (1.0, _TOOL_LEFT)),
        (0.35, 0.69), 5.0, (0.0, 0.014, 0.0, 0, 0, 0),
    ),
    "inspect": Motion(((0.27, _GRIPPED), (0.5, _LIFTED), (0.66, _TURNED), (0.82, _TURNED_BACK), (1.0, _LIFTED))),
    "hand_off": Motion(((0.3, _PASSING), (0.55, _AT_TRAY), (0.66, _AT_TRAY), (1.0, HOME))),
}  # fmt: skip
assert tuple(MOTIONS) == PHASES


def minimum_jerk(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position 0–1 of a reach at time fraction s: 10s³ − 15s⁴ + 6s⁵ (Flash and Hogan 1985)."""
    s = np.clip(s, 0.0, 1.0)
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


@dataclass(frozen=True)
class Track:
    """Key poses on the work clock, and the oscillations over them."""

    times_s: NDArray[np.float64]
    """(M,) increasing."""
    keys: NDArray[np.float64]
    """(M, 13)."""
    arcs: NDArray[np.float64]
    """(M,): how much a hand lifts on its way to this key, as a fraction of the distance it travels."""
    swings: tuple[tuple[float, float, float, NDArray[np.float64]], ...]
    """Start, end, number of oscillations, amplitude (6,)."""

    def at(self, work_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Channels (T, 13) at times (T,) of the work clock."""
        out = np.empty((len(work_s), CHANNELS))
        for lead in np.unique(_LEAD_S):
            columns = np.flatnonzero(lead == _LEAD_S)
            t = work_s + lead
            i = np.clip(np.searchsorted(self.times_s, t, side="right"), 1, len(self.times_s) - 1)
            before, after = self.keys[i - 1], self.keys[i]
            s = (t - self.times_s[i - 1]) / (self.times_s[i] - self.times_s[i - 1])
            blend = minimum_jerk(s)[:, None]
            out[:, columns] = before[:, columns] + blend * (after - before)[:, columns]
            for hand in (RIGHT, LEFT):
                if hand.start in columns:
                    # Hands lift over what lies between: an arc that is highest half-way.
                    distance = np.linalg.norm((after - before)[:, hand], axis=1)
                    out[:, hand.start + 1] += self.arcs[i] * distance * (4 * blend * (1 - blend))[:, 0]
        for start, end, count, amplitude in self.swings:
            inside = (work_s > start) & (work_s < end)
            if inside.any():
                s = (work_s[inside] - start) / (end - start)
                window = np.minimum(1.0, 6 * np.minimum(s, 1 - s))
                out[inside, :6] += (window * np.sin(2 * np.pi * count * s))[:, None] * amplitude
        return out
