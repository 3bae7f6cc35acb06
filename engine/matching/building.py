"""A reference from embedded demonstrations: one clock, phases, spread, durations, and the fitted emission.

Positions are on the first demonstration's clock, because that is where phases are marked; the others are aligned to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.errors import BadReference
from engine.matching import dtw
from engine.matching.emission import UNFITTED, unit
from engine.matching.fitting import between, fitted
from engine.reference import Phase, Reference, ReferenceInfo


@dataclass(frozen=True)
class EmbeddedDemo:
    """One recording of one cycle, on the bundle's tick grid."""

    name: str
    embeddings: NDArray[np.float32]
    """(T, D), unit length."""
    poses: NDArray[np.float32]
    """(T, K, 3), pixels."""
    starts_s: Mapping[str, float] = field(default_factory=dict)
    """Where phases start in this recording, where that was marked too: name → seconds on its own clock."""


def build_reference(
    demos: Sequence[EmbeddedDemo], phases: Sequence[Phase] | None, bundle: Bundle, cyclic: bool = True
) -> Reference:
    """A reference from one or several demonstrations of one cycle each.

    `phases` are seconds on the first demonstration's clock (None: one phase); they are carried to the others by
    alignment. Where others were marked too (`starts_s`), a boundary is put at the median of all marks. Raises BadReference: no demonstration, one too short, phases outside the recording or overlapping.
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
    phases = _agreed(phases, demos, partners, rate_hz)
    templates = np.stack([between(demo.embeddings, partner) for demo, partner in zip(demos, partners, strict=True)])
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
        emission=UNFITTED.as_json(),
    )
    return fitted(
        Reference(info, mean, variance.astype(np.float32), first.poses, templates if len(demos) > 1 else None)
    )


def _agreed(
    phases: list[Phase], demos: Sequence[EmbeddedDemo], partners: Sequence[NDArray[np.float64]], rate_hz: float
) -> list[Phase]:
    """The phases with each boundary between two of them at the median of where the demonstrations put it."""
    agreed, before = list(phases), 0.0
    for n in range(1, len(phases)):
        marks = [phases[n].start_s] + [
            float(np.searchsorted(partner, demo.starts_s[phases[n].name] * rate_hz)) / rate_hz
            for demo, partner in zip(demos[1:], partners[1:], strict=True)
            if phases[n].name in demo.starts_s
        ]
        touching = abs(phases[n].start_s - phases[n - 1].end_s) < 1.5 / rate_hz
        at = float(np.clip(np.median(marks), before + 1 / rate_hz, phases[n].end_s - 1 / rate_hz))
        if len(marks) > 1 and touching and before + 1 / rate_hz <= at < phases[n].end_s:
            agreed[n - 1] = agreed[n - 1].model_copy(update={"end_s": at})
            agreed[n] = agreed[n].model_copy(update={"start_s": at})
        before = agreed[n].start_s
    return agreed


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
    return replace(demo, embeddings=embeddings, poses=np.asarray(demo.poses, np.float32))


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
