"""Which runtime runs a bundle here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Embedder, StepRuntime
from engine.embedder.embedder import StationEmbedder
from engine.errors import ConfigError

RUNTIMES = ("auto", "onnxruntime")


def open_runtime(bundle: Bundle, runtime: str = "auto") -> StepRuntime:
    if runtime in ("auto", "onnxruntime"):
        from engine.embedder.onnxruntime import OnnxRuntime

        return OnnxRuntime(bundle)
    raise ConfigError("no such runtime", expected=", ".join(RUNTIMES), found=runtime)


def open_embedder(bundle: Bundle, runtime: str = "auto") -> StationEmbedder:
    """An embedder for one station. Raises BundleError, ConfigError (unknown runtime)."""
    return StationEmbedder(open_runtime(bundle, runtime))


def embed_sequence(embedder: Embedder, poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Poses (T, K, 3) in pixels at the bundle's rate → (T, D): what a station would have seen, from a fresh start."""
    embedder.reset()
    out = np.empty((len(poses), embedder.bundle.info.embedding_dim), np.float32)
    for t, pose in enumerate(poses):
        out[t] = embedder.step(pose)
    return out
