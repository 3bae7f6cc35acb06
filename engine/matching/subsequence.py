"""Where in a longer recording one cycle is shown: subsequence dynamic time warping (Müller 2007, §4.4), compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled

STRETCH = 3
"""The cycle may be shown at most this many times faster or slower."""


def find(cycle: NDArray[np.floating], recording: NDArray[np.floating]) -> tuple[int, int]:
    """First tick and one past the last tick of the stretch of `recording` (U, D) that is most like `cycle` (T, D).

    Unit-length rows, cost 1 − cosine per tick of the cycle, pace within 1/STRETCH … STRETCH of it throughout. Returns the
    whole recording where it is too short to hold the cycle at any such pace.
    """
    if not len(cycle) or len(recording) * STRETCH < len(cycle):
        return 0, len(recording)
    cost = np.maximum(1.0 - np.asarray(cycle, np.float64) @ np.asarray(recording, np.float64).T, 0.0)
    total, start = _accumulate(cost, STRETCH)
    end = int(np.argmin(total[-1]))
    if not np.isfinite(total[-1, end]):
        return 0, len(recording)
    return int(start[-1, end]), end + 1


@compiled()
def _accumulate(cost, stretch):
    rows, columns = cost.shape
    total = np.full((rows, columns), np.inf)
    start = np.zeros((rows, columns), np.int64)
    for j in range(columns):
        total[0, j], start[0, j] = cost[0, j], j
    for i in range(1, rows):
        for j in range(1, columns):
            for skip in range(1, stretch + 1):  # at its own pace, or slower: it takes `skip` ticks for one of the cycle
                if j - skip >= 0 and total[i - 1, j - skip] + cost[i, j] < total[i, j]:
                    total[i, j], start[i, j] = total[i - 1, j - skip] + cost[i, j], start[i - 1, j - skip]
            held = cost[i, j]
            for hold in range(2, stretch + 1):  # faster: `hold` ticks of the cycle share one of it
                if i - hold < 0:
                    break
                held += cost[i - hold + 1, j]
                if total[i - hold, j - 1] + held < total[i, j]:
                    total[i, j], start[i, j] = total[i - hold, j - 1] + held, start[i - hold, j - 1]
    return total, start
