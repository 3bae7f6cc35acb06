"""What the live path asks of a model: a stateless step for a batch, and one station's memory around it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle

Arrays = dict[str, NDArray[Any]]


class StepRuntime(Protocol):
    """Runs a bundle's step graph. Holds weights, never a station's state, so one serves many stations."""

    bundle: Bundle
    name: str

    def step(self, keypoints: NDArray[np.float32], state: Arrays) -> tuple[NDArray[np.float32], Arrays]:
        """One tick of a batch.

        keypoints (B, K, 3) in crop coordinates (see `models.crop`); `state` holds each tensor of `bundle.state`
        as (B, *shape). Returns unit-length embeddings (B, D) and the next state.
        """
        ...


class Embedder(Protocol):
    """One station: poses in, embeddings out; live and reference go through the same code."""

    bundle: Bundle

    def reset(self) -> None: ...

    def step(self, pose: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pose (K, 3) in pixels, in the bundle's layout, at one tick → embedding (D,), unit length."""
        ...

    def state(self) -> Arrays:
        """Everything needed to go on from here, as arrays: crop and caches."""
        ...

    def restore(self, state: Arrays) -> None: ...
