"""Dynamic time warping of two whole sequences (Sakoe and Chiba 1978), compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled


def align(a: NDArray[np.floating], b: NDArray[np.floating], diagonal: float = 0.05) -> NDArray[np.int64]:
    """Warping path (P, 2) of index pairs from (0, 0) to (len(a) − 1, len(b) − 1) with the least summed cost.

    a (T, D) and b (U, D) of unit length, cost 1 − cosine; `diagonal` is added to every step that is not diagonal, so that
    ties between like poses go at even pace. Raises ValueError for an empty sequence.
    """
    if not len(a) or not len(b):
        raise ValueError("expected two sequences of at least one tick")
    cost = np.maximum(1.0 - np.asarray(a, np.float64) @ np.asarray(b, np.float64).T, 0.0)
    return _path(cost, diagonal)


def carry(path: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """For each index 0 … count − 1 of the first sequence, its mean partner in the second, as fractional index (count,)."""
    total = np.bincount(path[:, 0], weights=path[:, 1], minlength=count)
    return total / np.maximum(np.bincount(path[:, 0], minlength=count), 1)


@compiled()
def _path(cost, diagonal):
    rows, columns = cost.shape
    total = np.empty((rows, columns))
    came = np.zeros((rows, columns), np.int8)
    for i in range(rows):
        for j in range(columns):
            best, how = np.inf, 0
            if i == 0 and j == 0:
                best = 0.0
            if i > 0 and j > 0:
                best = total[i - 1, j - 1]
            if i > 0 and total[i - 1, j] + diagonal < best:
                best, how = total[i - 1, j] + diagonal, 1
            if j > 0 and total[i, j - 1] + diagonal < best:
                best, how = total[i, j - 1] + diagonal, 2
            total[i, j] = best + cost[i, j]
            came[i, j] = how
    path = np.empty((rows + columns, 2), np.int64)
    i, j, length = rows - 1, columns - 1, 0
    while True:
        path[length, 0], path[length, 1] = i, j
        length += 1
        if i == 0 and j == 0:
            break
        how = came[i, j]
        if how != 2:
            i -= 1
        if how != 1:
            j -= 1
    return path[:length][::-1].copy()
