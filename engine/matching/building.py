"""A reference from embedded demonstrations: one clock, phases, spread, durations, and the fitted emission.

Positions are on the first demonstration's clock, because that is where phases are marked; the others are aligned to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.errors import BadReference
from engine.matching import dtw
from engine.matching.emission import EmissionFit, fit_pairs, unit
from engine.reference import Phase, Reference, ReferenceInfo

APART_S = 0.5
"""Positions at least this far apart count as unmatched."""
TEMPER = 0.25
COPIES = 6
STRANGERS = 400
"""Random directions that stand for what a reference has never seen."""
ANOTHER_PERSON = 0.3
"""Median 1 − cosine between two people at the same moment, as a share of that between different moments of one of them:
0.1–0.6 over the actions of the tuning split."""
ANOTHER_PERSON_SPREAD = 0.6
"""Standard deviation of its logarithm."""


@dataclass(frozen=True)
class EmbeddedDemo:
    """One recording of one cycle, on the bundle's tick grid."""

    name: str
    embeddings: NDArray[np.float32]
    """(T, D), unit length."""
    poses: NDArray[np.float32]
    """(T, K, 3), pixels."""


def build_reference(
    demos: Sequence[EmbeddedDemo], phases: Sequence[Phase] | None, bundle: Bundle, cyclic: bool = True
) -> Reference:
    """A reference from one or several demonstrations of one cycle each.

    `phases` are seconds on the first demonstration's clock (None: one phase); they are carried to the others by
    alignment. Raises BadReference: no demonstration, one too short, phases outside the recording or overlapping.
    """
    demos = [_checked(demo) for demo in demos]
    if not demos:
        raise BadReference("no demonstration to build a reference from", next_step="Name at least one recording.")
    rate_hz = bundle.info.rate_hz
    first = demos[0]
    count = len(first.embeddings)
    phases = _checked_phases(phases, count / rate_hz)
    partners = [
        np.arange(count, dtype=np.float64),
        *(dtw.carry(dtw.align(first.embeddings, demo.embeddings), count) for demo in demos[1:]),
    ]
    templates = np.stack([_at(demo.embeddings, partner) for demo, partner in zip(demos, partners, strict=True)])
    mean = templates.mean(axis=0)
    variance = np.square(templates - mean).sum(axis=2).mean(axis=0)
    info = ReferenceInfo(
        bundle=bundle.info.name,
        bundle_sha256=bundle.sha256,
        layout=bundle.info.layout,
        rate_hz=rate_hz,
        cyclic=cyclic,
        phases=tuple(phases),
        durations_s=tuple(
            _durations(phases, partner, len(demo.embeddings), rate_hz)
            for demo, partner in zip(demos, partners, strict=True)
        ),
        demonstrations=tuple(demo.name for demo in demos),
        emission=fit_emission(demos, templates, partners, rate_hz, cyclic).as_json(),
    )
    return Reference(info, mean, variance.astype(np.float32), first.poses, templates if len(demos) > 1 else None)


