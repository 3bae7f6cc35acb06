"""The emission: what a tick says of where the work is depends on how much it looks like the operator's work at all."""

import numpy as np
import pytest
from streams import PHASE, SIZE, procedure, reference

from engine.matching.emission import STRAY_SAYS, Emission, unit

DT_S = 0.05


def nats_per_cosine(emission: Emission, work: np.ndarray, embedding: np.ndarray, here: int) -> float:
    """What it makes of the difference in likeness between `here` in the demonstrated work and the tick after it."""
    likeness = work @ embedding
    told = emission(embedding.astype(np.float32), DT_S)
    return float((told[here] - told[here + 1]) / (likeness[here] - likeness[here + 1]))


@pytest.mark.parametrize("seed", range(4))
def test_whoever_looks_less_like_work_than_they_do_at_work_says_little_of_where_it_is(seed):
    """Turning away, coming back, a move that no demonstration shows: each resembles some moment most."""
    work = procedure(seed)
    here = 3 * PHASE
    strange = np.random.default_rng(seed).normal(size=SIZE)
    strange = unit(strange - (strange @ work[here]) * work[here])
    turning = 0.6 * work[here] + 0.8 * strange
    newcomer, known = Emission(reference(work)), Emission(reference(work))
    for embedding in work:
        known(embedding.astype(np.float32), DT_S)
    at_work = nats_per_cosine(known, work, work[here], here)
    assert nats_per_cosine(known, work, turning, here) == pytest.approx(STRAY_SAYS * at_work, rel=0.05)
    assert nats_per_cosine(newcomer, work, turning, here) > 0.5 * at_work  # they may never look more alike
