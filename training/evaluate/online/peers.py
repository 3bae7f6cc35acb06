"""What Lockstep's matcher is compared with. Each follows a stream (T, D) against one reference (N, D): positions (T,).

None of them knows about idleness, leaving or restarts; that is part of the comparison. DTW and t/T are oracles: they see the
whole stream before they answer.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from engine.matching import dtw

Array = NDArray[np.float32]
Peer = Callable[[Array, Array, int], NDArray[np.int64]]
"""(reference (N, D), stream (T, D), number of cycles, which only oracles may use) → reference tick per stream tick (T,)."""


def argmax(reference: Array, stream: Array, cycles: int) -> NDArray[np.int64]:
    """The most similar tick of the reference, each tick on its own."""
    return (stream @ reference.T).argmax(axis=1)


def frame_counter(reference: Array, stream: Array, cycles: int) -> NDArray[np.int64]:
    """Counts ticks from the stream's start, over and over: the pace of the reference, blindly."""
    return np.arange(len(stream)) % len(reference)


def time_fraction(reference: Array, stream: Array, cycles: int) -> NDArray[np.int64]:
    """t / T: where the clock is if stream and reference begin and end together. Knows the stream's length."""
    return (np.arange(len(stream)) * len(reference) / len(stream)).astype(np.int64)


def offline_dtw(reference: Array, stream: Array, cycles: int) -> NDArray[np.int64]:
    """Oracle: dynamic time warping of the whole stream to the reference, repeated as often as there are cycles."""
    path = dtw.align(stream, np.tile(reference, (max(cycles, 1), 1)))
    return np.rint(dtw.carry(path, len(stream))).astype(np.int64) % len(reference)


def spring(reference: Array, stream: Array, cycles: int) -> NDArray[np.int64]:
    """SPRING (Sakurai, Faloutsos, Yamamuro, ICDE 2007), as a follower: of all warping paths that begin anywhere in the stream
    at the reference's start and end now, the one with the least mean cost says where we are."""
    return _spring(1.0 - np.asarray(stream, np.float64) @ np.asarray(reference, np.float64).T)


@numba.njit(cache=True)
def _spring(cost):
    ticks, count = cost.shape
    total, length = np.full(count, np.inf), np.ones(count)
    out = np.empty(ticks, np.int64)
    for t in range(ticks):
        diagonal, diagonal_length = 0.0, 0.0  # a path may begin at any tick
        for i in range(count):
            best, steps = diagonal, diagonal_length
            if total[i] < best:
                best, steps = total[i], length[i]
            if i > 0 and total[i - 1] < best:  # already this tick's
                best, steps = total[i - 1], length[i - 1]
            diagonal, diagonal_length = total[i], length[i]
            total[i], length[i] = best + cost[t, i], steps + 1
        out[t] = np.argmin(total / length)
    return out


PEERS: dict[str, Peer] = {
    "t/T": time_fraction,
    "dtw": offline_dtw,
    "argmax": argmax,
    "frame_counter": frame_counter,
    "spring": spring,
}
