"""What counts as a picture: anything else an estimator is handed is a frame without a person."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

MIN_SIDE_PX = 16
"""Estimators break on slivers of a picture; nobody is recognisable in one either."""


def is_picture(image: object) -> TypeGuard[NDArray[np.uint8]]:
    """True for (H, W, 3) uint8 with both sides at least MIN_SIDE_PX."""
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and min(image.shape[:2]) >= MIN_SIDE_PX
    )
