"""The heatmaps of `models.heatmaps`, drawn for training on a CPU: straight into patches, only where they are not zero.

A joint or limb touches about a tenth of the grid, and what follows is bound by memory: drawing that part only, in
bfloat16 where the network computes in it, makes drawing a few percent of a step. The dense module remains the
definition (a test compares them) and is what is exported. No gradient reaches the keypoints.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.heatmaps import LEAST_CONFIDENCE, SHORTEST_LIMB
from models.lockstep_net import LockstepNet

REACH = 4.0
"""Drawn up to this many sigma: what is left out is below exp(−8) = 0.0003."""


def draw_patches(net: LockstepNet, now: Tensor, before: list[Tensor]) -> Tensor:
    """Poses (P, K, 3) of some ticks, and of each motion delay earlier → patches (P, 9, C · patch²) as `net.frames` takes them.

    Same channels as `LockstepNet` draws: heatmaps, then for each delay their change where both are drawn.
    """
    maps, config = net.heatmaps, net.config
    grid, patch = config.grid, config.patch
    half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    channels = maps.channels * (1 + len(before))
    shape = (len(now), (grid // patch) ** 2, channels * patch * patch)
    out = torch.zeros(shape, dtype=torch.bfloat16 if half else torch.float32)
    limbs = np.stack([maps.starts.numpy(), maps.ends.numpy()], axis=1)
    segments = [(j, j) for j in range(now.shape[1])] if maps.draws_joints else []
    ends = np.array([*segments, *map(tuple, limbs)] if maps.draws_limbs else segments, np.int64)
    poses = [tensor.detach().float().contiguous().numpy() for tensor in (now, *before)]
    _draw(
        np.stack(poses), ends, grid, patch, config.sigma, out.view(torch.uint16).numpy() if half else out.numpy(), half
    )
    return out


@numba.njit(parallel=True, fastmath=True, cache=True)
def _draw(
    poses: NDArray[np.float32],
    ends: NDArray[np.int64],
    grid: int,
    patch: int,
    sigma: float,
    out: NDArray[np.generic],
    half: bool,
) -> None:
    """poses (1 + delays, P, K, 3); out (P, patches, channels · patch²) as float32, or as the bits of bfloat16."""
    times, count, segments = poses.shape[0], poses.shape[1], len(ends)
    for n in numba.prange(count):
        planes = np.zeros((times, grid, grid), np.float32)
        for c in range(segments):
            a, b = ends[c]
            certain = np.zeros(times, np.float32)
            left, right, top, bottom = grid, -1, grid, -1
            for t in range(times):
                box = _segment(planes[t], grid, poses[t, n, a], poses[t, n, b], sigma)
                certain[t] = min(poses[t, n, a, 2], poses[t, n, b, 2])
                left, right = min(left, box[0]), max(right, box[1])
                top, bottom = min(top, box[2]), max(bottom, box[3])
            for i in range(top, bottom + 1):
                for j in range(left, right + 1):
                    token = (i // patch) * (grid // patch) + j // patch
                    inside = (i % patch) * patch + j % patch
                    for t in range(times):
                        value = planes[0, i, j]
                        if t > 0:
                            moved = certain[0] >= LEAST_CONFIDENCE and certain[t] >= LEAST_CONFIDENCE
                            value = value - planes[t, i, j] if moved else np.float32(0.0)
                        _put(out, n, token, (t * segments + c) * patch * patch + inside, value, half)
                    for t in range(times):
                        planes[t, i, j] = 0.0


@numba.njit(cache=True, inline="always")
def _put(out, n, token, feature, value, half):
    if half:  # the upper half of a float32, rounded to nearest
        bits = np.float32(value).view(np.uint32)
        out[n, token, feature] = np.uint16((bits + np.uint32(0x8000)) >> np.uint32(16))
    else:
        out[n, token, feature] = value


@numba.njit(fastmath=True, cache=True)
def _segment(plane, grid, a, b, sigma):
    """Draws one joint or limb; the box (left, right, top, bottom) it touches, empty where it is not drawn."""
    confidence = min(a[2], b[2])
    if confidence < LEAST_CONFIDENCE:
        return grid, -1, grid, -1
    reach, k = REACH * sigma, -0.5 / (sigma * sigma)
    ax, ay, bx, by = a[0], a[1], b[0], b[1]
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    inverse = np.float32(0.0)
    if square >= SHORTEST_LIMB * SHORTEST_LIMB:
        inverse = np.float32(1.0) / square
    else:
        bx, by = ax, ay  # drawn as its first joint
    left, right = max(0, math.ceil(min(ax, bx) - reach)), min(grid - 1, math.floor(max(ax, bx) + reach))
    top, bottom = max(0, math.ceil(min(ay, by) - reach)), min(grid - 1, math.floor(max(ay, by) + reach))
    for i in range(top, bottom + 1):
        py = np.float32(i) - ay
        for j in range(left, right + 1):
            px = np.float32(j) - ax
            along = min(np.float32(1.0), max(np.float32(0.0), (px * dx + py * dy) * inverse))
            ex, ey = px - along * dx, py - along * dy
            distance = ex * ex + ey * ey
            if distance <= reach * reach:
                plane[i, j] = confidence * math.exp(k * distance)
    return left, right, top, bottom
