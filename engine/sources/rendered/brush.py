"""Anti-aliased shapes in floating-point pixels, shaded by one light: what the worker and the scene are drawn with."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Point = Sequence[float] | NDArray[np.floating]

_SHIFT = 4
"""OpenCV takes fixed-point coordinates with this many fractional bits."""
_SCALE = 1 << _SHIFT

_HALF_CIRCLE = np.stack([np.cos(np.linspace(0, np.pi, 9)), np.sin(np.linspace(0, np.pi, 9))], -1)


def shade(colour: Sequence[float], factor: float) -> tuple[int, int, int]:
    """A darker (factor < 1) or lighter colour."""
    b, g, r = (min(255, max(0, round(c * factor))) for c in colour)
    return b, g, r


def polygon(image: Image, points: NDArray[np.floating], colour: Sequence[float]) -> None:
    fixed = np.round(np.clip(points, -4000, 4000) * _SCALE).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, _SHIFT)


def line(image: Image, points: NDArray[np.floating], colour: Sequence[float], width: float) -> None:
    fixed = np.round(np.clip(points, -4000, 4000) * _SCALE).astype(np.int32)
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


def capsule(a: Point, b: Point, radius_a: float, radius_b: float) -> NDArray[np.float64]:
    """Outline (18, 2) of a limb that tapers from `a` to `b`."""
    start, end = np.asarray(a, float)[:2], np.asarray(b, float)[:2]
    axis = end - start
    length = float(np.hypot(*axis))
    along = axis / length if length > 1e-6 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    cap = _HALF_CIRCLE[:, :1] * across, _HALF_CIRCLE[:, 1:] * along
    return np.concatenate([end + radius_b * (cap[0] + cap[1]), start - radius_a * (cap[0] + cap[1])])


def limb(
    image: Image, a: Point, b: Point, radius_a: float, radius_b: float, colour: Sequence[float], light: float
) -> None:
    """A round limb: a dark edge, the colour, and a lighter stripe on the side of the light (-1 left, 1 right)."""
    polygon(image, capsule(a, b, radius_a + 0.8, radius_b + 0.8), shade(colour, 0.58))
    for depth, inner, tone in ((0.10, 0.9, 0.82), (0.22, 0.72, 1.0), (0.42, 0.36, 1.13)):
        da, db = light * depth * radius_a, light * depth * radius_b
        polygon(
            image,
            capsule(
                (a[0] + da, a[1] - 0.3 * abs(da)), (b[0] + db, b[1] - 0.3 * abs(db)), radius_a * inner, radius_b * inner
            ),
            shade(colour, tone),
        )
