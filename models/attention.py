"""Attention and the transformer block. Plain linears and one softmax, so that every graph exports as it is read.

Positions enter only as a learned bias per head and distance (or not at all), so a stream may be endless and cached keys
never go stale.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED = -1e4
"""Added to scores that must not count: finite, so that a row with nothing to attend to gives no NaN, even in half precision."""


class Attention(nn.Module):
    """Multi-head attention of queries (B, T, D) to a context (B, S, D), with an additive bias on the scores."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"expected a width divisible by {heads} heads, found {width}")
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """x (B, T, D), context (B, S, D), bias broadcastable to (B, heads, T, S) → (B, T, D)."""
        return self.attend(self.query(x), self.key(context), self.value(context), bias)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """Projected query (B, T, D), key and value (B, S, D) → (B, T, D)."""
        q, k, v = self._split(query), self._split(key), self._split(value)  # (B, heads, ·, D / heads)
        if bias is not None:
            bias = bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, x.shape[2] // self.heads)).transpose(1, 2)


class Block(nn.Module):
    """Pre-norm transformer block: attention to a context (itself by default), then an MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.before_mlp = nn.LayerNorm(width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width), nn.Dropout(dropout))

    def forward(self, x: Tensor, bias: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """x (B, T, D), context (B, S, D) or None for x itself → (B, T, D)."""
        normed = self.before_attention(x)
        source = normed if context is None else self.before_attention(context)
        x = x + self.attention(normed, source, bias)
        return x + self.mlp(self.before_mlp(x))

    def step(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick: x (B, 1, D), caches of the W − 1 ticks before (B, W − 1, D), bias (B, heads, 1, W).

        Returns x (B, 1, D) and both caches moved on by one tick.
        """
        normed = self.before_attention(x)
        keys = torch.cat([keys, self.attention.key(normed)], dim=1)
        values = torch.cat([values, self.attention.value(normed)], dim=1)
        x = x + self.attention.attend(self.attention.query(normed), keys, values, bias)
        return x + self.mlp(self.before_mlp(x)), keys[:, 1:], values[:, 1:]


class DistanceBias(nn.Module):
    """Learned bias per head and distance. Causal: the last `window` positions only; else ±(window − 1), clamped."""

    def __init__(self, heads: int, window: int, causal: bool, learned: bool) -> None:
        super().__init__()
        self.heads, self.window, self.causal = heads, window, causal
        distances = window if causal else 2 * window - 1
        self.table = nn.Parameter(torch.zeros(heads, distances)) if learned else None

    def forward(self, length: int, device: torch.device) -> Tensor:
        """(heads, T, T): bias of query row on key column, MASKED where the row may not see the column."""
        ticks = torch.arange(length, device=device)
        distance = ticks[:, None] - ticks[None, :]  # how far the key lies back
        if self.causal:
            index = distance.clamp(0, self.window - 1)
            hidden = (distance < 0) | (distance >= self.window)
        else:
            index = distance.clamp(1 - self.window, self.window - 1) + self.window - 1
            hidden = torch.zeros_like(distance, dtype=torch.bool)
        bias = torch.zeros(self.heads, length, length, device=device)
        if self.table is not None:
            bias = self.table[:, index]
        return bias.masked_fill(hidden, MASKED)

    def newest(self) -> Tensor:
        """(heads, 1, window): the row of the newest tick over the window, oldest first. Causal only."""
        if self.table is None:
            return torch.zeros(self.heads, 1, self.window)
        return self.table.flip(1)[:, None, :]
