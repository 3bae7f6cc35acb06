"""CARL's sequence contrastive loss (Chen et al., CVPR 2022): two streams of one recording, whose correspondence is known."""

from __future__ import annotations

from torch import Tensor

from training.objectives.base import Ticks, masked_mean, pair_logits


def sequence_contrastive(z: Tensor, ticks: Ticks, temperature: float = 0.1, sigma_s: float = 0.12) -> Tensor:
    """KL divergence of the similarity of tick i to all ticks of the other stream from a Gaussian over time distance.

    sigma_s: width of the Gaussian in seconds of the recording. A tick whose moment the other stream does not show
    (farther than 2 sigma from all it shows) does not count.
    """
    first, second, scores = pair_logits(z, ticks, ticks.pairs(same_recording=True), temperature)
    distance = ticks.time_s[first][:, :, None] - ticks.time_s[second][:, None, :]
    return gaussian_match(scores, distance / sigma_s, ticks.mask[first], ticks.mask[second])


def gaussian_match(scores: Tensor, distance: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Mean cross-entropy, less its least value, of softmax(scores) (P, T, T) to exp(−distance² / 2), over rows that have a match."""
    weight = (-(distance**2) / 2).exp() * columns[:, None, :]
    shown = weight.amax(-1) > 0.135  # exp(−2²/2)
    target = weight / weight.sum(-1, keepdim=True).clamp_min(1e-6)
    log_p = scores.log_softmax(-1)
    entropy = -(target * target.clamp_min(1e-9).log()).sum(-1)
    return masked_mean(-(target * log_p).sum(-1) - entropy, rows & shown)
