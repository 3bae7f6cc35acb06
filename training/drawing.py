"""The heatmaps of `models.heatmaps`, drawn for training: only where they are not zero, on all cores, without gradients.

A joint or limb touches about a tenth of the grid; visiting only that part is several times faster than the dense module,
which remains the definition (a test compares them) and is what is exported.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.heatmaps import LEAST_CONFIDENCE, SHORTEST_LIMB, Heatmaps

REACH = 4.0
"""Drawn up to this many sigma: what is left out is below exp(−8) = 0.0003."""


class SparseHeatmaps(Heatmaps):
    """Same values as `Heatmaps` within exp(−REACH² / 2); no gradient to the keypoints; CPU only."""

    @staticmethod
    def instead_of(dense: Heatmaps) -> SparseHeatmaps:
        sparse = SparseHeatmaps.__new__(SparseHeatmaps)
        sparse.__dict__.update(dense.__dict__)
        return sparse

    def forward(self, keypoints: Tensor) -> Tensor:
        shape, grid = keypoints.shape, len(self.axis)
        flat = keypoints.detach().reshape(-1, shape[-2], 3).float().contiguous().numpy()
        out = torch.zeros((len(flat), self.channels, grid, grid))
        sigma = 1.0 / (self.scale * math.sqrt(2.0))
        _draw(flat, self.starts.numpy(), self.ends.numpy(), sigma, self.draws_joints, self.draws_limbs, out.numpy())
        if torch.is_autocast_enabled("cpu"):  # what follows is bound by memory, not by arithmetic
            out = out.to(torch.get_autocast_dtype("cpu"))
        return out.reshape(*shape[:-2], *out.shape[1:])


@numba.njit(parallel=True, fastmath=True, cache=True)
def _draw(
    poses: NDArray[np.float32],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    sigma: float,
    joints: bool,
    limbs: bool,
    out: NDArray[np.float32],
) -> None:
    grid = out.shape[2]
    reach = REACH * sigma
    k = np.float32(-0.5 / (sigma * sigma))
    for n in numba.prange(len(poses)):
        pose = poses[n]
        channel = 0
        if joints:
            for j in range(len(pose)):
                _segment(out[n, channel], grid, pose[j, 0], pose[j, 1], pose[j, 0], pose[j, 1], pose[j, 2], reach, k)
                channel += 1
        if limbs:
            for limb in range(len(starts)):
                a, b = pose[starts[limb]], pose[ends[limb]]
                _segment(out[n, channel], grid, a[0], a[1], b[0], b[1], min(a[2], b[2]), reach, k)
                channel += 1


@numba.njit(fastmath=True, cache=True, inline="always")
def _segment(plane, grid, ax, ay, bx, by, confidence, reach, k):  # type: ignore[no-untyped-def]
    if confidence < LEAST_CONFIDENCE:
        return
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
