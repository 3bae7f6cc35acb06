"""Facing: somebody seen from behind is not at work, however much their joints resemble a moment of it."""

import numpy as np
import pytest
from streams import BUNDLE, RATE_HZ, procedure, reference, seen

from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.facing import AGREED_S, Facing
from engine.matching.hmm import SwitchingMatcher

DT_S = 1 / RATE_HZ
LEFT, RIGHT = 1, 2
"""Shoulders in body13."""


def pose(turn_deg: float, seen: float = 1.0, width: float = 80.0) -> np.ndarray:
    """body13 of somebody whose body is turned by so much; their left is on the picture's right at 0."""
    out = np.zeros((13, 3), np.float32)
    out[:, 2] = seen
    half = 0.5 * width * np.cos(np.radians(turn_deg))
    out[LEFT, 0], out[RIGHT, 0] = 300 + half, 300 - half
    return out


def shown(turns_deg):
    """A reference whose worker is turned like this over time."""
    work = procedure(1)
    turns = np.interp(np.linspace(0, 1, len(work)), np.linspace(0, 1, len(turns_deg)), turns_deg)
    demo = EmbeddedDemo("demo", work, np.stack([pose(turn) for turn in turns]))
    return build_reference([demo], None, BUNDLE)


def followed(facing: Facing, turns_deg, at_work: bool = True) -> list[bool]:
    return [facing.turned(pose(turn), DT_S, at_work) for turn in turns_deg]


def turning(to_deg: float, seconds: float = 0.8) -> list[float]:
    return np.linspace(0, to_deg, round(seconds * RATE_HZ)).tolist()


def test_whoever_turns_their_back_is_turned_and_whoever_works_is_not():
    facing = Facing(shown([0, 20, -10]))
    assert not any(followed(facing, [0, 10, 25, -20, 0] * 20))
    told = followed(facing, [*turning(180), *[180] * 20])
    assert all(told[-20:]) and not any(told[:4])
    assert not any(followed(facing, [*turning(180)[::-1], *[0] * 20])[-20:])


def test_an_estimator_that_mixes_left_and_right_up_turns_nobody_round():
    facing = Facing(shown([0, 20]))
    followed(facing, [0] * 40)
    assert not any(followed(facing, [180] * 5 + [0] * 10 + [180] * 30))


def test_left_and_right_mixed_up_in_the_demonstration_do_not_make_it_work_from_all_sides():
    work = procedure(1)
    mixed_up = (np.arange(len(work)) // 10) % 6 == 3
    demo = EmbeddedDemo("demo", work, np.stack([pose(180 if wrong else 0) for wrong in mixed_up]))
    facing = Facing(build_reference([demo], None, BUNDLE))
    followed(facing, [0] * 40)
    assert all(followed(facing, [*turning(180), *[180] * 20])[-20:])


def test_work_that_is_shown_from_all_sides_gives_no_cue():
    facing = Facing(shown([0, 90, 180, 90, 0]))
    followed(facing, [0] * 40)
    assert not any(followed(facing, [*turning(180), *[180] * 20]))


def test_somebody_never_seen_facing_like_the_reference_is_judged_by_likeness_alone():
    """A camera on the other side, from the start."""
    facing = Facing(shown([0, 10]))
    assert not any(followed(facing, [180] * 200))
    assert not any(
        followed(Facing(shown([0, 10])), [*[0] * round(0.5 * AGREED_S * RATE_HZ), *turning(180), *[180] * 20])
    )


@pytest.mark.parametrize("nothing", [None, pose(180, seen=0.0), np.zeros((13, 3), np.float32)])
def test_shoulders_that_are_not_seen_say_nothing(nothing):
    facing = Facing(shown([0, 10]))
    followed(facing, [*[0] * 40, *turning(180)])
    assert facing.turned(nothing, DT_S, True) is False


def test_a_reference_without_poses_gives_no_cue():
    facing = Facing(reference(procedure(1)))
    followed(facing, [0] * 40)
    assert not any(followed(facing, [*turning(180), *[180] * 20]))


def test_the_back_of_somebody_is_off_task_even_where_it_resembles_the_work():
    """The embeddings go on as if work went on; only the shoulders say that the operator has turned away."""
    ref = shown([0, 15])
    embeddings = seen(ref.mean, range(160), 3)
    turns = [*[0] * 80, *turning(180), *[180] * (80 - len(turning(180)))]
    with_poses, without = SwitchingMatcher(ref), SwitchingMatcher(ref)
    poses = [pose(turn) for turn in turns]
    for t, at_work in enumerate(poses):
        at_work[5, 0] = 300 + 150 * np.sin(t / 4)  # a hand that works
    told = [with_poses.step(e, DT_S, p).status for e, p in zip(embeddings, poses, strict=True)]
    assert all(status == "on_task" for status in told[30:80])
    assert all(status in ("off_task", "idle") for status in told[110:])
    untold = [without.step(e, DT_S).status for e in embeddings]
    assert untold[30:].count("on_task") > 0.9 * len(untold[30:])
