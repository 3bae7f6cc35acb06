"""Rendered workers as training clips: the same seed gives the same ones, and mistakes put every phase after every other one."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from engine.sources.rendered import StationParams, simulate
from engine.sources.rendered.parameters import PHASES
from training.datasets.stations import load_stations, with_mistakes


@pytest.fixture(scope="module")
def followed():
    """(phase before, phase) → how often, over 120 workers who make mistakes; None before the first of a cycle."""
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for seed in range(120):
        truth = simulate(with_mistakes(StationParams.random(seed, cycles=2)))
        for cycle in (1, 2):
            order = [event.phase for event in truth.events_of("phase") if event.cycle == cycle]
            pairs.update(zip([None, *order], order, strict=False))
    return pairs


def test_a_phase_out_of_its_order_is_no_rarity_among_mistaken_workers(followed):
    for before, phase in pairwise(PHASES):
        executions = sum(count for (_, what), count in followed.items() if what == phase)
        assert followed[before, phase] < 0.6 * executions


def test_mistaken_workers_do_every_phase_again_and_before_the_one_that_it_follows(followed):
    for phase in PHASES:
        assert followed[phase, phase] > 0
    for before, phase in pairwise(PHASES):
        assert followed[phase, before] > 0


def test_no_cycle_of_a_mistaken_worker_is_empty(followed):
    assert sum(count for (before, _), count in followed.items() if before is None) == 240


def test_the_same_seed_gives_the_same_workers_and_every_other_one_makes_mistakes():
    first, again = load_stations(4, seed=3), load_stations(4, seed=3)
    for one, other in zip(first.dataset.clips, again.dataset.clips, strict=True):
        assert one.id == other.id and np.array_equal(one.poses, other.poses)
        assert np.array_equal(first.progress[one.id], again.progress[other.id], equal_nan=True)
    orders = []
    for clip in first.dataset.clips:
        phases = clip.phases[clip.phases >= 0]
        orders.append(phases[np.flatnonzero(np.diff(phases, prepend=-1))].tolist())
    assert orders[0] == orders[2] == list(range(len(PHASES))) * 2
    assert orders[1] != orders[0] and orders[3] != orders[0]
