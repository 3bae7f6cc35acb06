"""Keypoints → joint and limb heatmaps, as one differentiable torch module without loops over joints or frames.

    (..., K, 3) crop coordinates  →  joints (..., J, G, G)  ++  limbs (..., L, G, G)

Formulas: LA2DS, Eq. 1 and 2, with the squared distance to the segment of PoseConv3D, which the paper follows. Drawn
straight on the grid the network reads (30 × 30), in crop coordinates: pixel (i, j) has its centre at x = j, y = i.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEAST_CONFIDENCE = 1e-3
"""A joint or limb less certain than this is not drawn (PoseConv3D)."""
SHORTEST_LIMB = 1.0
"""A limb shorter than this, in grid pixels, is drawn as a joint (PoseConv3D)."""


class Heatmaps(nn.Module):
    """Heatmaps of one layout; `kind` is 'joints', 'limbs' or 'joints+limbs'."""

    axis: Tensor
    starts: Tensor
    ends: Tensor

    def __init__(
        self,
        joints: int,
        limbs: Sequence[tuple[int, int]],
        kind: str = "joints+limbs",
        grid: int = 30,
        sigma: float = 1.0,
    ) -> None:
        super().__init__()
        if kind not in ("joints", "limbs", "joints+limbs"):
            raise ValueError(f"expected heatmaps 'joints', 'limbs' or 'joints+limbs', found {kind!r}")
        self.draws_joints, self.draws_limbs = "joints" in kind, "limbs" in kind
        self.channels = joints * self.draws_joints + len(limbs) * self.draws_limbs
        # Coordinates are divided by √2·σ once, so that the exponent is minus a plain squared distance.
        self.scale = 1.0 / (2.0**0.5 * sigma)
        self.register_buffer("axis", torch.arange(grid, dtype=torch.float32) * self.scale, persistent=False)
        self.register_buffer("starts", torch.tensor([a for a, _ in limbs]), persistent=False)
        self.register_buffer("ends", torch.tensor([b for _, b in limbs]), persistent=False)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(..., K, 3) x, y in grid pixels, confidence → (..., C, G, G) float32, values 0–1, rows are y."""
        x, y, confidence = keypoints.float().unbind(-1)
        x, y = x * self.scale, y * self.scale
        maps = []
        if self.draws_joints:
            maps.append(self._joints(x, y, confidence))
        if self.draws_limbs:
            maps.append(self._limbs(x, y, confidence))
        return torch.cat(maps, dim=-3) if len(maps) > 1 else maps[0]

    def confidence(self, keypoints: Tensor) -> Tensor:
        """(..., K, 3) → (..., C): how certain each channel is, 0 where it is not drawn."""
        confidence = keypoints[..., 2].float()
        parts = [confidence] if self.draws_joints else []
        if self.draws_limbs:
            parts.append(torch.minimum(confidence[..., self.starts], confidence[..., self.ends]))
        return _drawn(torch.cat(parts, dim=-1))

    def _joints(self, x: Tensor, y: Tensor, confidence: Tensor) -> Tensor:
        """exp(−((j − x)² + (i − y)²) / 2σ²) · c: a Gaussian is a product, so 2·G exponentials do for G² pixels."""
        across = torch.exp(-((self.axis - x[..., None]) ** 2))  # (..., J, G)
        down = torch.exp(-((self.axis - y[..., None]) ** 2)) * _drawn(confidence)[..., None]
        return down[..., :, None] * across[..., None, :]

    def _limbs(self, x: Tensor, y: Tensor, confidence: Tensor) -> Tensor:
        """exp(−dist² to the segment a–b / 2σ²) · min(c_a, c_b)."""
        ax, ay = x[..., self.starts], y[..., self.starts]  # (..., L)
        dx, dy = x[..., self.ends] - ax, y[..., self.ends] - ay
        square = dx * dx + dy * dy
        is_point = square < (SHORTEST_LIMB * self.scale) ** 2
        inverse = torch.where(is_point, torch.zeros_like(square), 1.0 / square.clamp_min(1e-12))
        px, py = self.axis - ax[..., None], self.axis - ay[..., None]  # (..., L, G)
        # Foot of the perpendicular, as a fraction of the limb: linear in x and in y, hence an outer sum.
        along = (py * (dy * inverse)[..., None])[..., :, None] + (px * (dx * inverse)[..., None])[..., None, :]
        along = along.clamp(0.0, 1.0)
        gone_x = px[..., None, :] - along * dx[..., None, None]
        gone_y = py[..., :, None] - along * dy[..., None, None]
        least = torch.minimum(confidence[..., self.starts], confidence[..., self.ends])
        return torch.exp(-(gone_x * gone_x + gone_y * gone_y)) * _drawn(least)[..., None, None]


def _drawn(confidence: Tensor) -> Tensor:
    return torch.where(confidence < LEAST_CONFIDENCE, torch.zeros_like(confidence), confidence)
