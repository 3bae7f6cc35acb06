"""What every evaluation is compared with: features that know the time, or the pose, but have learned nothing.

A trimmed clip begins and ends with its action, so a clock alone nearly solves the paper protocol; whatever a model claims
must be read beside these. The fourth control, the untrained network, is `networks.untrained`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Features = Callable[[Sequence[NDArray[np.float32]]], list[NDArray[np.float32]]]
"""Poses of several recordings, each (T, K, 3) in pixels → features of each, (T, D), independent of one another."""


def frame_index(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The number of the frame, (T, 1)."""
    return [np.arange(len(poses), dtype=np.float32)[:, None] for poses in recordings]


def time_fraction(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """t / T, (T, 1): a clock that also knows the length, which nobody does live."""
    return [np.arange(len(poses), dtype=np.float32)[:, None] / len(poses) for poses in recordings]


def keypoints(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The joints themselves, (T, 2K): centred per frame, divided by the recording's median body size.

    A joint that was not seen is interpolated in time; one never seen is at the centre.
    """
    return [_normalised(poses) for poses in recordings]


def _normalised(poses: NDArray[np.float32]) -> NDArray[np.float32]:
    length, joints = poses.shape[:2]
    frames = np.arange(length)
    xy = np.full((length, joints, 2), np.nan)
    for joint in range(joints):
        seen = np.flatnonzero(poses[:, joint, 2] > 0)
        if len(seen):
            for axis in (0, 1):
                xy[:, joint, axis] = np.interp(frames, seen, poses[seen, joint, axis])
    known = np.isfinite(xy[0, :, 0])
    if not known.any():
        return np.zeros((length, 2 * joints), np.float32)
    xy -= xy[:, known].mean(axis=1, keepdims=True)
    size = np.median(np.sqrt((xy[:, known] ** 2).sum(-1).mean(-1)))
    return np.nan_to_num(xy / max(float(size), 1e-6)).reshape(length, -1).astype(np.float32)


CONTROLS: dict[str, Features] = {"frame_index": frame_index, "t/T": time_fraction, "keypoints": keypoints}
