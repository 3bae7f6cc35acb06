"""Figures of a following against the truth. Pure functions of arrays over ticks and of lists of events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

ALIGNED_S = 0.5
"""Farther off than this is misaligned."""
SETTLED_S = 0.3
"""Recovered once aligned for this long."""
OVERLAPS = (10, 25, 50)
DELAYS_S = (*np.arange(0.25, 5.01, 0.25).tolist(), 10.0)


def circular_error(a: NDArray[np.floating], b: NDArray[np.floating], period: float) -> NDArray[np.float64]:
    """|a − b| on a circle: the end of a cycle is next to its start."""
    d = np.abs(np.asarray(a, np.float64) - b) % period
    return np.minimum(d, period - d)


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error (Naeini, Cooper, Hauskrecht, AAAI 2015), equal-width bins."""
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[which == b].mean() - right[which == b].mean())) * (which == b).mean()
        for b in set(which.tolist())
    ]
    return float(sum(gaps))


def recovery_s(times_s: NDArray[np.floating], aligned: NDArray[np.bool_], jumps_s: Sequence[float]) -> list[float]:
    """Seconds from each jump until the following is aligned and stays so for `SETTLED_S`; inf if it never is."""
    out = []
    for jump_s in jumps_s:
        after = np.flatnonzero(times_s >= jump_s - 1e-9)
        taken = np.inf
        run_start: float | None = None
        for i in after:
            if not aligned[i]:
                run_start = None
            else:
                run_start = float(times_s[i]) if run_start is None else run_start
                if times_s[i] - run_start >= SETTLED_S:
                    taken = max(run_start - jump_s, 0.0)
                    break
        out.append(taken)
    return out


def pair_events(
    true_s: Sequence[tuple[float, float]], told_s: Sequence[float], slack_s: float
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """One-to-one pairs of true spans (start, end) and told times, in order of time: pairs, missed, false.

    A told time fits a span if it lies within it, widened by `slack_s` on both sides.
    """
    pairs, used = [], set()
    for i, (start, end) in enumerate(true_s):
        fitting = [j for j, t in enumerate(told_s) if j not in used and start - slack_s <= t <= end + slack_s]
        if fitting:
            j = min(fitting, key=lambda j: abs(told_s[j] - start))
            used.add(j)
            pairs.append((i, j))
    found = {i for i, _ in pairs}
    return pairs, [i for i in range(len(true_s)) if i not in found], [j for j in range(len(told_s)) if j not in used]


def f1(found: int, missed: int, false: int) -> float:
    return 2 * found / max(2 * found + missed + false, 1)


def segments(labels: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Runs of equal labels as (label, start, end), those below 0 left out."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [(int(labels[a]), a, b) for a, b in pairwise(edges) if b > a and labels[a] >= 0]


def segmental_f1(truth: NDArray[np.int64], told: NDArray[np.int64], overlap: float) -> tuple[int, int, int]:
    """Found, missed and false segments at an overlap (IoU 0–1), as in Lea et al., CVPR 2017."""
    true, said = segments(truth), segments(told)
    taken: set[int] = set()
    found = 0
    for label, start, end in said:
        scores = [
            (min(end, e) - max(start, s)) / (max(end, e) - min(start, s)) if k == label and i not in taken else 0.0
            for i, (k, s, e) in enumerate(true)
        ]
        best = int(np.argmax(scores)) if scores else -1
        if best >= 0 and scores[best] >= overlap:
            taken.add(best)
            found += 1
    return found, len(true) - found, len(said) - found


def edit_score(truth: NDArray[np.int64], told: NDArray[np.int64]) -> float:
    """1 − Levenshtein distance of the two orders of segments, normalised by the longer (0–1), as in Lea et al., CVPR 2017."""
    a, b = _order(truth), _order(told)
    table = _borders(len(a), len(b))
    for i, j in np.ndindex(len(a), len(b)):
        table[i + 1, j + 1] = min(table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (a[i] != b[j]))
    return 1.0 - float(table[-1, -1]) / max(len(a), len(b), 1)


def order_score(truth: NDArray[np.int64], told: NDArray[np.int64]) -> float:
    """POS, procedure order similarity: 1 − min(D / phases truly done, 1), D a weighted Damerau–Levenshtein distance.

    Weights and normalisation as in Schoonbeek et al., "IndustReal", WACV 2024, section 3.2.1, and their `PSR/psr_utils.py`: to
    insert, to delete and to exchange neighbours cost 1, to substitute costs 2 (so never less than to delete and insert). The
    distance is the unrestricted one (Lowrance and Wagner, 1975): what has changed places may have other phases between.
    """
    a, b = _order(truth), _order(told)
    table = _borders(len(a), len(b))
    for i, j in np.ndindex(len(a), len(b)):
        if a[i] == b[j]:
            table[i + 1, j + 1] = table[i, j]
            continue
        table[i + 1, j + 1] = min(table[i, j + 1], table[i + 1, j]) + 1
        k = next((k for k in reversed(range(i)) if a[k] == b[j]), None)
        m = next((m for m in reversed(range(j)) if b[m] == a[i]), None)
        if k is not None and m is not None:
            between = (i - k - 1) + (j - m - 1)
            table[i + 1, j + 1] = min(table[i + 1, j + 1], table[k, m] + between + 1)
    return 1.0 - min(float(table[-1, -1]) / max(len(a), 1), 1.0)


def _order(labels: NDArray[np.int64]) -> list[int]:
    return [label for label, _, _ in segments(labels)]


def _borders(rows: int, columns: int) -> NDArray[np.float64]:
    """The table of an edit distance, of which the distances from and to nothing are known."""
    table = np.zeros((rows + 1, columns + 1))
    table[:, 0], table[0] = np.arange(rows + 1), np.arange(columns + 1)
    return table


def within(delays_s: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """Share of events reported within so many seconds (missed ones count as never)."""
    delays = np.array(delays_s) if len(delays_s) else np.full(1, np.nan)
    return {f"{limit:g}": float((delays <= limit).mean()) for limit in DELAYS_S}
