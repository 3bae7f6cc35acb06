"""Every moment of every procedure has a direction of its own, learned along with the network: which moment does a tick show?

Contrast between the streams of one batch sees a few people at a time. A direction that stands for a moment has met all of
them, so each tick is compared with what everybody has in common there, whoever else is in the batch. The directions serve
training only; people are compared by their embeddings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.objectives.base import Ticks


class ProgressPrototypes(nn.Module):
    """Cross-entropy of softmax(cosine / temperature) over the `bins` moments of a procedure to a Gaussian around the true one.

    As in a cosine classifier (Gidaris and Komodakis, CVPR 2018), with soft targets. `sigma` is the Gaussian's width as a
    share of the procedure where progress is a share of a recording, `exact_sigma` where it is exact.
    """

    centres: Tensor

    def __init__(
        self,
        dim: int,
        procedures: int,
        bins: float = 64,
        temperature: float = 0.1,
        sigma: float = 0.04,
        exact_sigma: float = 0.012,
    ) -> None:
        super().__init__()
        self.temperature, self.sigma, self.exact_sigma = temperature, sigma, exact_sigma
        # Short vectors turn fast: only their direction counts, and it begins anywhere.
        self.directions = nn.Parameter(torch.randn(procedures, int(bins), dim) * 0.1 * dim**-0.5)
        self.register_buffer("centres", (torch.arange(int(bins)) + 0.5) / int(bins), persistent=False)

    def forward(self, z: Tensor, ticks: Ticks) -> Tensor:
        """Embeddings (N, T, E) → scalar. Streams of recordings that are neither whole executions nor exact do not count."""
        total, count = z.sum() * 0.0 + self.directions.sum() * 0.0, 0  # every step has a gradient for all of it
        whole = ticks.trimmed | ticks.exact
        for action in ticks.action[whole].unique():
            of_it = ticks.at_work & (whole & (ticks.action == action))[:, None]
            stream = of_it.nonzero(as_tuple=True)[0]
            distance = (ticks.progress[of_it][:, None] - self.centres).abs()
            distance = distance.where(~ticks.cyclic[stream][:, None], distance.minimum(1 - distance))
            width = torch.where(ticks.exact[stream], self.exact_sigma, self.sigma)
            target = (-0.5 * (distance / width[:, None]) ** 2).softmax(-1)
            log_p = (z[of_it] @ F.normalize(self.directions[action], dim=-1).T / self.temperature).log_softmax(-1)
            total = total + (target * (target.clamp_min(1e-9).log() - log_p)).sum()
            count += len(stream)
        return total / max(count, 1)
