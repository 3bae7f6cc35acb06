"""The fixed-lag copy: the same as smoothing by the book, steadier than the live answer, and unmoved by save and restore."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from streams import NOBODY, PHASES, RATE_HZ, TICKS, cycle, errors_s, follow, procedure, reference, seen

from engine.matching.hmm import SwitchingMatcher
from engine.matching.smoothing import LAG_S, FixedLag

LAG = round(LAG_S * RATE_HZ)


COUNT = 9
ODDS = ("jump", "leave", "back", "here", "start", "give_up", "begin", "wrap")
"""As in `engine.matching.forward`."""


def chain(shares, odds, land, begin):
    """The transition matrix over on task at i, off task at i, idle, written out; `shares`: of how many positions a tick advances."""
    n = COUNT
    matrix = np.zeros((2 * n + 1, 2 * n + 1))
    on, off, idle = slice(0, n), slice(n, 2 * n), 2 * n
    moved = np.zeros((n, 2 * n + 1))
    for i in range(n):
        for step, share in enumerate(shares):
            if i + step < n:
                moved[i, i + step] += share
            else:
                moved[i, (i + step) % n] += odds["wrap"] * share
                moved[i, idle] += (1 - odds["wrap"]) * share
    matrix[on] = (1 - odds["jump"] - odds["leave"]) * moved
    matrix[on, on] += odds["jump"] * land
    matrix[on, off] += odds["leave"] * np.eye(n)
    matrix[off] = odds["back"] * odds["here"] * moved
    elsewhere = odds["start"] * begin + (1 - odds["start"]) * land
    matrix[off, on] += odds["back"] * (1 - odds["here"]) * elsewhere
    matrix[off, off] += (1 - odds["back"] - odds["give_up"]) * np.eye(n)
    matrix[off, idle] += odds["give_up"]
    matrix[idle, on] = odds["begin"] * begin
    matrix[idle, idle] = 1 - odds["begin"]
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    return matrix


@examples(30)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_it_is_smoothing_by_the_book(seed, ticks):
    rng = np.random.default_rng(seed)
    land, begin = (part / part.sum() for part in rng.random((2, COUNT)).astype(np.float32))
    odds = dict(zip(ODDS, rng.random(8) * [0.2, 0.2, 0.4, 1, 1, 0.3, 0.5, 1], strict=True))
    lag = FixedLag(COUNT, ticks, 3, land, begin)
    shares = np.array([0.2, 0.5, 0.3 * 0.6, 0.3 * 0.4])
    before = []
    explained = np.ones(2 * COUNT + 1)
    evidences = []
    for _ in range(ticks):
        off, idle = rng.random(COUNT).astype(np.float32), rng.random()
        on = np.outer([0.2, 0.5, 0.3], rng.random(COUNT)).astype(np.float32)
        likelihood, at_home = rng.random(COUNT).astype(np.float32), rng.random()
        spread = lag.spread(np.array([0.0, 1.0, 2.4]))
        lag.push(on, off, idle, likelihood, at_home, spread, np.array([odds[name] for name in ODDS]))
        before.append(np.concatenate([on.sum(axis=0), off, [idle]]))
        evidences.append(np.concatenate([likelihood, np.ones(COUNT), [at_home]]))
    matrix = chain(shares, odds, land, begin)
    for evidence in evidences[::-1]:
        explained = matrix @ (evidence * explained)
    expected = before[0] * explained
    np.testing.assert_allclose(lag.belief(), (expected / expected.sum())[:COUNT], rtol=1e-3, atol=1e-6)


def test_before_it_is_full_it_looks_back_as_far_as_there_is():
    even = np.full(4, 0.25, np.float32)
    lag = FixedLag(4, 5, 1, even, even)
    for tick in range(1, 8):
        lag.push(even[None], even, 0.0, even, 1.0, lag.spread(np.ones(1)), np.zeros(8))
        assert lag.filled == min(tick, 5)


def test_the_delayed_copy_says_when_somebody_was_at_work_and_when_not():
    work = procedure(2)
    positions = [*range(100), *[NOBODY] * 40]
    matches = follow(reference(work), seen(work, positions, 2))
    at_work = {t - round(m.delayed.lag_s * RATE_HZ): m.delayed.at_work for t, m in enumerate(matches)}
    assert min(at_work[t] for t in range(20, 98)) > 0.9
    assert max(at_work[t] for t in range(102, 127)) < 0.5


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


def test_at_the_end_of_a_stream_the_copy_comes_up_to_the_last_tick():
    work, ticks = procedure(1), 60
    matcher = SwitchingMatcher(reference(work))
    matches = [matcher.step(embedding, 1 / RATE_HZ) for embedding in seen(work, cycle(0, 1), 1)[:ticks]]
    remaining = matcher.remaining()
    behind = np.arange(LAG - 1, -1, -1)
    np.testing.assert_allclose([where.lag_s * RATE_HZ for where in remaining], behind)
    np.testing.assert_allclose([where.position_s * RATE_HZ for where in remaining], ticks - 1 - behind, atol=1)
    assert remaining[-1].position_s == matches[-1].position_s
    assert matcher.remaining() == []
