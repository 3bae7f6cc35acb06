"""Stillness: a body that does not move is evidence for a pause, jitter or not; one that moves is evidence against it."""

import numpy as np
import pytest
from streams import RATE_HZ, TICKS, procedure, reference, seen

from engine.matching.hmm import SwitchingMatcher
from engine.matching.stillness import AGAINST_S, FOR_S, Stillness

SIZE_PX = 300.0


def poses(moves_px, jitter_px: float = 0.0, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    """(T, 13, 3): a body of `SIZE_PX` whose wrist (joint 5) is moved by so much."""
    rng = np.random.default_rng(seed)
    out = np.ones((len(moves_px), 13, 3), np.float32)
    corners = np.random.default_rng(1).uniform(0, 1, (13, 2)) * SIZE_PX / np.sqrt(2)
    out[:, :, :2] = corners + rng.normal(0, jitter_px, (len(moves_px), 13, 2)) if jitter_px else corners
    out[:, 5, 0] += moves_px
    out[:, :, :2] *= scale
    return out


def last(track) -> float:
    stillness = Stillness(13, RATE_HZ)
    return [stillness.nats_per_s(pose) for pose in track][-1]


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_a_body_that_only_jitters_stands_still_however_large_it_is_seen(scale):
    assert last(poses(np.zeros(40), jitter_px=2.0, scale=scale)) > 0.5 * FOR_S
    assert last(poses(3.0 * np.arange(40), jitter_px=2.0, scale=scale)) < -0.5 * AGAINST_S


def test_one_moving_hand_is_movement_and_a_hidden_joint_that_is_guessed_is_not():
    moving = poses(6.0 * np.arange(40))
    assert last(moving) == -AGAINST_S
    moving[:, 5, 2] = 0.2
    assert last(moving) == FOR_S


def test_nothing_is_said_before_there_is_enough_to_compare_nor_after_a_hole():
    stillness = Stillness(13, RATE_HZ)
    track = poses(np.zeros(40))
    assert [stillness.nats_per_s(pose) for pose in track[:11]] == [0.0] * 11
    assert stillness.nats_per_s(track[11]) > 0
    assert stillness.nats_per_s(None) == 0.0
    assert stillness.nats_per_s(track[12]) == 0.0
    assert stillness.nats_per_s(np.zeros((13, 3), np.float32)) == 0.0


def test_whoever_goes_on_moving_while_the_embedding_stands_still_is_not_paused():
    work = procedure(3)
    ref = reference(work)
    embeddings = seen(work, [*range(80), *[80] * 60, *range(80, TICKS)], 3)
    walking = poses(8.0 * np.arange(len(embeddings)))
    stops = np.concatenate([np.arange(80), np.full(60, 80), np.arange(80, TICKS)])
    standing = poses(8.0 * stops)

    def first_pause(track) -> int | None:
        matcher = SwitchingMatcher(ref)
        told = [
            matcher.step(e, 1 / RATE_HZ, None if track is None else track[t]).status for t, e in enumerate(embeddings)
        ]
        return next((t for t in range(80, 140) if told[t] == "paused"), None)

    alone, moving, still = first_pause(None), first_pause(walking), first_pause(standing)
    assert alone is not None and still is not None
    assert moving is None or moving > max(alone, still)
