"""What an objective may know about the ticks of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FAR = -1e4
"""Added to a score that must not count."""


@dataclass(frozen=True)
class Ticks:
    """N streams of up to T ticks; nothing of it comes from phase labels."""

    mask: Tensor
    """(N, T) True where there is a tick of the stream's recording."""
    at_work: Tensor
    """(N, T) True where progress is known: there, and in what others did before in the same place."""
    time_s: Tensor
    """(N, T) seconds on the clock of the stream's recording: the label of self-alignment."""
    progress: Tensor
    """(N, T) 0–1 of the recording, or of the procedure where `exact`."""
    recording: Tensor
    """(N,) which recording: streams of the same one have known correspondence."""
    action: Tensor
    """(N,) number of the procedure, the same in all batches of a training: recordings of one can be aligned."""
    cyclic: Tensor
    """(N,) True where the action repeats, so that its end is near its start."""
    trimmed: Tensor
    """(N,) True where the recording is one whole execution, from start to end."""
    exact: Tensor
    """(N,) True where `progress` is of the procedure and exactly known, not merely a share of the recording."""

    def pairs(self, same_recording: bool) -> Tensor:
        """(N, N) True for ordered pairs of different streams: of one recording, or of different ones of one action."""
        recording = self.recording[:, None] == self.recording[None]
        action = self.action[:, None] == self.action[None]
        other = ~torch.eye(len(self.recording), dtype=torch.bool, device=self.mask.device)
        both = self.trimmed[:, None] & self.trimmed[None]
        return other & (recording if same_recording else action & ~recording & both)


Objective = Callable[..., Tensor]
"""(z (N, T, E) unit length, ticks, **options of its own) -> scalar."""


def pair_logits(z: Tensor, ticks: Ticks, pairs: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """For the P ordered pairs: their indices (P,), (P,) and scores (P, T, T) of tick i of the first on tick j of the second.

    Scores are cosine / temperature; columns of padding are FAR.
    """
    first, second = pairs.nonzero(as_tuple=True)
    scores = torch.einsum("pid,pjd->pij", z[first], z[second]) / temperature
    return first, second, scores.masked_fill(~ticks.mask[second][:, None, :], FAR)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`; 0 where nothing is (with a gradient of 0)."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
