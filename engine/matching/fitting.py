"""Fitting the emission when a reference is made: slope and offset from pairs, the temper from how fast the work changes.

    demonstrations ─► copies as other people would do it ─► matched and unmatched pairs ─► slope, offset
                   └► how unlike moments half a second apart are ─► temper

Whoever is followed is not who demonstrated, and what is different about them lasts: a copy is off by an angle that
wanders slowly. That sets the likeness from which on somebody is at work. How sharply one moment is told from its
neighbours is another matter, on which people agree far better: there the reference's own pace of change is the measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from engine.matching.emission import EmissionFit, fit_pairs, unit
from engine.reference import Reference

APART_S = 0.5
"""Positions at least this far apart count as unmatched."""
COPIES = 4
STRANGERS = 400
"""Random directions that stand for what a reference has never seen."""
ANOTHER_PERSON = 0.05
"""Median 1 − cosine between two people at the same moment: 0.02–0.13 over the actions of the tuning split, 0.01–0.1 over
rendered workers."""
MOST_OF_RANGE = 0.25
"""But no more than this share of the median 1 − cosine between different moments: where embeddings differ little, people do too."""
ANOTHER_PERSON_SPREAD = 0.7
"""Standard deviation of its logarithm: 0.6–1.1."""
ANOTHER_PERSON_S = 0.6
"""How long such a difference lasts (autocorrelation 1/e), measured on rendered workers through the pose estimator."""
NATS_APART = 14.0
"""What one tick says between two typical moments `APART_S` apart. On tuning stations the surprise at the true position is least at 4–8,
calibration best at 14, recovery after a jump (and accuracy on streams of other people) at 14–30."""

Copy = tuple[NDArray[np.float32], NDArray[np.float64]]
"""Embeddings (T, D) and the true position of each in ticks of the reference (T,)."""


def fitted(reference: Reference) -> Reference:
    """The reference with its emission fitted to its own templates."""
    with threadpool_limits(limits=1, user_api="blas"):  # products this small are done before a second thread wakes up
        fit = _fit_to_pairs(reference, _copies(reference))
    return with_emission(reference, replace(fit, temper=NATS_APART / (fit.slope * _change(reference))))


def _change(reference: Reference) -> float:
    """Typical 1 − cosine of two moments `APART_S` apart."""
    apart = _apart(reference)
    products = np.einsum("mtd,mtd->mt", reference.templates[:, :-apart], reference.templates[:, apart:])
    return max(float(np.median(1.0 - products)), 1e-3)


def with_emission(reference: Reference, fit: EmissionFit) -> Reference:
    """The same reference with another emission."""
    info = reference.info.model_copy(update={"emission": fit.as_json()})
    return Reference(info, reference.mean, reference.variance, reference.poses, reference.templates)


def _copies(reference: Reference) -> list[Copy]:
    """Each demonstration as several other people would do it."""
    templates, rng = reference.templates, np.random.default_rng(0)
    rate_hz = reference.info.rate_hz
    copies: list[Copy] = []
    for own in templates:
        copies += [_distorted(own, rate_hz, rng) for _ in range(max(1, COPIES // len(templates)))]
    return copies


def _fit_to_pairs(reference: Reference, copies: Sequence[Copy]) -> EmissionFit:
    """Slope and offset from matched against unmatched similarities of recordings that are not in the reference.

    Those are the copies, and each demonstration against the others (leave one out).
    """
    templates, count, cyclic = reference.templates, len(reference), reference.info.cyclic
    pairs = [(np.einsum("td,mnd->tn", copy, templates) / len(templates), positions) for copy, positions in copies]
    if len(templates) > 1:
        ticks = np.arange(count, dtype=np.float64)
        pairs += [
            (np.einsum("td,nd->tn", own, np.delete(templates, number, axis=0).mean(axis=0)), ticks)
            for number, own in enumerate(templates)
        ]
    matched, unmatched = [], []
    for similarity, positions in pairs:
        distance = _distance(positions, count, cyclic)
        matched.append(np.where(distance <= 1, similarity, -np.inf).max(axis=1))
        unmatched.append(similarity[distance >= _apart(reference)])
    good, bad = np.concatenate(matched), np.concatenate(unmatched)
    slope, offset = fit_pairs(good[np.isfinite(good)], bad if len(bad) else np.zeros(1))
    # Whatever has nothing to do with the work must score below zero even where it happens to fit best: pairs within the
    # work cannot tell where that is.
    size = templates.shape[2]
    strangers = unit(np.random.default_rng(1).normal(size=(STRANGERS, size))) @ templates.mean(axis=0).T
    best = float(np.quantile(strangers.max(axis=1), 0.95))
    return EmissionFit(slope, min(offset, -slope * best), 1.0, best)


def _apart(reference: Reference) -> int:
    return max(1, round(min(APART_S * reference.info.rate_hz, len(reference) / 4)))


def _distance(positions: NDArray[np.float64], count: int, cyclic: bool) -> NDArray[np.float64]:
    """Ticks between each of `positions` (T,) and each tick of the reference: (T, count)."""
    distance = np.abs(np.arange(count)[None] - positions[:, None])
    return np.minimum(distance, count - distance) if cyclic else distance


def _distorted(embeddings: NDArray[np.float32], rate_hz: float, rng: np.random.Generator) -> Copy:
    """A copy as another person's would be: other pace, every embedding off by some angle that wanders."""
    count = len(embeddings)
    pace = np.exp(rng.normal(0.0, 0.3, 6))
    positions = np.cumsum(np.interp(np.linspace(0, 5, count), np.arange(6), pace))
    positions = (positions - positions[0]) / (positions[-1] - positions[0]) * (count - 1)
    # People differ in the ways in which moments of the work differ, or they would never be taken for each other.
    centred = embeddings - embeddings.mean(axis=0)
    _, strength, directions = np.linalg.svd(centred, full_matrices=False)
    noise = unit(_wandering((count, len(strength)), rate_hz, rng) @ (strength[:, None] * directions))
    spread = float(np.median(1.0 - embeddings @ embeddings.T))
    away = np.minimum(
        min(ANOTHER_PERSON, MOST_OF_RANGE * spread)
        * np.exp(ANOTHER_PERSON_SPREAD * _wandering((count, 1), rate_hz, rng)),
        1.0,
    )
    angle = np.arccos(1.0 - away)
    return unit(np.cos(angle) * between(embeddings, positions) + np.sin(angle) * noise), positions


def _wandering(shape: tuple[int, int], rate_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit-variance noise (T, D) that forgets itself within `ANOTHER_PERSON_S` (first-order autoregression over T)."""
    keep = float(np.exp(-1.0 / (ANOTHER_PERSON_S * rate_hz)))
    drive = rng.normal(size=shape) * np.sqrt(1.0 - keep**2)
    drive[0] /= np.sqrt(1.0 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], drive, axis=0))


def between(values: NDArray[np.floating], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (N, D) of `values` (T, D) at fractional positions (N,), linear between neighbours, unit length."""
    low = np.clip(np.floor(positions).astype(int), 0, len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    weight = (positions - low)[:, None]
    return unit((1 - weight) * values[low] + weight * values[high])
