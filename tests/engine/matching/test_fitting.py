"""Fitting: where likeness begins to mean work is learnt from people who are not in the reference."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from streams import BUNDLE, TICKS, procedure

from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.emission import EmissionFit, unit

AWAY = 0.3
"""1 − cosine between a person and the procedure as it is meant: more than a fit without demonstrations to compare expects of people."""


def person(work: np.ndarray, number: int) -> np.ndarray:
    """The procedure as somebody does it: off by the same angle throughout, in a direction of their own that wanders."""
    noise = np.random.default_rng(number).normal(size=work.shape)
    own = unit(gaussian_filter1d(noise, 12, axis=0, mode="wrap"))
    own = unit(own - np.sum(own * work, axis=1, keepdims=True) * work)
    return unit((1 - AWAY) * work + np.sqrt(1 - (1 - AWAY) ** 2) * own)


@pytest.mark.parametrize("seed", range(4))
def test_whoever_differs_from_two_demonstrators_as_they_differ_from_each_other_is_at_work(seed):
    """Each of the two is alike to the reference because it is half of it; the next person is not: what is learnt from must leave
    a demonstration's own part out."""
    work = procedure(seed)
    demos = [EmbeddedDemo(f"{n}", person(work, 100 * seed + n), np.zeros((TICKS, 13, 3))) for n in (1, 2)]
    reference = build_reference(demos, None, BUNDLE)
    fit = EmissionFit(**reference.info.emission)
    newcomer = np.sum(person(work, 100 * seed + 3) * reference.templates.mean(axis=0), axis=1)
    assert np.median(fit.slope * newcomer + fit.offset) > 0
