"""A procedure of one phase — a repetition without marks — counts its cycles like any other."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.events import EventDetector
from engine.matching import open_matcher
from engine.matching.building import EmbeddedDemo, build_reference

TICKS = 46
BUNDLE = SimpleNamespace(info=SimpleNamespace(name="none", layout="body13", rate_hz=20.0), sha256="0" * 64)
"""What a reference remembers of its bundle; no model is run here."""


def repetition(loops, seed=0):
    """A closed path on the sphere, walked `loops` times: (loops · TICKS, 16)."""
    at = np.arange(round(loops * TICKS)) / TICKS * 2 * np.pi
    waves = np.random.default_rng(seed).normal(size=(6, 16))
    path = sum(np.outer(f(k * at), waves[2 * (k - 1) + i]) for k in (1, 2, 3) for i, f in enumerate((np.sin, np.cos)))
    return (path / np.linalg.norm(path, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("loops", [1.4, 3.4, 7.4])
def test_k_repetitions_count_k(loops):
    demo = EmbeddedDemo("one repetition", repetition(1), np.ones((TICKS, 13, 3), np.float32))
    reference = build_reference([demo], None, BUNDLE)
    matcher, detector = open_matcher(reference), EventDetector(reference, station="bench")
    for tick, embedding in enumerate(repetition(loops)):
        detector.step(matcher.step(embedding, 1 / 20), tick / 20, 0.0, True)
    assert detector.cycles_finished == int(loops)
