"""The fixed-lag copy: the same as smoothing by the book, steadier than the live answer, and unmoved by save and restore."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import PHASES, RATE_HZ, TICKS, cycle, errors_s, follow, procedure, reference, seen

from engine.matching.hmm import SwitchingMatcher
from engine.matching.smoothing import LAG_S, FixedLag

LAG = round(LAG_S * RATE_HZ)


def by_the_book(before, evidence, transition, land, jump, wrap):
    """Belief in the oldest position given all evidence, with the transition written out as a matrix."""
    count = len(before)
    explains = np.ones(count)
    for likelihood in evidence[::-1]:
        arriving = likelihood * explains
        moved = np.zeros(count)
        for i in range(count):
            for step, share in enumerate(transition):
                there = i + step
                moved[i] += share * (arriving[there] if there < count else wrap * arriving[there % count] + (1 - wrap))
        explains = (1 - jump) * moved + jump * float(land @ arriving)
        explains /= explains.max()
    smoothed = before * explains
    return smoothed / smoothed.sum()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(0, 1), st.floats(0, 0.2))
def test_it_is_smoothing_by_the_book(seed, ticks, wrap, jump):
    rng = np.random.default_rng(seed)
    count = 9
    land = rng.random(count).astype(np.float32)
    land /= land.sum()
    lag = FixedLag(count, ticks, furthest=3, land=land)
    rates, shifts = np.array([0.2, 0.5, 0.3]), np.array([0.0, 1.0, 2.4])
    before = rng.random((ticks, count)).astype(np.float32)
    evidence = rng.random((ticks, count)).astype(np.float32)
    for b, e in zip(before, evidence, strict=True):
        lag.push(b, e, rates, shifts, jump, wrap)
    expected = by_the_book(before[0], evidence, [0.2, 0.5, 0.3 * 0.6, 0.3 * 0.4], land, jump, wrap)
    np.testing.assert_allclose(lag.belief(), expected, atol=1e-5)


def test_before_it_is_full_it_looks_back_as_far_as_there_is():
    lag = FixedLag(4, 5, 1, np.full(4, 0.25, np.float32))
    for tick in range(1, 8):
        lag.push(*(np.ones(4, np.float32),) * 2, np.ones(1), np.ones(1), 0.0, 1.0)
        assert lag.filled == min(tick, 5)


def test_around_jumps_and_in_noise_the_delayed_position_is_nearer_the_truth_than_the_live_one():
    live, delayed = [], []
    for seed in range(4):
        work = procedure(seed)
        positions = cycle(*(phase for phase in range(PHASES) if phase != 2)) * 2
        matches = follow(reference(work), seen(work, positions, seed, noise=0.15))
        live += errors_s(matches, positions)[20:].tolist()
        apart = np.abs([m.delayed.position_s * RATE_HZ - positions[t - LAG] for t, m in enumerate(matches)])[20:]
        delayed += (np.minimum(apart, TICKS - apart) / RATE_HZ).tolist()
    assert np.mean(delayed) < np.mean(live)


def test_saving_and_restoring_changes_nothing_about_the_delayed_answer():
    work = procedure(1)
    embeddings = seen(work, cycle(*range(PHASES)), 1)
    whole, first, second = (SwitchingMatcher(reference(work)) for _ in range(3))
    expected = [whole.step(e, 1 / RATE_HZ) for e in embeddings]
    found = [first.step(e, 1 / RATE_HZ) for e in embeddings[:70]]
    second.restore(first.state())
    found += [second.step(e, 1 / RATE_HZ) for e in embeddings[70:]]
    assert [m.delayed for m in found] == [m.delayed for m in expected]
