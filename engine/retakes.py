"""A demonstration as it would have been seen in other circumstances: after a rest or in a row, at other paces, a little turned.

A causal model remembers what came before, so the same movement is embedded differently in the first cycle after a rest
and in the fifth of a row, and differently again at another pace or for a camera that hangs askew. What a reference should hold is what those
have in common: every tick is the mean direction of its embeddings in some *retakes*, which the model sees instead of the one recording.

    poses ─┬► run-up + own pace + own look ─► embeddings ─► back on the recording's ticks ─┐
           ├► …                                                                            ├─ mean, unit length
           └► …                                                                           ─┘
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.embedder.base import StepRuntime
from engine.embedder.together import embed_together
from engine.matching.building import EmbeddedDemo
from engine.matching.emission import unit

TAKES = 12
PIECES = 3
"""Parts of a take, each at a pace of its own."""
PACE = 2.0
"""Paces are log-uniform from 1/PACE to PACE."""
ROLL, STRETCH = 0.06, 0.06
"""Standard deviations of the camera's roll (radians) and of the logarithm of height over width."""
REST_TICKS = (10, 50)
"""How long somebody stands ready before the work."""
CROP_TICKS = 60
"""Ticks after which a crop has settled, whatever it has seen before."""


@dataclass(frozen=True)
class Take:
    """Poses (T, K, 3) of which the first `run_up` come before the work; `ticks` (T − run_up,): the recording's tick that each shows."""

    poses: NDArray[np.float32]
    run_up: int
    ticks: NDArray[np.float64]


def retaken(demos: Sequence[EmbeddedDemo], runtime: StepRuntime, cyclic: bool) -> list[EmbeddedDemo]:
    """The demonstrations, each tick's embedding the mean of its own and of those in `TAKES` retakes. The same input gives the same result."""
    memory = runtime.bundle.info.window + CROP_TICKS
    out = []
    for demo in demos:
        rng = np.random.default_rng(0)
        takes = [take(demo.poses, memory, cyclic, rng) for _ in range(TAKES)]
        embedded = embed_together(runtime, [one.poses for one in takes])
        seen = [_at_ticks(e[one.run_up :], one.ticks, len(demo.poses)) for e, one in zip(embedded, takes, strict=True)]
        out.append(replace(demo, embeddings=unit(np.mean([unit(demo.embeddings), *seen], axis=0))))
    return out


def take(poses: NDArray[np.float32], memory: int, cyclic: bool, rng: np.random.Generator) -> Take:
    """One retake of `poses` (T, K, 3), with what precedes it: standing ready, or (of cyclic work, every other time) `memory` ticks of the same work."""
    ticks = _own_pace(len(poses), rng)
    if cyclic and rng.random() < 0.5:
        before = np.concatenate([_own_pace(len(poses), rng) for _ in range(1 + 2 * memory // len(poses))])[-memory:]
    else:
        before = np.zeros(int(rng.integers(*REST_TICKS)))
    shown = _between(poses, np.concatenate([before, ticks]))
    return Take(_askew(shown, rng.normal(0.0, ROLL), math.exp(rng.normal(0.0, STRETCH))), len(before), ticks)


def _own_pace(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Ticks of a recording of `count` that are shown one after the other when each of `PIECES` parts has its own pace."""
    edges = np.concatenate([[0.0], np.sort(rng.uniform(0, count - 1, PIECES - 1)), [count - 1.0]])
    parts = []
    for a, b in pairwise(edges):
        pace = math.exp(rng.uniform(-math.log(PACE), math.log(PACE)))
        parts.append(np.linspace(a, b, max(1, round((b - a) / pace)), endpoint=False))
    return np.concatenate([*parts, edges[-1:]])


def _between(poses: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Poses at fractional ticks, linear; a joint missing on one side is taken from the nearer one."""
    low = at.astype(int)
    high = np.minimum(low + 1, len(poses) - 1)
    weight = (at - low).astype(np.float32)[:, None, None]
    a, b = poses[low], poses[high]
    one_sided = ((a[..., 2] > 0) != (b[..., 2] > 0))[..., None]
    return np.where(one_sided, np.where(weight < 0.5, a, b), a + (b - a) * weight).astype(np.float32)


def _askew(poses: NDArray[np.float32], roll: float, stretch: float) -> NDArray[np.float32]:
    """As a camera rolled by `roll` radians sees it, height stretched over width."""
    c, s = math.cos(roll), math.sin(roll)
    out = poses.copy()
    out[..., 0] = c * poses[..., 0] - s * poses[..., 1]
    out[..., 1] = (s * poses[..., 0] + c * poses[..., 1]) * stretch
    return np.where(poses[..., 2:] > 0, out, 0.0).astype(np.float32)


def _at_ticks(embeddings: NDArray[np.float32], shown: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """Embeddings (T, D) of ticks `shown` (T,), never falling → at the ticks 0 … count − 1."""
    at = np.interp(np.arange(count), shown, np.arange(len(shown)))
    low = at.astype(int)
    high = np.minimum(low + 1, len(embeddings) - 1)
    weight = (at - low).astype(np.float32)[:, None]
    return unit(embeddings[low] * (1 - weight) + embeddings[high] * weight)
