"""A single demonstration as if it had been shown several times: after a rest, over and over again, slower and faster.

A causal model remembers what came before, so the same movement is embedded differently in the first cycle after a rest
and in the fifth of a row, and differently again at another pace. With several demonstrations their differences show how
far apart takes of the same work are; from a single one they are made here, by the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.embedder import embed_sequence
from engine.embedder.base import Embedder
from engine.matching.building import EmbeddedDemo

PACES = (0.7, 1.4)
CROP_TICKS = 60
"""Ticks after which a crop has settled, whatever it has seen before."""
MOST_ROWS = 10_000
"""Ticks of all takes of a reference together, so that a step of the matcher stays short and a station small; what was shown always fits."""


def retakes_of(demos: Sequence[EmbeddedDemo], embedder: Embedder, cyclic: bool) -> list[EmbeddedDemo]:
    """Further takes of a single demonstration; none where there are several, which show how takes differ, or where the reference would
    grow beyond `MOST_ROWS`.
    """
    count = 1 + len(PACES) + (2 if cyclic else 1)
    if len(demos) > 1 or count * len(demos[0].poses) > MOST_ROWS:
        return []
    return retakes(demos[0], embedder, cyclic)


def retakes(demo: EmbeddedDemo, embedder: Embedder, cyclic: bool) -> list[EmbeddedDemo]:
    """Further takes of one demonstration: from a rest, and at every pace in the middle of work (once: after standing still)."""
    takes = [EmbeddedDemo(f"{demo.name}, from a rest", embed_sequence(embedder, demo.poses), demo.poses)]
    for pace in (1.0, *PACES) if cyclic else PACES:
        poses = at_pace(demo.poses, pace)
        past = _past(poses, 2 * embedder.bundle.info.window + CROP_TICKS, cyclic)
        embeddings = embed_sequence(embedder, np.concatenate([past, poses]))[len(past) :]
        takes.append(EmbeddedDemo(f"{demo.name}, at {pace:g} times its pace", embeddings, poses))
    return takes


def at_pace(poses: NDArray[np.float32], pace: float) -> NDArray[np.float32]:
    """Poses (T, K, 3) played `pace` times as fast on the same tick grid: (about T / pace, K, 3), linear in between."""
    at = np.linspace(0, len(poses) - 1, max(2, round(len(poses) / pace)))
    low = at.astype(int)
    high = np.minimum(low + 1, len(poses) - 1)
    weight = (at - low)[:, None, None].astype(np.float32)
    return (1 - weight) * poses[low] + weight * poses[high]


def _past(poses: NDArray[np.float32], ticks: int, cyclic: bool) -> NDArray[np.float32]:
    """What precedes: the same work again and again, or the first pose held."""
    if not cyclic:
        return np.repeat(poses[:1], ticks, axis=0)
    return np.concatenate([poses] * -(-ticks // len(poses)))[-ticks:]
