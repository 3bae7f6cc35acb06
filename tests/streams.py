"""Synthetic work: smooth paths of unit embeddings, and streams that follow them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from engine.events import EventDetector
from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.emission import unit
from engine.matching.hmm import SwitchingMatcher
from engine.reference import Phase

RATE_HZ = 20.0
TICKS, PHASES, SIZE = 200, 4, 32
PHASE = TICKS // PHASES
NOBODY = -1
"""In a stream of positions: something that has nothing to do with the procedure."""

BUNDLE = SimpleNamespace(info=SimpleNamespace(rate_hz=RATE_HZ, name="synthetic", layout="body13"), sha256="0" * 64)


def procedure(seed: int, ticks: int = TICKS) -> np.ndarray:
    """Embeddings (ticks, SIZE) of one cycle that ends where it begins."""
    noise = np.random.default_rng(seed).normal(size=(ticks, SIZE))
    return unit(gaussian_filter1d(noise, 6, axis=0, mode="wrap"))


def reference(work: np.ndarray, phases: int = PHASES, cyclic: bool = True, **options):
    """A reference of one demonstration with phases p0, p1, … of equal length; `options`: phase name → fields of Phase."""
    length_s = len(work) / RATE_HZ / phases
    marks = [
        Phase(name=f"p{i}", start_s=i * length_s, end_s=(i + 1) * length_s, **options.get(f"p{i}", {}))
        for i in range(phases)
    ]
    return build_reference([EmbeddedDemo("demo", work, np.zeros((len(work), 13, 3)))], marks, BUNDLE, cyclic)


def cycle(*order: int) -> list[float]:
    """Positions that go through the phases in this order at reference pace."""
    return [float(t) for p in order for t in range(p * PHASE, (p + 1) * PHASE)]


def seen(work: np.ndarray, positions, seed: int = 0, noise: float = 0.04) -> np.ndarray:
    """Embeddings at fractional positions (NOBODY: random ones), each with noise of its own."""
    rng = np.random.default_rng(seed)
    out = []
    for position in positions:
        if position == NOBODY:
            out.append(unit(rng.normal(size=SIZE)))
            continue
        low, weight = int(position) % len(work), position % 1
        mixed = (1 - weight) * work[low] + weight * work[(low + 1) % len(work)]
        out.append(unit(mixed + rng.normal(scale=noise, size=SIZE)))
    return np.array(out, np.float32)


def follow(ref, embeddings, dt_s: float = 1 / RATE_HZ):
    matcher = SwitchingMatcher(ref)
    return [matcher.step(embedding, dt_s) for embedding in embeddings]


def events_of(ref, embeddings, kinds: tuple[str, ...] = (), dt_s: float = 1 / RATE_HZ):
    """Events of these kinds (none named: all), after going through matcher and detector."""
    matcher, detector = SwitchingMatcher(ref), EventDetector(ref)
    told = []
    for t, embedding in enumerate(embeddings):
        match = matcher.step(embedding, dt_s)
        told += detector.step(match, t * dt_s, t * dt_s, embedding is not None)
    return [event for event in told if not kinds or event.event in kinds]


def errors_s(matches, positions, ticks: int = TICKS) -> np.ndarray:
    """Distance on the circle between matched and true positions, seconds."""
    apart = np.abs(np.array([m.position_s * RATE_HZ for m in matches]) - np.array(positions)) % ticks
    return np.minimum(apart, ticks - apart) / RATE_HZ
