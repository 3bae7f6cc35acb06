"""The two halves of a factorised ViViT: each frame's heatmaps to one token, then tokens over time.

heatmaps (B, T, C, G, G) → 9 patch tokens → spatial transformer → mean → (B, T, D) → temporal transformer → (B, T, D)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import MASKED, Block, DistanceBias


class FrameEncoder(nn.Module):
    """Heatmaps of a frame → one token: 10 × 10 patches, linear, learned positions, transformer, mean over patches."""

    def __init__(
        self,
        channels: int,
        grid: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        dropout: float,
        positions: bool = True,
    ) -> None:
        super().__init__()
        if grid % patch:
            raise ValueError(f"expected a grid divisible by the patch {patch}, found {grid}")
        self.patch, side = patch, grid // patch
        self.embed = nn.Linear(channels * patch * patch, width)
        # Switched off they are zeros that stay zero, so that weights have one form for every runtime.
        self.positions = nn.Parameter(torch.randn(side * side, width) * 0.02 * positions, requires_grad=positions)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """(N, C, G, G) → (N, D)."""
        patches = F.pixel_unshuffle(heatmaps, self.patch)  # (N, C · patch², G / patch, G / patch)
        return self.encode(patches.flatten(2).transpose(1, 2))

    def encode(self, patches: Tensor) -> Tensor:
        """Patches (N, 9, C · patch²), row by row → (N, D)."""
        x = self.embed(patches) + self.positions  # (N, 9, D)
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean(dim=1)


class TemporalEncoder(nn.Module):
    """Tokens over time. `causal`: each tick sees the last `window` ticks. Else every tick sees all (of the batch's mask).

    `positions`: 'relative' (a learned bias per head and distance), 'absolute' (learned, added to the tokens; stretched
    over recordings longer than the window) or 'none'. Causal streams have no absolute position.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        window: int,
        causal: bool,
        positions: str,
        mlp_ratio: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.window, self.causal = window, causal
        self.bias = DistanceBias(heads, window, causal, learned=positions == "relative")
        self.positions = nn.Parameter(torch.randn(window, width) * 0.02) if positions == "absolute" else None
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (B, T, D), mask (B, T) True where there is a tick → (B, T, D); padding is never attended to."""
        x = tokens
        if self.positions is not None:
            x = x + self._absolute(mask)
        bias = self.bias(x.shape[1], x.device)[None] + hide(mask)
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x)

    def step(self, token: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One causal tick: token (B, D), caches (B, depth, W − 1, D), valid (B, W) 1.0 where a tick is → (B, D), caches."""
        x = token[:, None]
        bias = self.bias.newest()[None] + (1.0 - valid)[:, None, None, :] * MASKED
        next_keys, next_values = [], []
        for layer, block in enumerate(self.blocks):
            x, k, v = block.step(x, keys[:, layer], values[:, layer], bias)  # type: ignore[operator]
            next_keys.append(k)
            next_values.append(v)
        return self.norm(x)[:, 0], torch.stack(next_keys, 1), torch.stack(next_values, 1)

    def _absolute(self, mask: Tensor) -> Tensor:
        """(B, T, D): row t is position t; a recording longer than the table has the table stretched over its length."""
        assert self.positions is not None
        ticks = torch.arange(mask.shape[1], device=mask.device)
        lengths = mask.sum(1, keepdim=True)
        stretch = ((self.window - 1) / (lengths - 1).clamp_min(1)).clamp_max(1.0)  # (B, 1)
        at = (ticks * stretch).clamp_max(self.window - 1)
        low = at.floor().long()
        high = (low + 1).clamp_max(self.window - 1)
        weight = (at - low)[..., None]
        return self.positions[low] * (1 - weight) + self.positions[high] * weight


def hide(mask: Tensor) -> Tensor:
    """mask (B, S) → (B, 1, 1, S) to add to scores: 0 where there is something, MASKED where not."""
    return (~mask).float()[:, None, None, :] * MASKED
