"""Augmentation: pure, seeded, labels carried through, missing joints stay missing."""

import dataclasses
import itertools
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
    timing = augment.streamed(frames, 30, 20, Augmentation(), 80, generator(seed))
    assert 1 <= len(timing) <= 80
    assert (np.diff(timing) >= 0).all()
    assert timing.min() >= 0
    assert timing.max() <= frames - 1


@given(seed=st.integers(0, 2**32), pieces=st.integers(1, 4), frames=st.integers(2, 400))
def test_each_piece_runs_at_a_speed_of_its_own_within_the_range_but_for_what_whole_ticks_cost(seed, pieces, frames):
    """A piece takes whole ticks, at least one: one of n ticks is off by half a tick in n, the rest of less than one by more."""
    timing = augment.own_pace(0, frames, 1.0, 1 / 3, 3.0, pieces, generator(seed))
    assert timing[0] == 0 and timing[-1] == frames
    runs = [(speed, len(list(ticks))) for speed, ticks in itertools.groupby(np.diff(timing).round(6))]
    assert len({speed for speed, _ in runs}) <= 2 * pieces  # rounding may show one speed as two
    for speed, ticks in runs:
        assert 0 < speed < 3 * (1 + 0.5 / ticks) + 1e-5
        assert ticks == 1 or speed > (1 - 0.5 / ticks) / 3 - 1e-5


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


def timed(seed: int = 0, recorded_hz: float = 30, **changes: object) -> np.ndarray:
    """Two seconds in ticks at 20 Hz, with one part of the augmentation on."""
    how = dataclasses.replace(augment.NONE, **changes)
    return augment.streamed(round(2 * recorded_hz), recorded_hz, 20, how, 400, generator(seed))


def longest_hold(timing: np.ndarray) -> int:
    """Ticks that the longest pause adds."""
    return int(np.unique(timing, return_counts=True)[1].max()) - 1


@given(seed=st.integers(0, 10_000))
def test_a_recording_may_lack_its_beginning_but_no_more_of_it_than_asked(seed):
    timing = timed(seed, cut_p=1.0, cut_up_to=0.4)
    assert 0 < timing[0] <= 0.4 * 59


def test_a_subset_of_the_ticks_skips_some_in_the_middle():
    subset, whole = timed(subset_p=1.0), timed()
    assert len(subset) < len(whole) and set(subset) < set(whole)
    assert np.diff(subset).max() > 1.5 * np.diff(whole).max()


@pytest.mark.parametrize("recorded_hz", [25, 30, 60])
def test_a_pause_lasts_as_long_at_any_frame_rate(recorded_hz):
    assert longest_hold(timed(recorded_hz=recorded_hz)) == 0
    assert longest_hold(timed(recorded_hz=recorded_hz, pause_p=1.0, pause_s=(1.0, 1.0))) == 20
    waiting = timed(recorded_hz=recorded_hz, idle_p=1.0, pause_s=(1.0, 1.0))
    assert (waiting[:21] == 0).all() and waiting[21] > 0


def test_who_is_twice_as_fast_takes_half_as_many_ticks():
    assert len(timed(slowest=2.0, fastest=2.0)) == len(timed()) // 2 + 1


