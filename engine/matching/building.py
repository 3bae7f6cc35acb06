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
    """Leave one demonstration out: its similarity to the others at its own position (matched) and elsewhere (unmatched).

    A single demonstration is compared with distorted copies of itself.
    """
    count = templates.shape[1]
    rng = np.random.default_rng(0)
    pairs = []
    if len(demos) > 1:
        for held in range(len(demos)):
            others = np.delete(templates, held, axis=0)
            similarity = np.einsum("td,mnd->mtn", templates[held], others).max(axis=0)
            pairs.append((similarity, np.arange(count, dtype=np.float64)))
    else:
        for _ in range(COPIES):
            copy, positions = _distorted(templates[0], rng)
            pairs.append((copy @ templates[0].T, positions))
    matched, unmatched = [], []
    apart = max(2, round(min(APART_S * rate_hz, count / 4)))
    for similarity, positions in pairs:
        distance: NDArray[np.float64] = np.abs(np.arange(count, dtype=np.float64)[None] - positions[:, None])
        if cyclic:
            distance = np.minimum(distance, count - distance)
        matched.append(np.where(distance <= 1, similarity, -np.inf).max(axis=1))
        unmatched.append(similarity[distance >= apart])
    good = np.concatenate(matched)
    bad = np.concatenate(unmatched) if sum(map(len, unmatched)) else np.zeros(1)
    # Something else entirely: what off task looks like to a reference that has never seen it.
    strangers = unit(rng.normal(size=(4 * count, templates.shape[2]))) @ templates.reshape(-1, templates.shape[2]).T
    bad = np.concatenate([bad, strangers.max(axis=1)])
    slope, offset = fit_pairs(good[np.isfinite(good)], bad)
    return EmissionFit(slope, offset, TEMPER)


def _distorted(
    embeddings: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A copy as another take would be: other pace, and every embedding off by some angle. With its true positions."""
    count = len(embeddings)
    pace = np.exp(rng.normal(0.0, 0.3, 6))
    positions = np.cumsum(np.interp(np.linspace(0, 5, count), np.arange(6), pace))
    positions = (positions - positions[0]) / (positions[-1] - positions[0]) * (count - 1)
    noise = unit(rng.normal(size=embeddings.shape))
    angle = np.abs(rng.normal(0.0, 0.45, (count, 1)))
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
