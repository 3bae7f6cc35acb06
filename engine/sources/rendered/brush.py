"""Anti-aliased shapes in floating-point pixels, shaded by one light: what the worker and the scene are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Point = Sequence[float] | NDArray[np.floating]

_SHIFT = 4
"""OpenCV takes fixed-point coordinates with this many fractional bits."""
_SCALE = 1 << _SHIFT

_TURN = np.linspace(0, np.pi, 9)
_COS, _SIN = np.cos(_TURN)[:, None], np.sin(_TURN)[:, None]


@lru_cache(maxsize=4096)
def shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    """A darker (factor < 1) or lighter colour."""
    b, g, r = (min(255, max(0, round(c * factor))) for c in colour)
    return b, g, r


def polygon(image: Image, points: NDArray[np.floating], colour: Sequence[float]) -> None:
    cv2.fillPoly(image, [(points * _SCALE).astype(np.int32)], colour, cv2.LINE_AA, _SHIFT)


def line(image: Image, points: NDArray[np.floating], colour: Sequence[float], width: float) -> None:
    fixed = (points * _SCALE).astype(np.int32)
    cv2.polylines(image, [fixed], False, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def ellipse(image: Image, centre: Point, axes: Point, colour: Sequence[float], angle_deg: float = 0.0) -> None:
    """A filled ellipse; `axes` are half-axes."""
    if not (-2000 < centre[0] < 6000 and -2000 < centre[1] < 6000):
        return
    cv2.ellipse(
        image,
        (round(centre[0] * _SCALE), round(centre[1] * _SCALE)),
        (max(8, round(axes[0] * _SCALE)), max(8, round(axes[1] * _SCALE))),
        angle_deg,
        0,
        360,
        colour,
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )


def _capsule(a: Point, b: Point) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends (18, 2) from which a limb's outline is drawn, and the unit offsets (18, 2) from them."""
    ax, ay, bx, by = float(a[0]), float(a[1]), float(b[0]), float(b[1])
    dx, dy = bx - ax, by - ay
    length = (dx * dx + dy * dy) ** 0.5
    dx, dy = (dx / length, dy / length) if length > 1e-6 else (1.0, 0.0)
    half = _COS * (-dy, dx) + _SIN * (dx, dy)
    ends = np.empty((18, 2))
    ends[:9], ends[9:] = (bx, by), (ax, ay)
    return ends, np.concatenate([half, -half])


def capsule(image: Image, a: Point, b: Point, radius_a: float, radius_b: float, colour: Sequence[float]) -> None:
    """A flat limb that tapers from `a` to `b`."""
    ends, offsets = _capsule(a, b)
    offsets[:9] *= radius_b
    offsets[9:] *= radius_a
    polygon(image, ends + offsets, colour)


def limb(
    image: Image, a: Point, b: Point, radius_a: float, radius_b: float, colour: tuple[int, int, int], light: float
) -> None:
    """A round limb: a dark edge, the colour, and a lighter stripe on the side of the light (-1 left, 1 right)."""
    ends, offsets = _capsule(a, b)
    radius = np.full((18, 1), radius_a)
    radius[:9] = radius_b
    offsets *= radius
    polygon(image, ends + offsets * (1 + 0.8 / max(radius_a, 1.0)), shade(colour, 0.58))
    towards = np.concatenate([light * radius, -0.3 * radius], axis=1)
    for depth, inner, tone in ((0.10, 0.9, 0.82), (0.20, 0.74, 0.94), (0.26, 0.56, 1.02), (0.40, 0.28, 1.12)):
        polygon(image, ends + depth * towards + inner * offsets, shade(colour, tone))
