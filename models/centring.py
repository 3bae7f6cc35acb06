"""Embeddings are measured from where embeddings usually are, not from the origin.

A fresh network, and one that has learned little, gives nearly the same vector for every pose: all cosines are close to 1
and a contrastive objective has nothing to pull at. Subtracting the running mean and dividing by the running spread (as
DINO centres its teacher, Caron et al., ICCV 2021) removes what all embeddings share. The statistics are constants
outside of training, so nothing depends on the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOMENTUM = 0.99


class Centring(nn.Module):
    """(x − mean) / spread per dimension, with running statistics that no gradient reaches."""

    mean: Tensor
    spread: Tensor
    batches: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, D)."""
        return (x - self.mean) / self.spread

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Update the statistics with the embeddings (P, D) of a training batch.

        What is no finite number in a batch (half precision overflows) moves nothing: a mean would keep it for ever.
        """
        if len(x) < 2:
            return
        self.batches += 1
        # A plain average of the first batches, then an exponential one.
        gain = torch.clamp(1.0 / self.batches, min=1 - MOMENTUM)
        mean, spread = x.float().mean(dim=0), x.float().std(dim=0).clamp_min(1e-4)
        self.mean.lerp_(mean.where(mean.isfinite(), self.mean), gain)
        self.spread.lerp_(spread.where(spread.isfinite(), self.spread), gain)