def looks(changes: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Ten looks of a walk with one part of the augmentation on: how far it moved joints that are seen (10, T, K, 2), and their confidence."""
    poses = walk()
    how = dataclasses.replace(augment.NONE, **changes)
    made = np.stack([augment.augmented(poses, LAYOUT, how, generator(seed)) for seed in range(10)])
    return np.where(made[..., 2:] > 0, made[..., :2] - poses[..., :2], 0.0), made[..., 2]


SEEN = walk()[..., 2]


@pytest.mark.parametrize(
    "changes",
    [{"noise_p": 1.0}, {"rotate_p": 2.0}, {"flip_p": 1.0}, {"roll": 0.12}, {"stretch": 0.08}],
    ids=lambda changes: next(iter(changes)),
)
def test_parts_that_move_joints_move_them_in_every_look_and_leave_confidence_alone(changes):
    moved, confidence = looks(changes)
    assert (np.abs(moved).max(axis=(1, 2, 3)) > 0.1).all()
    assert (np.sort(confidence) == np.sort(SEEN)).all()  # mirrored, it goes with the joints


@pytest.mark.parametrize("part", ["drop_joint_p", "drop_limb_p", "hide_legs_p", "occlusion_p", "faint_p"])
def test_parts_that_hide_joints_lower_confidence_in_every_look_and_leave_positions_alone(part):
    moved, confidence = looks({part: 2.0 if part == "drop_limb_p" else 1.0})
    np.testing.assert_allclose(moved, 0, atol=1e-4)
    assert (confidence <= SEEN).all()
    assert (confidence < SEEN).any(axis=(1, 2)).all()


def test_confidence_wavers_from_tick_to_tick_but_nobody_vanishes():
    _, confidence = looks({"faint_p": 1.0})
    seen = confidence[:, :, SEEN[0] > 0]
    assert seen.min() > 0 and (seen.std(axis=1) > 0.01).all()


def test_noise_is_of_its_own_at_each_joint_and_tick_and_as_large_as_asked():
    moved, _ = looks({"noise_p": 1.0, "noise": 0.03})
    strength = moved[:, :, SEEN[0] > 0].std(axis=(1, 2, 3)) / augment.body_length(walk())
    assert 0.015 < strength.max() < 0.031
    assert np.abs(np.corrcoef(moved[0, :, 0, 0], moved[0, :, 1, 0])[0, 1]) < 0.5


def test_a_stretched_picture_is_higher_or_lower_and_as_wide_as_before():
    moved, _ = looks({"stretch": 0.08})
    np.testing.assert_allclose(moved[..., 0], 0, atol=1e-3)
    share = moved[..., 1][:, SEEN > 0] / walk()[..., 1][SEEN > 0]
    np.testing.assert_allclose(share, share[:, :1] + 0 * share, atol=1e-4)
    assert (share > 0.01).any() and (share < -0.01).any()


def test_a_crop_is_beside_and_bigger_or_smaller_by_the_same_throughout():
    poses = walk()
    moved = augment.jittered_crop(poses, 30, 0.05, 0.1, generator())
    span, before = np.ptp(moved[:, :4, 0], axis=1), np.ptp(poses[:, :4, 0], axis=1)
    assert abs(span[0] / before[0] - 1) > 0.001
    np.testing.assert_allclose(span / before, span[0] / before[0], rtol=1e-4)
    assert not np.allclose(augment.jittered_crop(poses, 30, 0.05, 0.0, generator()), poses)


def test_no_augmentation_changes_nothing():
    poses = walk()
    np.testing.assert_allclose(augment.augmented(poses, LAYOUT, augment.NONE, generator()), poses, atol=1e-4)
    np.testing.assert_allclose(augment.jittered_crop(poses, 30, 0.0, 0.0, generator()), poses, atol=1e-4)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Augmentation) if f.name.endswith("_p")])
def test_every_probability_can_be_one(field):
    how = dataclasses.replace(Augmentation(), **{field: 1.0})
    timing = augment.streamed(60, 30, 20, how, 80, generator())
    look = augment.augmented(augment.at_times(walk(60), timing), LAYOUT, how, generator())
    assert np.isfinite(look).all()


@pytest.mark.parametrize("layout", ["body13", "coco17", "mediapipe33", "hand21", "hands42"])
def test_limbs_of_a_layout_name_joints_it_has(layout):
    limbs = Limbs.of(skeleton.layout(layout))
    assert limbs.arms
    for root, joints in limbs.arms + limbs.legs:
        assert root not in joints
        assert max(root, *joints) < skeleton.layout(layout).size


@pytest.mark.parametrize("name", skeleton.LAYOUTS)
def test_a_turned_limb_takes_along_what_hangs_on_it_so_no_bone_changes_its_length(name):
    layout = skeleton.layout(name)
    limbs = Limbs.of(layout)
    pose = np.ones((1, layout.size, 3), np.float32)
    pose[..., :2] = generator().uniform(0, 200, (layout.size, 2))

    def lengths(poses: np.ndarray) -> list[float]:
        return [float(np.linalg.norm(poses[0, a, :2] - poses[0, b, :2])) for a, b in layout.limbs]

    for root, joints in limbs.arms + limbs.legs:
        turned = augment.rotated_limb(pose, root, joints, 0.5)
        np.testing.assert_allclose(lengths(turned), lengths(pose), rtol=1e-4)
        assert not np.array_equal(turned, pose)


def test_toes_belong_to_a_leg_though_no_bone_is_drawn_to_them():
    layout = skeleton.layout("halpe26")
    _, left = Limbs.of(layout).legs[0]
    assert {layout.joints[k] for k in left} == {
        f"left_{part}" for part in ("knee", "ankle", "heel", "big_toe", "small_toe")
    }
