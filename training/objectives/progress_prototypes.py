"""Every moment of every procedure has a direction of its own, learned along with the network: which moment does a tick show?

Contrast between the streams of one batch sees a few people at a time. A direction that stands for a moment has met all of
them, so each tick is compared with what everybody has in common there, whoever else is in the batch. The directions serve
training only; people are compared by their embeddings.

Equal shares of two executions only roughly show the same moment. With a `band`, each execution is first laid along the
directions by the likeliest monotone path within so much of equal shares, and that path is the target: hard
expectation-maximisation over who is where when, against what everybody has in common instead of one partner at a time.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.objectives.base import Ticks


class ProgressPrototypes(nn.Module):
    """Cross-entropy of softmax(cosine / temperature) over the `bins` moments of a procedure to a Gaussian around the true one.

    As in a cosine classifier (Gidaris and Komodakis, CVPR 2018), with soft targets. `sigma` is the Gaussian's width as a
    share of the procedure where progress is a share of a recording, `exact_sigma` where it is exact. `band`: how far from equal
    shares a path may go (0: no paths); `pull`: its cost in nats per tick and squared difference from them; `settle`: steps before
    the first path, until directions mean something. For cyclic actions the distance goes around (`circular` 0: not so, for a network that is told where the recording begins and ends).
    """

    centres: Tensor
    steps: Tensor

    def __init__(
        self,
        dim: int,
        procedures: int,
        bins: float = 64,
        temperature: float = 0.1,
        sigma: float = 0.04,
        exact_sigma: float = 0.012,
        band: float = 0.0,
        pull: float = 30.0,
        settle: float = 400,
        circular: float = 1,
    ) -> None:
        super().__init__()
        self.temperature, self.sigma, self.exact_sigma = temperature, sigma, exact_sigma
        self.band, self.pull, self.circular = band, pull, bool(circular)
        self.settle = settle
        self.register_buffer("steps", torch.zeros(()))
        # Short vectors turn fast: only their direction counts, and it begins anywhere.
        self.directions = nn.Parameter(torch.randn(procedures, int(bins), dim) * 0.1 * dim**-0.5)
        self.register_buffer("centres", (torch.arange(int(bins)) + 0.5) / int(bins), persistent=False)

    def forward(self, z: Tensor, ticks: Ticks) -> Tensor:
        """Embeddings (N, T, E) → scalar. Streams of recordings that are neither whole executions nor exact do not count."""
        total, count = z.sum() * 0.0 + self.directions.sum() * 0.0, 0  # every step has a gradient for all of it
        self.steps += self.training
        whole = ticks.trimmed | ticks.exact
        for action in ticks.action[whole].unique():
            of_it = ticks.at_work & (whole & (ticks.action == action))[:, None]
            stream = of_it.nonzero(as_tuple=True)[0]
            scores = z[of_it] @ F.normalize(self.directions[action], dim=-1).T / self.temperature
            log_p = scores.log_softmax(-1)
            progress, shares = ticks.progress[of_it], ~ticks.exact[stream]
            if self.band and self.steps > self.settle and shares.any():
                progress[shares] = self._realigned(log_p.detach()[shares], progress[shares], stream[shares])
            distance = (progress[:, None] - self.centres).abs()
            around = ticks.cyclic[stream][:, None] & self.circular
            distance = distance.where(~around, distance.minimum(1 - distance))
            width = torch.where(ticks.exact[stream], self.exact_sigma, self.sigma)
            target = (-0.5 * (distance / width[:, None]) ** 2).softmax(-1)
            total = total + (target * (target.clamp_min(1e-9).log() - log_p)).sum()
            count += len(stream)
        return total / max(count, 1)

    def _realigned(self, log_p: Tensor, progress: Tensor, stream: Tensor) -> Tensor:
        """log_p (P, B), equal shares (P,) of ticks in order, of streams (P,) → where the likeliest paths have them (P,)."""
        found = _paths(log_p.float().cpu().numpy(), progress.cpu().numpy(), stream.cpu().numpy(), self.band, self.pull)
        return self.centres[torch.from_numpy(found).to(self.centres.device)]


FASTEST = 3.0
"""A path advances by no more than so many times what equal shares do."""


@numba.njit(cache=True)
def _paths(log_p, progress, stream, band, pull):
    """(P,) bin of each tick: per execution (one stream, progress that does not fall) the path that costs least."""
    ticks, bins = log_p.shape
    out = np.empty(ticks, np.int64)
    total = np.empty((ticks, bins), np.float32)
    came = np.empty((ticks, bins), np.int64)
    start = 0
    for t in range(ticks):
        begins = t == 0 or stream[t] != stream[t - 1] or progress[t] < progress[t - 1]
        if begins:
            start = t
        furthest = 0 if begins else int(np.ceil(FASTEST * (progress[t] - progress[t - 1]) * bins))
        for b in range(bins):
            apart = (b + 0.5) / bins - progress[t]
            cost = np.float32(np.inf)
            if abs(apart) <= band + 1.0 / bins:
                cost = np.float32(pull * apart * apart - log_p[t, b])
            came[t, b] = b
            if not begins:
                best = np.float32(np.inf)
                for before in range(max(0, b - furthest), b + 1):
                    if total[t - 1, before] < best:
                        best = total[t - 1, before]
                        came[t, b] = before
                cost += best
            total[t, b] = cost
        if t == ticks - 1 or stream[t + 1] != stream[t] or progress[t + 1] < progress[t]:
            b = int(np.argmin(total[t]))
            for back in range(t, start - 1, -1):
                out[back] = b
                b = came[back, b]
    return out
