"""Which of the people seen is the operator: the one followed so far, else the largest, always within the region."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

Pose = NDArray[np.float32]
Region = NDArray[np.float32]
"""Polygon (N, 2), corners as fractions of width and height."""

MAX_STEP = 0.6
"""A person moves at most this many of their own sizes between two frames; a larger step is somebody else."""
PATIENCE_S = 1.0
"""How long a lost operator is waited for before the largest person takes over."""


def region(values: Sequence[float] | Sequence[Sequence[float]]) -> Region:
    """A box (left, top, right, bottom) or a polygon ((x, y), …), in fractions of the picture, as a polygon (N, 2).

    Raises ConfigError: other shapes, corners outside the picture, no area.
    """
    try:
        corners = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        corners = np.zeros(0, np.float32)
    if corners.shape == (4,):
        left, top, right, bottom = corners
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
        flat = left >= right or top >= bottom
    else:
        flat = False
    if (
        corners.ndim != 2
        or corners.shape[1] != 2
        or len(corners) < 3
        or not np.isfinite(corners).all()
        or corners.min() < 0
        or corners.max() > 1
        or flat
        or cv2.contourArea(corners) <= 0
    ):
        raise ConfigError(
            "the region of interest is wrong",
            expected="left, top, right, bottom or at least three corners x, y, as fractions 0–1 of the picture",
            found=str(values)[:80],
            next_step="Correct the region.",
        )
    return corners


def parse_region(text: str) -> Region:
    """`0.1,0.2,0.9,1` (box) or `0.1,0.2 0.9,0.2 0.5,1` (polygon) from a command line. Raises ConfigError."""
    try:
        points = [[float(number) for number in point.split(",")] for point in text.split()]
    except ValueError:
        points = []
    if not points or len({len(point) for point in points}) != 1:
        return region([])
    return region(points[0] if len(points) == 1 else points)


def centre(pose: Pose) -> NDArray[np.float32]:
    """Confidence-weighted middle (2,) of a pose (K, 3) in pixels; NaN where nothing is seen."""
    weight = pose[:, 2].sum()
    if weight <= 0:
        return np.full(2, np.nan, np.float32)
    return (pose[:, :2] * pose[:, 2:]).sum(axis=0) / weight


def size(pose: Pose) -> float:
    """Diagonal of the box around the seen joints, pixels; 0 where nothing is seen."""
    seen = pose[pose[:, 2] > 0, :2]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) else 0.0


def apart(a: Pose, b: Pose) -> float:
    """Mean distance of the joints seen in both, pixels: unlike the distance of centres it tells a large from a small person."""
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    if not both.any():
        return float(np.linalg.norm(centre(a) - centre(b)))
    return float(np.linalg.norm(a[both, :2] - b[both, :2], axis=1).mean())


def largest(poses: Sequence[Pose]) -> Pose | None:
    """The person who appears largest; None if nobody is there."""
    return max(poses, key=size, default=None)


def within(poses: Sequence[Pose], area: Region, image_size: tuple[int, int]) -> list[Pose]:
    """Those whose centre lies in `area` (see `region`) of a picture of (width, height) pixels."""
    polygon = (area * np.array(image_size, np.float32)).astype(np.float32)
    return [
        pose
        for pose in poses
        if size(pose) > 0 and cv2.pointPolygonTest(polygon, tuple(map(float, centre(pose))), False) >= 0
    ]


class OperatorSelector:
    """Stays with one person. The largest in the region becomes the operator, and remains so until gone for a while.

    selector = OperatorSelector(region([0.2, 0.0, 0.8, 1.0]))
    pose = selector.select(poses, image_size=(640, 480), time_s=1.23)
    """

    def __init__(self, area: Region | None = None) -> None:
        self._area = area
        self.reset()

    def reset(self) -> None:
        """Forget the operator."""
        self._last: Pose | None = None
        self._last_s = 0.0

    def select(self, poses: Sequence[Pose], image_size: tuple[int, int], time_s: float) -> Pose | None:
        """The operator's pose among `poses` (K, 3) in pixels at `time_s`; None where they are not to be seen."""
        here = within(poses, self._area, image_size) if self._area is not None else [p for p in poses if size(p) > 0]
        operator = self._same(here) if self._last is not None else largest(here)
        if operator is None and not 0 <= time_s - self._last_s <= PATIENCE_S:
            operator = largest(here)
        if operator is not None:
            self._last, self._last_s = operator, time_s
        return operator

    def _same(self, poses: Sequence[Pose]) -> Pose | None:
        assert self._last is not None
        reach = MAX_STEP * size(self._last)
        distances = [apart(self._last, pose) for pose in poses]
        nearest = int(np.argmin(distances)) if distances else 0
        return poses[nearest] if distances and distances[nearest] <= reach else None