def fit_emission(
    demos: Sequence[EmbeddedDemo],
    templates: NDArray[np.float32],
    partners: Sequence[NDArray[np.float64]],
    rate_hz: float,
    cyclic: bool,
) -> EmissionFit:
    """Matched against unmatched similarities of recordings that are not in the reference.

    Those are: each demonstration against the others (leave one out), and distorted copies of each, since whoever is
    followed is not who demonstrated: how far apart two people are at the same moment of the same work, as a share of how
    far apart different moments are, is `ANOTHER_PERSON`.
    """
    count = templates.shape[1]
    rng = np.random.default_rng(0)
    apart = max(2, round(min(APART_S * rate_hz, count / 4)))
    ticks = np.arange(count, dtype=np.float64)
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []
    for number, own in enumerate(templates):
        far = (1.0 - own @ own.T)[_distance(ticks, count, cyclic) >= apart]
        spread = float(np.median(far)) if len(far) else 0.5
        for _ in range(max(1, COPIES // len(templates))):
            copy, positions = _distorted(own, ANOTHER_PERSON * spread, rng)
            pairs.append((np.einsum("td,mnd->mtn", copy, templates).max(axis=0), positions))
        if len(templates) > 1:
            others = np.delete(templates, number, axis=0)
            pairs.append((np.einsum("td,mnd->mtn", own, others).max(axis=0), ticks))
    matched, unmatched = [], []
    for similarity, positions in pairs:
        distance = _distance(positions, count, cyclic)
        matched.append(np.where(distance <= 1, similarity, -np.inf).max(axis=1))
        unmatched.append(similarity[distance >= apart])
    good, bad = np.concatenate(matched), np.concatenate(unmatched)
    slope, offset = fit_pairs(good[np.isfinite(good)], bad if len(bad) else np.zeros(1))
    # Whatever has nothing to do with the work must score below zero even where it happens to fit best: pairs within the
    # work cannot tell where that is.
    strangers = unit(rng.normal(size=(STRANGERS, templates.shape[2]))) @ templates.reshape(-1, templates.shape[2]).T
    best = float(np.quantile(strangers.max(axis=1), 0.95))
    return EmissionFit(slope, min(offset, -slope * best), TEMPER)


def _distance(positions: NDArray[np.float64], count: int, cyclic: bool) -> NDArray[np.float64]:
    """Ticks between each of `positions` (T,) and each tick of the reference: (T, count)."""
    distance = np.abs(np.arange(count)[None] - positions[:, None])
    return np.minimum(distance, count - distance) if cyclic else distance


def _distorted(
    embeddings: NDArray[np.float32], apart: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A copy as another person's would be: other pace, every embedding off by some angle. With its true positions.

    `apart`: median of 1 − cosine between the copy and the original.
    """
    count = len(embeddings)
    pace = np.exp(rng.normal(0.0, 0.3, 6))
    positions = np.cumsum(np.interp(np.linspace(0, 5, count), np.arange(6), pace))
    positions = (positions - positions[0]) / (positions[-1] - positions[0]) * (count - 1)
    noise = unit(rng.normal(size=embeddings.shape))
    away = np.minimum(apart * np.exp(rng.normal(0.0, ANOTHER_PERSON_SPREAD, (count, 1))), 1.0)
    angle = np.arccos(1.0 - away)
    return unit(np.cos(angle) * unit(_at(embeddings, positions)) + np.sin(angle) * noise), positions


def _at(values: NDArray[np.floating], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (N, D) of `values` (T, D) at fractional positions (N,), linear between neighbours, unit length."""
    low = np.clip(np.floor(positions).astype(int), 0, len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    weight = (positions - low)[:, None]
    return unit((1 - weight) * values[low] + weight * values[high])


def _durations(phases: Sequence[Phase], partner: NDArray[np.float64], length: int, rate_hz: float) -> tuple[float, ...]:
    """Seconds per phase of a demonstration of `length` ticks whose tick `partner[i]` is position i."""
    edges = np.append(partner, length)
    ticks = np.arange(len(edges))
    return tuple(
        float(np.interp(phase.end_s * rate_hz, ticks, edges) - np.interp(phase.start_s * rate_hz, ticks, edges))
        / rate_hz
        for phase in phases
    )


def _checked(demo: EmbeddedDemo) -> EmbeddedDemo:
    advice = "Choose another part of the recording (--start, --end), in which the operator is seen working."
    if len(demo.embeddings) < 2 or len(demo.poses) != len(demo.embeddings):
        raise BadReference(
            f"demonstration {demo.name} is too short",
            expected="at least 2 ticks, each with its pose",
            found=f"{len(demo.embeddings)} embeddings and {len(demo.poses)} poses",
            next_step=advice,
        )
    if not np.isfinite(demo.embeddings).all():
        raise BadReference(f"demonstration {demo.name} holds embeddings that are not numbers", next_step=advice)
    embeddings = unit(demo.embeddings)
    if float(np.abs(embeddings - embeddings[0]).max()) < 1e-4:
        raise BadReference(
            f"nothing moves in demonstration {demo.name}",
            expected="a recording of one cycle of work",
            found="the same embedding at every tick",
            next_step=advice,
        )
    return EmbeddedDemo(demo.name, embeddings, np.asarray(demo.poses, np.float32))


def _checked_phases(phases: Sequence[Phase] | None, duration_s: float) -> list[Phase]:
    if not phases:
        return [Phase(name="cycle", start_s=0.0, end_s=duration_s)]
    advice = "Correct the phases: name, start_s and end_s, in seconds on the first demonstration's clock."
    ordered = sorted(phases, key=lambda phase: phase.start_s)
    seen: set[str] = set()
    before = 0.0
    tolerance_s = 0.25
    for phase in ordered:
        if phase.name in seen:
            raise BadReference(f"two phases are called {phase.name!r}", next_step=advice)
        seen.add(phase.name)
        if phase.end_s <= phase.start_s:
            raise BadReference(
                f"phase {phase.name!r} ends before it starts",
                expected="start_s < end_s",
                found=f"{phase.start_s:g}–{phase.end_s:g} s",
                next_step=advice,
            )
        if phase.start_s < -tolerance_s or phase.end_s > duration_s + tolerance_s:
            raise BadReference(
                f"phase {phase.name!r} lies outside the recording",
                expected=f"times within 0–{duration_s:.2f} s",
                found=f"{phase.start_s:g}–{phase.end_s:g} s",
                next_step=advice,
            )
        if phase.start_s < before - 1e-6:
            raise BadReference(
                f"phase {phase.name!r} overlaps the one before it",
                expected=f"a start at or after {before:g} s",
                found=f"{phase.start_s:g} s",
                next_step=advice,
            )
        before = phase.end_s
    return [
        phase.model_copy(update={"start_s": max(phase.start_s, 0.0), "end_s": min(phase.end_s, duration_s)})
        for phase in ordered
    ]
