"""Alignment of different people doing the same: recordings are whole executions, so equal progress roughly corresponds.

Trimmed recordings share their start and end. That is a clock, and the network never sees it: it is given only to the
loss, as a blurred target, and is averaged over many people whose paces differ, so what remains is what poses say about
progress. No phase labels are used.
"""

from __future__ import annotations

from torch import Tensor

from training.objectives.base import Ticks, pair_logits
from training.objectives.sequence_contrastive import gaussian_match


def cross_video(z: Tensor, ticks: Ticks, temperature: float = 0.1, sigma: float = 0.07, circular: float = 1) -> Tensor:
    """As `sequence_contrastive`, between different recordings of one action, over progress (sigma: its width, 0–1).

    For cyclic actions the distance goes around: the end of one execution is near the start of the next (`circular` 0: not
    so, for a network that is told where the recording begins and ends).
    """
    first, second, scores = pair_logits(z, ticks, ticks.pairs(same_recording=False), temperature)
    distance = (ticks.progress[first][:, :, None] - ticks.progress[second][:, None, :]).abs()
    around = ticks.cyclic[first][:, None, None] & bool(circular)
    distance = distance.where(~around, distance.minimum(1 - distance))
    return gaussian_match(scores, distance / sigma, ticks.mask[first], ticks.mask[second])
