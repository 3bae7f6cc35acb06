"""How the person is cut out of the picture, by the policy a bundle names: `causal`, as live, or the whole `recording`'s box.

crop: {policy: causal, side: 4.0, …}     `models.causal_crop`: the square follows the person; live and offline
crop: {policy: recording, margin: 0.0}   one box around all skeletons of the recording, as in the LA2DS paper; offline only
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import skeleton
from models.causal_crop import SEEN, CausalCrop

POLICIES = ("causal", "recording")


def crop_sequence(
    poses: NDArray[np.floating], layout: str, policy: str = "causal", **parameters: Any
) -> NDArray[np.float32]:
    """Poses (T, K, 3) in pixels → (T, K, 3) in crop coordinates, finite; a missing joint is zeros.

    `causal` is `CausalCrop` looped, so exactly what runs live. Raises TypeError for parameters a policy does not have, and
    ValueError for a policy that does not exist.
    """
    if policy == "recording":
        return recording_crop(poses, **parameters)
    if policy != "causal":
        raise ValueError(f"expected crop policy {' or '.join(POLICIES)}, found {policy!r}")
    follower = CausalCrop(layout, **parameters)
    out = np.empty(poses.shape, np.float32)
    for t, pose in enumerate(poses):
        out[t] = follower.step(pose)
    return out


def check_crop(layout: str, crop: Mapping[str, Any]) -> None:
    """Whether `crop_sequence` takes this policy and these parameters. Raises ValueError that says what is wrong."""
    for name, value in crop.items():
        if name == "policy":
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        if not number or (value == 0 and name in ("grid", "side")):
            raise ValueError(
                f"expected a number as {name} of the crop, {'above' if value == 0 else 'at least'} 0, found {value!r}"
            )
    try:
        crop_sequence(np.zeros((1, skeleton.layout(layout).size, 3)), layout, **crop)
    except TypeError as error:
        raise ValueError(str(error)) from None


def recording_crop(poses: NDArray[np.floating], grid: int = 30, margin: float = 0.0) -> NDArray[np.float32]:
    """One square around every joint that is seen in the recording, `margin` of its side wider on each side.

    LA2DS crops to the smallest box that holds all skeletons of the sequence; here the box is made square around its
    middle, because stretching each axis by itself makes one pose look different from clip to clip.
    """
    out = skeleton.clean(poses)
    missing = out[..., 2] <= 0
    seen = out[out[..., 2] >= SEEN][:, :2]
    if len(seen):
        low, high = seen.min(axis=0), seen.max(axis=0)
        side = float((high - low).max()) * (1 + 2 * margin)
        # The box's edges lie on the middles of the outermost heatmap pixels.
        scale = (grid - 1) / side if side > 0 else 1.0
        out[..., :2] = (out[..., :2] - (low + high) / 2) * scale + (grid - 1) / 2
        np.clip(out[..., :2], -grid, 2 * grid, out=out[..., :2])
    out[missing] = 0.0
    return out
