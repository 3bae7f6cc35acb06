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
POWER = 64
"""See `_segment`: exp(x) is the 64th power of exp(x / 64)."""


def draw_patches(net: LockstepNet, now: Tensor, before: list[Tensor]) -> Tensor:
    """Poses (P, K, 3) of some ticks, and of each motion delay earlier → patches (P, 9, C · patch²) as `net.frames` takes them.

    Same channels as `LockstepNet` draws: heatmaps, then for each delay their change where both are drawn.
    """
    maps, config = net.heatmaps, net.config
    grid, patch = config.grid, config.patch
    half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    channels = maps.channels * (1 + len(before))
    shape = (len(now), (grid // patch) ** 2, channels * patch * patch)
    out = torch.empty(shape, dtype=torch.bfloat16 if half else torch.float32)
    limbs = np.stack([maps.starts.numpy(), maps.ends.numpy()], axis=1)
    segments = [(j, j) for j in range(now.shape[1])] if maps.draws_joints else []
    ends = np.array([*segments, *map(tuple, limbs)] if maps.draws_limbs else segments, np.int64)
    poses = [tensor.detach().float().contiguous().numpy() for tensor in (now, *before)]
    flat = out.view(len(now), shape[1] * shape[2])
    # Pixel (i, j) of channel c lies at down[i] + across[j] + c · patch² of a tick's patches.
    pixel = np.arange(grid)
    down = (pixel // patch) * (grid // patch) * shape[2] + (pixel % patch) * patch
    across = (pixel // patch) * shape[2] + pixel % patch
    _draw(
        np.stack(poses),
        ends,
        config.sigma,
        down,
        across,
        patch * patch,
        flat.view(torch.uint16).numpy() if half else flat.numpy(),
        half,
    )
    return out


@numba.njit(parallel=True, fastmath=True, cache=True)
def _draw(
    poses: NDArray[np.float32],
    ends: NDArray[np.int64],
    sigma: float,
    down: NDArray[np.int64],
    across: NDArray[np.int64],
    pixels: int,
    out: NDArray[np.generic],
    half: bool,
) -> None:
    """poses (1 + delays, P, K, 3); out (P, patches · channels · patch²) as float32, or as the bits of bfloat16."""
    times, count, segments, grid = poses.shape[0], poses.shape[1], len(ends), len(down)
    for n in numba.prange(count):
        row = out[n]
        row[:] = 0  # here, while it is about to be written, and not for all ticks at once: it stays in the cache
        planes = np.zeros((times, grid, grid), np.float32)
        for c in range(segments):
            a, b = ends[c]
            now_drawn = min(poses[0, n, a, 2], poses[0, n, b, 2]) >= LEAST_CONFIDENCE
            now = _segment(planes[0], poses[0, n, a], poses[0, n, b], sigma)
            _put(row, planes[0], now, down, across, c * pixels, half)
            for t in range(1, times):
                if now_drawn and min(poses[t, n, a, 2], poses[t, n, b, 2]) >= LEAST_CONFIDENCE:
                    then = _segment(planes[t], poses[t, n, a], poses[t, n, b], sigma)
                    left, right = min(now[0], then[0]), max(now[1], then[1])
                    top, bottom = min(now[2], then[2]), max(now[3], then[3])
                    for i in range(top, bottom + 1):
                        for j in range(left, right + 1):
                            planes[t, i, j] = planes[0, i, j] - planes[t, i, j]
                    change = (left, right, top, bottom)
                    _put(row, planes[t], change, down, across, (t * segments + c) * pixels, half)
                    planes[t, top : bottom + 1, left : right + 1] = 0.0
            planes[0, now[2] : now[3] + 1, now[0] : now[1] + 1] = 0.0


@numba.njit(fastmath=True, cache=True, inline="always")
def _put(row, plane, box, down, across, channel, half):
    """A box (left, right, top, bottom) of a plane into its channel of the patches."""
    left, right, top, bottom = box
    for i in range(top, bottom + 1):
        start = channel + down[i]
        for j in range(left, right + 1):
            if half:  # the upper half of a float32, rounded to nearest
                bits = np.float32(plane[i, j]).view(np.uint32)
                row[start + across[j]] = np.uint16((bits + np.uint32(0x8000)) >> np.uint32(16))
            else:
                row[start + across[j]] = plane[i, j]


@numba.njit(fastmath=True, cache=True)
def _segment(plane, a, b, sigma):
    """Draws one joint or limb; the box (left, right, top, bottom) it touches, empty where it is not drawn."""
    grid, confidence = len(plane), min(a[2], b[2])
    if confidence < LEAST_CONFIDENCE:
        return grid, -1, grid, -1
    reach, k = np.float32(REACH * sigma), np.float32(-0.5 / (sigma * sigma) / POWER)
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
    one, nothing, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    for i in range(top, bottom + 1):
        py = np.float32(i) - ay
        for j in range(left, right + 1):
            px = np.float32(j) - ax
            along = min(one, max(nothing, (px * dx + py * dy) * inverse))
            ex, ey = px - along * dx, py - along * dy
            distance = ex * ex + ey * ey
            # exp(x) = exp(x / 64)^64, the small exponent as a parabola: within 0.0001, and a processor does eight at once.
            x = k * distance
            x = one + x + half * x * x
            x *= x
            x *= x
            x *= x
            x *= x
            x *= x
            x *= x
            plane[i, j] = confidence * x if distance <= reach * reach else nothing
    return left, right, top, bottom
