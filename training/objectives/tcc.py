"""Temporal cycle-consistency (Dwibedi et al., CVPR 2019): to the nearest moment of another person's recording and back."""

from __future__ import annotations

import torch
from torch import Tensor

from training.objectives.base import FAR, Ticks, masked_mean


def tcc(z: Tensor, ticks: Ticks, temperature: float = 0.1, variance_weight: float = 0.001) -> Tensor:
    """Cycle-back regression over all ordered pairs of recordings of one action: mean (t − μ)² / σ² + w · log σ².

    Similarity −‖·‖² / temperature on unit-length embeddings; t is the tick's share of the recording's length.
    """
    first, second = ticks.pairs(same_recording=False).nonzero(as_tuple=True)
    a, b = z[first], z[second]
    here, there = ticks.mask[first], ticks.mask[second]
    to = (-_squared(a, b) / temperature).masked_fill(~there[:, None, :], FAR).softmax(-1)
    neighbour = torch.einsum("pij,pjd->pid", to, b)
    back = (-_squared(neighbour, a) / temperature).masked_fill(~here[:, None, :], FAR).softmax(-1)
    time = ticks.progress[first]
    mean = torch.einsum("pij,pj->pi", back, time)
    variance = (back * (time[:, None, :] - mean[:, :, None]) ** 2).sum(-1).clamp_min(1e-4)
    return masked_mean((time - mean) ** 2 / variance + variance_weight * variance.log(), here)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return ((a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None, :] - 2 * a @ b.transpose(1, 2)).clamp_min(0)
