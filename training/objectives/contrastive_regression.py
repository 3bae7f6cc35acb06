"""LA2DS self-alignment: predict, by soft matching, which moment of the other stream each tick shows."""

from __future__ import annotations

import torch
from torch import Tensor

from training.objectives.base import FAR, Ticks, masked_mean


def contrastive_regression(z: Tensor, ticks: Ticks, temperature: float = 0.1, span_s: float = 1.0) -> Tensor:
    """Mean squared error of the matched time: ω_ij = softmax_j(−‖z_i − z'_j‖ / λ), prediction Σ_j ω_ij · t_j.

    LA2DS, Sec. 3 (λ = 0.1); times are in units of `span_s` instead of frame indices, so that length and frame rate do
    not change the weight of the loss. Pairs are the streams of one recording.
    """
    first, second = ticks.pairs(same_recording=True).nonzero(as_tuple=True)
    a, b = z[first], z[second]
    distance = (2 - 2 * torch.einsum("pid,pjd->pij", a, b)).clamp_min(1e-6).sqrt()
    scores = (-distance / temperature).masked_fill(~ticks.mask[second][:, None, :], FAR)
    predicted = torch.einsum("pij,pj->pi", scores.softmax(-1), ticks.time_s[second])
    truth = ticks.time_s[first]
    low = ticks.time_s[second].masked_fill(~ticks.mask[second], torch.inf).amin(-1, keepdim=True)
    high = ticks.time_s[second].masked_fill(~ticks.mask[second], -torch.inf).amax(-1, keepdim=True)
    shown = (truth >= low) & (truth <= high)
    return masked_mean(((predicted - truth) / span_s) ** 2, ticks.mask[first] & shown)
