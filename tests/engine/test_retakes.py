"""A demonstration as it would have been seen after a rest or in a row, at other paces, by a camera that hangs askew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bundle import open_bundle
from engine.embedder import embed_sequence, open_embedder
from engine.embedder.opening import open_runtime
from engine.embedder.together import embed_together
from engine.matching.building import EmbeddedDemo
from engine.retakes import PACE, REST_TICKS, retaken, take
from engine.sources.rendered import StationParams, simulate


@pytest.fixture(scope="module")
def runtime(tiny_bundle):
    return open_runtime(tiny_bundle)


@pytest.fixture(scope="module")
def demo(tiny_bundle):
    poses = simulate(StationParams.random(1, cycles=1)).joints[60:180:2]
    return EmbeddedDemo("one", embed_sequence(open_embedder(tiny_bundle), poses), poses)


@given(ticks=st.integers(2, 60), memory=st.integers(1, 100), cyclic=st.booleans(), seed=st.integers(0, 999))
def test_a_take_shows_all_of_the_work_in_order_after_a_run_up(ticks, memory, cyclic, seed):
    poses = np.random.default_rng(0).uniform(1, 2, (ticks, 3, 3)).astype(np.float32)
    taken = take(poses, memory, cyclic, np.random.default_rng(seed))
    assert len(taken.poses) == taken.run_up + len(taken.ticks)
    assert taken.ticks[0] == 0 and taken.ticks[-1] == ticks - 1 and (np.diff(taken.ticks) >= 0).all()
    assert np.diff(taken.ticks).max() <= PACE * 2  # a part that lasts no whole tick is passed over in one
    assert taken.run_up <= max(memory, REST_TICKS[1])


@given(seed=st.integers(0, 999))
def test_what_is_not_cyclic_begins_from_standing_ready(seed):
    poses = np.random.default_rng(0).uniform(1, 2, (20, 3, 3)).astype(np.float32)
    taken = take(poses, 50, False, np.random.default_rng(seed))
    np.testing.assert_array_equal(taken.poses[: taken.run_up], np.repeat(taken.poses[:1], taken.run_up, axis=0))


def test_a_missing_joint_stays_missing_however_the_camera_hangs():
    poses = np.ones((30, 3, 3), np.float32)
    poses[:, 1] = 0.0
    taken = take(poses, 40, True, np.random.default_rng(1))
    assert (taken.poses[:, 1] == 0).all() and (taken.poses[:, [0, 2], 2] == 1).all()


@pytest.mark.parametrize("cyclic", [True, False])
def test_retaken_demonstrations_keep_their_clock_and_are_the_same_every_time(runtime, demo, cyclic):
    once, again = (retaken([demo], runtime, cyclic)[0] for _ in range(2))
    assert once.embeddings.shape == demo.embeddings.shape
    np.testing.assert_array_equal(once.poses, demo.poses)
    np.testing.assert_array_equal(once.embeddings, again.embeddings)
    np.testing.assert_allclose(np.linalg.norm(once.embeddings, axis=1), 1.0, atol=1e-5)


def test_work_in_a_row_is_nearer_to_the_retaken_reference_than_to_a_recording_from_a_cold_start(demo):
    runtime = open_runtime(open_bundle())
    cold, in_a_row = embed_together(runtime, [demo.poses, np.concatenate([demo.poses] * 4)])
    (seen,) = retaken([replace(demo, embeddings=cold)], runtime, True)
    early = slice(0, 20)  # later on the cold start is forgotten
    likeness = [(in_a_row[-len(cold) :] * e)[early].sum(axis=1).mean() for e in (cold, seen.embeddings)]
    assert likeness[1] > likeness[0]


def test_recordings_embedded_side_by_side_are_as_each_on_its_own(runtime, tiny_bundle, demo):
    streams = [demo.poses[:n] for n in (7, 30, 19)]
    together = embed_together(runtime, streams)
    for poses, embeddings in zip(streams, together, strict=True):
        np.testing.assert_allclose(embeddings, embed_sequence(open_embedder(tiny_bundle), poses), atol=1e-5)
