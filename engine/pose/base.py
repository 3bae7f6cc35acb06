"""The protocol of pose estimators. Which of the people seen is the operator is decided in `selection.py`, not here."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class PoseEstimator(Protocol):
    """Stateful over one stream (estimators track); `reset` before another stream."""

    layout: str

    def estimate(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Image (H, W, 3) BGR → one pose (K, 3) in pixels per person seen; an empty list if nobody is there."""
        ...

    def reset(self) -> None: ...

    def close(self) -> None: ...
