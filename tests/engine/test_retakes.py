"""One demonstration, as if shown after a rest, over and over, and at other paces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embedder import embed_sequence, open_embedder
from engine.matching.building import EmbeddedDemo
from engine.retakes import PACES, at_pace, retakes, retakes_of
from engine.sources.rendered import StationParams, simulate


@pytest.fixture(scope="module")
def embedder(tiny_bundle):
    return open_embedder(tiny_bundle)


@pytest.fixture(scope="module")
def demo(embedder):
    poses = simulate(StationParams.random(1, cycles=1)).joints[60:180:2]
    return EmbeddedDemo("one", embed_sequence(embedder, poses), poses)


@given(st.integers(2, 50), st.floats(0.3, 3))
def test_another_pace_keeps_the_ends_and_changes_the_length(ticks, pace):
    poses = np.random.default_rng(0).normal(size=(ticks, 3, 3)).astype(np.float32)
    played = at_pace(poses, pace)
    assert len(played) == max(2, round(ticks / pace))
    np.testing.assert_allclose(played[[0, -1]], poses[[0, -1]], atol=1e-6)


def test_work_in_a_row_is_what_a_station_sees_in_a_late_cycle(embedder, demo):
    in_a_row = retakes(demo, embedder, cyclic=True)[1].embeddings
    many = embed_sequence(embedder, np.concatenate([demo.poses] * 6))
    assert (in_a_row * many[-len(demo.poses) :]).sum(axis=1).min() > 0.9999


def test_the_take_from_a_rest_is_a_fresh_start(embedder, demo):
    first = retakes(demo, embedder, cyclic=True)[0].embeddings
    np.testing.assert_allclose(first, embed_sequence(embedder, demo.poses), atol=1e-6)


@pytest.mark.parametrize("cyclic", [True, False])
def test_every_take_is_whole(embedder, demo, cyclic):
    takes = retakes(demo, embedder, cyclic)
    assert len(takes) == len(PACES) + (2 if cyclic else 1)
    for take in takes:
        assert len(take.embeddings) == len(take.poses) and np.isfinite(take.embeddings).all()


def test_several_demonstrations_and_a_reference_that_would_grow_too_large_go_without(monkeypatch, embedder, demo):
    assert len(retakes_of([demo], embedder, True)) == len(retakes(demo, embedder, True))
    assert retakes_of([demo, demo], embedder, True) == []
    monkeypatch.setattr("engine.retakes.MOST_ROWS", 5 * len(demo.poses) - 1)
    assert retakes_of([demo], embedder, True) == []
