"""Stillness: a body that does not move is evidence for a pause, jitter or not, and has nothing new to say of where the work is; one
that moves is evidence against a pause."""

from itertools import pairwise

import numpy as np
import pytest
from streams import BUNDLE, PHASE, RATE_HZ, TICKS, procedure, reference, seen

from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.emission import unit
from engine.matching.hmm import SwitchingMatcher
from engine.matching.stillness import MOVES_S, STANDS_S, Stillness, pause_nats_per_s

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
    return pause_nats_per_s([stillness.step(pose) for pose in track][-1])


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_a_body_that_only_jitters_stands_still_however_large_it_is_seen(scale):
    assert last(poses(np.zeros(40), jitter_px=2.0, scale=scale)) > 0.5 * STANDS_S
    assert last(poses(3.0 * np.arange(40), jitter_px=2.0, scale=scale)) < -0.5 * MOVES_S


def test_one_moving_hand_is_movement_and_a_hidden_joint_that_is_guessed_is_not():
    moving = poses(6.0 * np.arange(40))
    assert last(moving) == -MOVES_S
    moving[:, 5, 2] = 0.2
    assert last(moving) == STANDS_S


def test_nothing_is_said_before_there_is_enough_to_compare_nor_after_a_hole():
    stillness = Stillness(13, RATE_HZ)
    track = poses(np.zeros(40))
    moves = [stillness.step(pose) for pose in track[:12]]
    assert moves == [None] * 11 + [0.0]
    assert pause_nats_per_s(moves[-1]) == STANDS_S
    assert stillness.news(moves[-1]) < 0.1
    for nothing in (None, track[12], np.zeros((13, 3), np.float32)):
        assert stillness.step(nothing) is None
    assert (pause_nats_per_s(None), stillness.news(None)) == (0.0, 1.0)


def test_the_longer_a_body_stands_still_the_less_its_ticks_say_and_at_the_first_move_all_again():
    stillness = Stillness(13, RATE_HZ)
    track = poses(np.concatenate([np.zeros(60), 40.0 * np.arange(8)]))
    shares = [stillness.news(stillness.step(pose)) for pose in track]
    assert all(before > after for before, after in pairwise(shares[11:60]))
    assert shares[-1] == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_the_embedding_of_a_body_that_stands_still_may_drift_towards_another_phase(seed):
    """A network forgets within a pause how its pose was come to; the work has not moved for all that. Of a body that moves, the
    same embeddings are believed."""
    work = procedure(seed)
    ref = reference(work)
    stop, elsewhere = PHASE + PHASE // 2, 3 * PHASE + PHASE // 2
    share = np.clip(np.linspace(-0.3, 1.0, 60), 0, None)[:, None]
    drifting = unit((1 - share) * work[stop] + share * work[elsewhere])
    embeddings = np.concatenate([seen(work, range(stop), seed), drifting.astype(np.float32)])
    stops = np.minimum(np.arange(len(embeddings)), stop)

    def phase_at_end(track) -> int:
        matcher = SwitchingMatcher(ref)
        return [matcher.step(e, 1 / RATE_HZ, pose).phase for e, pose in zip(embeddings, track, strict=True)][-1]

    assert phase_at_end(poses(8.0 * stops)) == 1
    assert phase_at_end(poses(8.0 * np.arange(len(embeddings)))) == 3


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


def test_whoever_walks_about_is_not_paused_though_a_pause_was_believed():
    work = procedure(3)
    embeddings = seen(work, [*range(80), *[80] * 80], 3)
    track = poses(8.0 * np.minimum(np.arange(160), 80))
    track[120:, :, 0] += 20.0 * np.arange(40)[:, None]
    matcher = SwitchingMatcher(reference(work))
    told = [matcher.step(e, 1 / RATE_HZ, pose).status for e, pose in zip(embeddings, track, strict=True)]
    assert told[119] == "paused"
    assert "paused" not in told[132:]


@pytest.mark.parametrize("seed", range(4))
def test_whoever_stands_still_once_the_work_is_done_is_not_paused_in_it(seed):
    """A pause of the last moment and what comes after the end look the same, and both stand still."""
    work = procedure(seed)
    ref = reference(work, cyclic=False)
    embeddings = seen(work, [*range(TICKS), *[TICKS - 1] * 100], seed)
    track = poses(8.0 * np.minimum(np.arange(len(embeddings)), TICKS - 1))

    matcher = SwitchingMatcher(ref)
    told = [matcher.step(e, 1 / RATE_HZ, pose).status for e, pose in zip(embeddings, track, strict=True)]
    assert told[-1] == "idle"
    assert float(matcher.belief.sum()) < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_whoever_stands_ready_where_the_work_begins_waits_and_is_not_paused_in_it(seed):
    """Though they seemed to be at work before (a network that has just begun to see likens the first ticks to anything), and
    though poses say nothing: the demonstration stands still there, too, or there are none."""
    work = procedure(seed)
    first = [*range(PHASE, PHASE + 10)]
    begins = len(first) + 80
    embeddings = seen(work, [*first, *[0] * 80, *range(TICKS)], seed)
    matcher = SwitchingMatcher(reference(work))
    told = [matcher.step(embedding, 1 / RATE_HZ).status for embedding in embeddings]
    assert "paused" not in told
    assert set(told[len(first) + 20 : begins]) == {"idle"}
    assert set(told[begins + 20 :]) == {"on_task"}


@pytest.mark.parametrize("seed", range(4))
def test_whoever_never_rests_turns_at_the_end_of_a_cycle_into_the_next_and_does_not_wait_in_between(seed):
    """Half a second in which what is seen stays as at the end while the body moves on, cycle after cycle."""
    work = procedure(seed)
    cycles = [t for _ in range(10) for t in [*range(TICKS), *[TICKS - 1] * 10]]
    embeddings = seen(work, cycles, seed)
    to_and_fro = poses(16.0 * np.abs(np.arange(len(cycles)) % 40 - 20))
    matcher = SwitchingMatcher(reference(work))
    told = [matcher.step(e, 1 / RATE_HZ, pose).status for e, pose in zip(embeddings, to_and_fro, strict=True)]
    assert set(told[5 * TICKS :]) == {"on_task"}


@pytest.mark.parametrize("seed", range(4))
def test_work_that_stands_still_in_the_demonstration_too_is_no_pause_and_goes_on(seed):
    """A look at the part: nothing moves, and nothing that is seen changes."""
    work = procedure(seed)
    stop, on = 2 * PHASE, 3 * PHASE
    work[stop:on] = work[stop]
    track = poses(8.0 * np.concatenate([np.arange(stop), np.full(PHASE, stop), np.arange(stop, on)]))
    matcher = SwitchingMatcher(build_reference([EmbeddedDemo("demo", work, track)], None, BUNDLE, cyclic=False))
    live = zip(seen(work, range(TICKS), seed), track, strict=True)
    told = [matcher.step(embedding, 1 / RATE_HZ, pose) for embedding, pose in live]
    assert "paused" not in {match.status for match in told}
    apart_s = np.array([match.position_s for match in told]) - np.arange(TICKS) / RATE_HZ
    assert np.abs(apart_s[stop:on]).max() < 1.0
    assert np.abs(apart_s[on + 8 :]).max() < 0.15
