"""What the live path asks of a model: a runtime (weights), its lanes (caches on its device), one station's embedder."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle

Arrays = dict[str, NDArray[Any]]


class Lanes(Protocol):
    """Caches of `batch` independent streams, kept where the runtime computes. One thread at a time."""

    batch: int

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """One tick. Keypoints (B, K, 3) in crop coordinates → unit-length embeddings (B, D).

        Lanes that are not `active` (B,) keep their caches; their rows of the result mean nothing.
        """
        ...

    def reset(self, lane: int) -> None: ...

    def state(self, lane: int) -> Arrays:
        """Each tensor of `bundle.info.state` of one lane, shape as there, copied."""
        ...

    def restore(self, lane: int, state: Arrays) -> None: ...


class StepRuntime(Protocol):
    """Runs a bundle's step graph. Holds weights, never a station's memory, so one serves many stations."""

    bundle: Bundle
    name: str
    """Which one, in words: `onnxruntime 1.32 (CPU)`."""

    @property
    def precision(self) -> str:
        """fp32, fp16 or bf16: of the matrix products."""
        ...

    def lanes(self, batch: int = 1) -> Lanes: ...


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
