"""Recordings on the tick grid with their embeddings: what every follower gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.matching.emission import unit
from engine.reference import Phase
from engine.resample import resample_track
from training.evaluate import controls
from training.evaluate.networks import bundle_features


@dataclass(frozen=True)
class Recording:
    """N ticks: poses (N, K, 3), embeddings (N, D) of unit length; `phases` (N,), −1 where nobody is at work."""

    name: str
    poses: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    phases: NDArray[np.int64]


def on_ticks(
    poses: NDArray[np.float32], source_rate_hz: float, rate_hz: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each tick the newest frame at or before it, and the pose there."""
    ticks_s, at_ticks = resample_track(np.arange(len(poses)) / source_rate_hz, poses, rate_hz)
    newest = np.floor(ticks_s * source_rate_hz + 1e-6).astype(np.int64)
    return np.minimum(newest, len(poses) - 1), at_ticks


def embed(poses: Sequence[NDArray[np.float32]], bundle: Bundle) -> list[NDArray[np.float32]]:
    """Poses (N, K, 3) at the bundle's rate → embeddings, each recording on its own."""
    return bundle_features(bundle, bundle.info.rate_hz)(poses)


def embed_keypoints(poses: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The control: normalised joints instead of a network, at unit length."""
    return [unit(features) for features in controls.keypoints(poses)]


def phases_of(labels: NDArray[np.int64], rate_hz: float) -> list[Phase]:
    """Labels (N,) of a trimmed cycle → phases named by their label, on its clock."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [
        Phase(
            name=f"{labels[a]}" if labels[a] not in labels[:a] else f"{labels[a]}.{a}",
            start_s=a / rate_hz,
            end_s=b / rate_hz,
        )
        for a, b in pairwise(edges)
    ]
