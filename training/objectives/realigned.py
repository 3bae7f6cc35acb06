"""Alignment of different people by what the network itself already sees: align, then learn from the alignment, and again.

    embeddings, as they are ─DTW within a band of equal progress─► who is where when ─► the sharp target of the next step

Equal shares of two recordings (`cross_video`) only roughly show the same moment. Once embeddings carry some meaning, the
cheapest monotone path between two of them is nearer to it, and a target as sharp as that within one recording becomes
worth learning: hard expectation-maximisation over the alignment, in the spirit of LAV and VAVA but with the contrastive loss.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from training.objectives.base import Ticks, pair_logits
from training.objectives.sequence_contrastive import gaussian_match


def realigned(
    z: Tensor,
    ticks: Ticks,
    temperature: float = 0.1,
    sigma_s: float = 0.15,
    band: float = 0.2,
    pull: float = 2.0,
    most_pairs: float = 160,
) -> Tensor:
    """As `sequence_contrastive`, between different recordings of one action, around the partner of each tick by DTW.

    sigma_s: width of the target in seconds of the other recording. Partners differ by at most `band` in progress; `pull`
    is the cost of a difference in progress, squared, beside 1 − cosine. Ticks without a partner do not count; of the pairs of
    streams, `most_pairs` are drawn.
    """
    pairs = ticks.pairs(same_recording=False)
    share = most_pairs / pairs.sum().clamp_min(1)
    pairs = pairs & (torch.rand(pairs.shape, device=pairs.device) < share)
    first, second, scores = pair_logits(z, ticks, pairs, temperature)
    if len(first) == 0:
        return z.sum() * 0.0
    similarity = (scores.detach() * temperature).float().cpu().numpy()
    mask, progress, time_s = (tensor.cpu().numpy() for tensor in (ticks.mask, ticks.progress, ticks.time_s))
    found = _partners(similarity, mask, progress, time_s, first.cpu().numpy(), second.cpu().numpy(), band, pull)
    partner = torch.from_numpy(found).to(z.device)  # (P, T) seconds, NaN: none
    rows = ticks.mask[first] & ~partner.isnan()
    distance = ticks.time_s[second][:, None, :] - partner.nan_to_num()[:, :, None]
    return gaussian_match(scores, distance / sigma_s, rows, ticks.mask[second])


LEFT_OUT = 0.5
"""Cost of a tick that the other stream could have shown too and that stays without a partner."""


@numba.njit(cache=True)
def _partners(similarity, mask, progress, time_s, first, second, band, pull):
    """(P, T): for each tick of each pair's first stream, the mean time in the second's recording that it is aligned with."""
    pairs, length, _ = similarity.shape
    out = np.full((pairs, length), np.nan, np.float32)
    total = np.empty((length, length), np.float32)
    came = np.empty((length, length), np.int8)
    for p in range(pairs):
        a, b = first[p], second[p]
        rows, columns = np.flatnonzero(mask[a]), np.flatnonzero(mask[b])
        a_begins, a_ends = progress[a, rows[0]], progress[a, rows[-1]]
        b_begins, b_ends = progress[b, columns[0]], progress[b, columns[-1]]
        end_i, end_j, least = -1, -1, np.inf
        for n in range(len(rows)):
            for m in range(len(columns)):
                i, j = rows[n], columns[m]
                apart = progress[a, i] - progress[b, j]
                total[n, m] = np.inf
                if abs(apart) > band:
                    continue
                best, how = np.float32(np.inf), 3
                # Either stream may begin before the other and end after it; what both show is not left out for nothing.
                if n == 0 or m == 0:
                    best = np.float32(0.0)
                    for r in range(n):
                        best += LEFT_OUT if progress[a, rows[r]] >= b_begins else 0.0
                    for c in range(m):
                        best += LEFT_OUT if progress[b, columns[c]] >= a_begins else 0.0
                if n > 0 and m > 0 and total[n - 1, m - 1] < best:
                    best, how = total[n - 1, m - 1], 0
                if n > 0 and total[n - 1, m] < best:
                    best, how = total[n - 1, m], 1
                if m > 0 and total[n, m - 1] < best:
                    best, how = total[n, m - 1], 2
                total[n, m] = best + 1.0 - similarity[p, i, j] + pull * apart * apart
                came[n, m] = how
                if n == len(rows) - 1 or m == len(columns) - 1:
                    cost = total[n, m]
                    for r in range(n + 1, len(rows)):
                        cost += LEFT_OUT if progress[a, rows[r]] <= b_ends else 0.0
                    for c in range(m + 1, len(columns)):
                        cost += LEFT_OUT if progress[b, columns[c]] <= a_ends else 0.0
                    if cost < least:
                        end_i, end_j, least = n, m, cost
        if end_i < 0:
            continue
        n, m = end_i, end_j
        count, summed = 0, 0.0
        while True:
            count += 1
            summed += time_s[b, columns[m]]
            how = came[n, m]
            if how != 2:  # the next cell is of an earlier row: this row's partners are complete
                out[p, rows[n]] = summed / count
                count, summed = 0, 0.0
            if how == 3:
                break
            if how != 2:
                n -= 1
            if how != 1:
                m -= 1
    return out
