"""Augmentation: pure, seeded, labels carried through, missing joints stay missing."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from models import skeleton
from training import augment
from training.augment import Augmentation, Limbs

LAYOUT = skeleton.layout("body13")


def walk(frames: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.ones((frames, 13, 3), np.float32)
    poses[..., :2] = rng.uniform(50, 200, (13, 2)) + np.arange(frames)[:, None, None] * rng.normal(0, 1, (13, 2))
    poses[:, 4] = 0.0  # one joint is never seen
    return poses


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(seed=st.integers(0, 10_000), frames=st.integers(8, 200))
@examples(40)
def test_a_stream_goes_forward_through_frames_that_exist(seed, frames):
    timing = augment.streamed(frames, 1.5, Augmentation(), 80, generator(seed))
    assert 1 <= len(timing) <= 80
    assert (np.diff(timing) >= 0).all()
    assert timing.min() >= 0
    assert timing.max() <= frames - 1


@given(seed=st.integers(0, 10_000))
@examples(20)
def test_paces_stay_within_their_range(seed):
    timing = augment.own_pace(0, 300, 1.0, 1 / 3, 3.0, 3, generator(seed))
    speeds = np.diff(timing)[:-1]
    assert speeds.min() > 1 / 3 - 0.05
    assert speeds.max() < 3 + 0.3


def test_a_pause_holds_one_moment_for_as_long_as_asked():
    timing = augment.paused(np.arange(10.0), 7, generator())
    assert len(timing) == 17
    assert np.unique(timing, return_counts=True)[1].max() == 8


def test_a_random_subset_is_sorted_and_taken_from_the_ticks():
    timing = augment.random_subset(np.arange(20.0), 0.5, generator())
    assert len(timing) == 10
    assert (np.diff(timing) > 0).all()


def test_poses_at_whole_frames_are_those_frames():
    poses = walk()
    np.testing.assert_allclose(augment.at_times(poses, np.array([0.0, 3.0, 39.0])), poses[[0, 3, 39]], atol=1e-4)


def test_a_joint_seen_in_one_neighbour_only_comes_from_the_nearer():
    poses = walk(2)
    poses[1, 0] = 0.0
    between = augment.at_times(poses, np.array([0.25, 0.75]))
    np.testing.assert_allclose(between[0, 0], poses[0, 0])
    assert between[1, 0, 2] == 0


def test_flipping_twice_gives_the_same_pose_and_once_exchanges_sides():
    poses = walk()
    np.testing.assert_allclose(augment.flipped(augment.flipped(poses, LAYOUT), LAYOUT), poses)
    left, right = LAYOUT.index("left_wrist"), LAYOUT.index("right_wrist")
    np.testing.assert_allclose(augment.flipped(poses, LAYOUT)[:, left, 0], -poses[:, right, 0])


def test_a_rotated_limb_keeps_its_lengths_and_leaves_the_rest_alone():
    poses = walk()
    root, joints = LAYOUT.index("left_hip"), [LAYOUT.index("left_knee"), LAYOUT.index("left_ankle")]
    turned = augment.rotated_limb(poses, root, joints, 0.3)
    for joint in joints:
        before = np.linalg.norm(poses[:, joint, :2] - poses[:, root, :2], axis=-1)
        np.testing.assert_allclose(
            np.linalg.norm(turned[:, joint, :2] - turned[:, root, :2], axis=-1), before, rtol=1e-4
        )
    others = [k for k in range(13) if k not in joints]
    np.testing.assert_array_equal(turned[:, others], poses[:, others])


def test_rolling_keeps_distances():
    poses = walk()
    rolled = augment.rolled(poses, math.radians(20))
    np.testing.assert_allclose(
        np.linalg.norm(rolled[:, 1, :2] - rolled[:, 7, :2], axis=-1),
        np.linalg.norm(poses[:, 1, :2] - poses[:, 7, :2], axis=-1),
        rtol=1e-4,
    )


def test_without_hides_the_joints_for_the_span_only():
    hidden = augment.without(walk(), [0, 1], slice(5, 10))
    assert (hidden[5:10, :2] == 0).all()
    assert (hidden[10:, :2, 2] == 1).all()


@given(seed=st.integers(0, 10_000))
@examples(40)
def test_every_look_is_finite_keeps_the_missing_missing_and_is_the_same_for_the_same_seed(seed):
    poses = walk()
    before = poses.copy()
    look = augment.augmented(poses, LAYOUT, Augmentation(), generator(seed), flip=False)
    np.testing.assert_array_equal(poses, before)
    assert look.shape == poses.shape
    assert look.dtype == np.float32
    assert np.isfinite(look).all()
    assert (look[:, 4] == 0).all()
    assert (look[look[..., 2] == 0] == 0).all()
    np.testing.assert_array_equal(look, augment.augmented(poses, LAYOUT, Augmentation(), generator(seed), flip=False))


def test_no_augmentation_changes_nothing():
    poses = walk()
    np.testing.assert_allclose(augment.augmented(poses, LAYOUT, augment.NONE, generator()), poses, atol=1e-4)
    np.testing.assert_allclose(augment.jittered_crop(poses, 30, 0.0, 0.0, generator()), poses, atol=1e-4)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Augmentation) if f.name.endswith("_p")])
def test_every_probability_can_be_one(field):
    how = dataclasses.replace(Augmentation(), **{field: 1.0})
    timing = augment.streamed(60, 1.5, how, 80, generator())
    look = augment.augmented(augment.at_times(walk(60), timing), LAYOUT, how, generator())
    assert np.isfinite(look).all()


@pytest.mark.parametrize("layout", ["body13", "coco17", "mediapipe33", "hand21", "hands42"])
def test_limbs_of_a_layout_name_joints_it_has(layout):
    limbs = Limbs.of(skeleton.layout(layout))
    assert limbs.arms
    for root, joints in limbs.arms + limbs.legs:
        assert root not in joints
        assert max(root, *joints) < skeleton.layout(layout).size
