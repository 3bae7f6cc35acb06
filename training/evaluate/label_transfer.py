"""Phases carried from labelled reference clips to an unseen recording, by the plainest means.

These judge an embedding, not a matcher: the online matcher's figures come from `lockstep evaluate online`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluate.metrics import squared_distances
from training.evaluate.streams import Stream

Labelled = tuple[NDArray[np.floating], NDArray[np.int64]]
"""Features (N, D) and phases (N,) of one reference."""

STAY, JUMP = 0.25, 1e-3
_ADVANCES = ((0, STAY), (1, 0.45), (2, 0.2), (3, 0.1))
"""Reference frames advanced per live frame, with their probability: pauses, and speeds up to three."""
_SHARPNESS = 1.0


def nearest(references: Sequence[Labelled], features: NDArray[np.floating]) -> NDArray[np.int64]:
    """Phase (T,) of the nearest frame among all frames of the references; features (T, D)."""
    pool = np.concatenate([reference[0] for reference in references])
    labels = np.concatenate([reference[1] for reference in references])
    return labels[squared_distances(features, pool).argmin(axis=1)]


def forward_hmm(
    references: Sequence[Labelled], features: NDArray[np.floating], *, trimmed: bool = False
) -> NDArray[np.int64]:
    """Phase (T,) by forward filtering over each reference's frames, causal; several references vote by posterior.

    `trimmed`: the recording starts where the reference does and is one cycle. Else the start is unknown and cycles
    follow each other. A small chance to jump anywhere in both. The emission scale is a guess from the reference
    alone: the median squared distance between its frames.
    """
    votes = np.zeros((len(features), 1 + max(int(phases.max()) for _, phases in references)))
    for reference, phases in references:
        scale = np.median(squared_distances(reference, reference)) / _SHARPNESS + 1e-9
        distances = squared_distances(features, reference) / scale
        likelihood = np.exp(distances.min(axis=1, keepdims=True) - distances)
        onehot = np.eye(votes.shape[1])[phases]
        belief = np.full(len(reference), 1 / len(reference))
        if trimmed:
            belief[:] = np.eye(len(reference))[0]
        for t, seen in enumerate(likelihood):
            moved = sum(probability * _advanced(belief, step, trimmed) for step, probability in _ADVANCES)
            belief = ((1 - JUMP) * moved + JUMP / len(reference)) * seen
            belief /= belief.sum()
            votes[t] += belief @ onehot
    return votes.argmax(axis=1)


def _advanced(belief: NDArray[np.float64], step: int, trimmed: bool) -> NDArray[np.float64]:
    """Belief moved on by `step` frames: round to the start, or (trimmed) held at the end."""
    moved = np.roll(belief, step)
    if trimmed and step:
        moved[-1] += moved[:step].sum()
        moved[:step] = 0.0
    return moved


def boundary_errors(carried: NDArray[np.int64], stream: Stream) -> NDArray[np.float64]:
    """Seconds between each true phase boundary of a stream and where the carried phases (T,) put it.

    Within its cycle, a boundary is put at the split with the fewest frames on the wrong side of it.
    """
    errors = []
    for frame, phase in stream.boundaries:
        cycle = np.flatnonzero(stream.cycle == stream.cycle[frame])
        after = carried[cycle] >= phase
        wrong = np.concatenate([[0], np.cumsum(after)]) + np.concatenate([np.cumsum(~after[::-1])[::-1], [0]])
        errors.append(abs(cycle[0] + int(wrong.argmin()) - frame) / stream.rate_hz)
    return np.array(errors)
