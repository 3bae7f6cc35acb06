"""LAV (Haresh et al., CVPR 2021): soft-DTW between recordings of one action, with contrastive inverse difference moment."""

from __future__ import annotations

import torch
from torch import Tensor

from training.objectives.base import Ticks, masked_mean

OUT = 1e6


def lav(
    z: Tensor,
    ticks: Ticks,
    gamma: float = 0.1,
    idm_weight: float = 0.5,
    window_s: float = 0.5,
    margin: float = 2.0,
    pairs: float = 8,
) -> Tensor:
    """Soft-DTW per tick of up to `pairs` pairs + idm_weight · contrastive IDM of every stream.

    Soft-DTW alone collapses; the IDM keeps moments of one recording that are more than `window_s` apart at a distance.
    """
    first, second = ticks.pairs(same_recording=False).nonzero(as_tuple=True)
    chosen = torch.randperm(len(first), device=z.device)[: int(pairs)]
    first, second = first[chosen], second[chosen]
    idm = contrastive_idm(z, ticks, window_s, margin)
    if not len(first):
        return idm_weight * idm
    # In front of what is labelled a stream may show what others did before: here the labelled ticks come first, in order.
    order = (~ticks.mask).byte().argsort(dim=1, stable=True)
    z = z.gather(1, order[..., None].expand_as(z))
    cost = (2 - 2 * torch.einsum("pid,pjd->pij", z[first], z[second])).clamp_min(0)
    rows, columns = ticks.mask[first].sum(1), ticks.mask[second].sum(1)
    return (soft_dtw(cost, rows, columns, gamma) / (rows + columns)).mean() + idm_weight * idm


def contrastive_idm(z: Tensor, ticks: Ticks, window_s: float, margin: float) -> Tensor:
    """(1 + Δ²) · relu(margin − d) beyond the window, d / (1 + Δ²) within it; d squared distance, Δ in windows."""
    square = (2 - 2 * z @ z.transpose(1, 2)).clamp_min(0)
    gap = ((ticks.time_s[:, :, None] - ticks.time_s[:, None, :]) / window_s) ** 2
    loss = torch.where(gap > 1, (1 + gap.clamp_max(100)) * (margin - square).relu(), square / (1 + gap))
    return masked_mean(loss, ticks.mask[:, :, None] & ticks.mask[:, None, :])


def soft_dtw(cost: Tensor, rows: Tensor, columns: Tensor, gamma: float) -> Tensor:
    """Soft-DTW (Cuturi, Blondel 2017) of costs (P, N, M), of which pair p has rows[p] × columns[p] → (P,).

    Dynamic programming over anti-diagonals, all pairs at once; differentiable by autograd.
    """
    pairs, n, m = cost.shape
    batch = torch.arange(pairs, device=cost.device)
    before = cost.new_full((pairs, n + 1), OUT)  # diagonal s − 2, indexed by row
    before[:, 0] = 0.0
    last = cost.new_full((pairs, n + 1), OUT)
    result = cost.new_full((pairs,), OUT)
    i = torch.arange(1, n + 1, device=cost.device)
    for s in range(2, n + m + 1):
        j = s - i
        inside = (j >= 1) & (j <= m)
        step = cost[:, i - 1, (j - 1).clamp(0, m - 1)]
        options = torch.stack([before[:, :-1], last[:, :-1], last[:, 1:]], -1)
        soft_min = -gamma * torch.logsumexp(-options / gamma, dim=-1)
        now = torch.where(inside, step + soft_min, OUT)
        before, last = last, torch.cat([now.new_full((pairs, 1), OUT), now], 1)
        result = torch.where(rows + columns == s, last[batch, rows], result)
    return result
