"""Recordings whose progress is exactly known, as that of rendered stations: every tick is matched against all others at once.

Known progress needs no blur, and it makes every tick of every other stream a candidate, so that look-alike poses of other
moments of the procedure are told apart too, not only those of the few seconds which one stream shows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.objectives.base import FAR, Ticks
from training.objectives.sequence_contrastive import gaussian_match


def progress_contrastive(z: Tensor, ticks: Ticks, temperature: float = 0.1, sigma: float = 0.012) -> Tensor:
    """As `cross_video` over exact progress (sigma: its width, 0–1), from each tick to the ticks of all other streams.

    Ticks of another procedure are no candidates. 0 where no stream has exact progress.
    """
    chosen = ticks.mask & ticks.exact[:, None]
    stream = torch.arange(len(z), device=z.device)[:, None].expand_as(chosen)[chosen]
    if len(stream) == 0:
        return z.sum() * 0.0
    points, progress, action = z[chosen], ticks.progress[chosen], ticks.action[stream]
    around = ticks.cyclic[stream][:, None]
    candidate = (stream[:, None] != stream[None]) & (action[:, None] == action[None])
    distance = (progress[:, None] - progress[None]).abs()
    distance = distance.where(~around, distance.minimum(1 - distance))
    scores = (points @ points.T / temperature).masked_fill(~candidate, FAR)
    far = torch.full_like(distance, 1e3)
    return gaussian_match(
        scores[None],
        (distance / sigma).where(candidate, far)[None],
        torch.ones_like(progress, dtype=torch.bool)[None],
        torch.ones_like(progress, dtype=torch.bool)[None],
    )
