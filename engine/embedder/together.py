"""Several recordings embedded side by side, each as a station would have seen it from a fresh start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.embedder.base import StepRuntime
from models.crop import crop_sequence


def embed_together(runtime: StepRuntime, recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Poses (T, K, 3) in pixels at the bundle's rate → embeddings (T, D) of each."""
    info = runtime.bundle.info
    return embed_cropped(runtime, [crop_sequence(poses, info.layout, **info.crop) for poses in recordings])


def embed_cropped(runtime: StepRuntime, recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Keypoints (T, K, 3) in crop coordinates → embeddings (T, D). Of what pads shorter recordings nothing reaches them: no tick sees ahead."""
    longest = max(map(len, recordings))
    keypoints = np.zeros((len(recordings), longest, *recordings[0].shape[1:]), np.float32)
    for row, poses in enumerate(recordings):
        keypoints[row, : len(poses)] = poses
    lanes = runtime.lanes(len(recordings))
    embedded = np.stack([lanes.step(keypoints[:, t]) for t in range(longest)], axis=1)
    return [embedded[row, : len(poses)] for row, poses in enumerate(recordings)]
