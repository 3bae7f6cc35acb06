"""Crops: the same view of a person wherever they stand and however big they appear."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from models import skeleton
from models.causal_crop import CausalCrop
from models.crop import crop_sequence

LAYOUTS = ["body13", "coco17", "halpe26", "openpose25", "mediapipe33", "hand21", "hands42"]


def moving_person(layout: str = "body13", ticks: int = 80, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    joints = skeleton.layout(layout).size
    rest = rng.uniform(100, 300, (joints, 2))
    swing = rng.normal(0, 15, (joints, 2))
    phase = np.sin(np.arange(ticks) / 7)[:, None, None]
    poses = np.ones((ticks, joints, 3), np.float32)
    poses[..., :2] = rest + swing * phase
    return poses


@pytest.mark.parametrize("layout", LAYOUTS)
@given(scale=st.floats(0.2, 5), dx=st.floats(-1000, 1000), dy=st.floats(-1000, 1000))
@examples(15)
def test_moving_or_scaling_the_person_changes_nothing(layout, scale, dx, dy):
    poses = moving_person(layout, ticks=30)
    moved = poses.copy()
    moved[..., :2] = poses[..., :2] * scale + (dx, dy)
    np.testing.assert_allclose(crop_sequence(moved, layout), crop_sequence(poses, layout), atol=2e-3)


def test_aspect_ratio_is_kept():
    poses = moving_person()
    cropped = crop_sequence(poses, "body13")[40]
    ratio = np.ptp(cropped[:, 0]) / np.ptp(poses[40, :, 0]), np.ptp(cropped[:, 1]) / np.ptp(poses[40, :, 1])
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-4)


def test_future_poses_do_not_alter_past_crops():
    poses = moving_person()
    changed = poses.copy()
    changed[50:] += 40
    np.testing.assert_array_equal(crop_sequence(poses, "body13")[:50], crop_sequence(changed, "body13")[:50])


def test_stepping_on_from_a_saved_state_is_the_same():
    poses = moving_person()
    whole = crop_sequence(poses, "body13")
    first, second = CausalCrop("body13"), CausalCrop("body13")
    for pose in poses[:33]:
        first.step(pose)
    second.restore(first.state())
    np.testing.assert_array_equal([second.step(pose) for pose in poses[33:]], whole[33:])


def test_hips_that_disappear_move_nothing():
    poses = np.repeat(moving_person(ticks=1), 60, axis=0)
    hidden = poses.copy()
    hips_down = slice(skeleton.layout("body13").index("left_hip"), None)
    hidden[20:40, hips_down, 2] = 0
    seen, part = crop_sequence(poses, "body13"), crop_sequence(hidden, "body13")
    np.testing.assert_allclose(part[:, :7], seen[:, :7], atol=0.05 * 30)  # within the fall of the length, a pixel or so
    assert np.abs(np.diff(part[:, :7], axis=0)).max() < 0.5


def test_hips_never_seen_still_gives_a_crop_of_the_shoulders():
    poses = moving_person()
    poses[:, 7:, 2] = 0
    cropped = crop_sequence(poses, "body13")
    assert (cropped[:, 7:] == 0).all()
    assert (cropped[:, 1:3, 2] == 1).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@given(seed=st.integers(0, 10_000))
@examples(15)
def test_nothing_that_comes_in_makes_it_give_nan_and_missing_stays_missing(layout, seed):
    rng = np.random.default_rng(seed)
    poses = moving_person(layout, ticks=20, seed=seed)
    poses[rng.random(poses.shape) < 0.2] = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e30])
    cropped = crop_sequence(poses, layout)
    assert np.isfinite(cropped).all()
    missing = ~np.isfinite(poses).all(axis=-1) | (poses[..., 2] <= 0)
    assert (cropped[missing] == 0).all()


def test_the_first_tick_is_as_good_as_a_later_one():
    still = np.repeat(moving_person(ticks=1), 50, axis=0)
    cropped = crop_sequence(still, "body13")
    np.testing.assert_allclose(cropped[0], cropped[-1], atol=1e-4)


def test_after_a_long_absence_it_starts_anew():
    here, elsewhere = moving_person(ticks=40), moving_person(ticks=40) * (2, 2, 1) + (500, 300, 0)
    gone = np.zeros((80, 13, 3), np.float32)
    cropped = crop_sequence(np.concatenate([here, gone, elsewhere]), "body13")
    np.testing.assert_allclose(cropped[-40:], crop_sequence(elsewhere, "body13"), atol=1e-3)


def test_a_pose_of_another_layout_is_refused():
    with pytest.raises(ValueError, match="expected a pose"):
        CausalCrop("body13").step(np.zeros((17, 3)))


def test_a_person_of_whom_a_shoulder_and_an_arm_is_all_there_is_gets_a_crop_too():
    pose = np.zeros((13, 3), np.float32)
    for joint, place in {1: (100, 100), 3: (120, 160), 5: (160, 200)}.items():
        pose[joint] = (*place, 1.0)
    cropped = CausalCrop("body13").step(pose)
    seen = cropped[cropped[:, 2] > 0]
    assert len(seen) == 3
    assert ((seen[:, :2] > 0) & (seen[:, :2] < 29)).all()


@given(scale=st.floats(0.2, 5), dx=st.floats(-1000, 1000), dy=st.floats(-1000, 1000))
@examples(15)
def test_the_box_of_a_recording_holds_every_joint_and_moves_with_the_picture(scale, dx, dy):
    poses = moving_person()
    moved = poses.copy()
    moved[..., :2] = poses[..., :2] * scale + (dx, dy)
    cropped = crop_sequence(moved, "body13", policy="recording", grid=30)
    np.testing.assert_allclose(cropped, crop_sequence(poses, "body13", policy="recording", grid=30), atol=2e-3)
    low, high = cropped[..., :2].min(axis=(0, 1)), cropped[..., :2].max(axis=(0, 1))
    assert (low.min(), high.max()) == pytest.approx((0, 29), abs=1e-2)  # the longer side fills it
    np.testing.assert_allclose((low + high) / 2, 14.5, atol=1e-2)


def test_the_box_of_a_recording_keeps_how_the_body_moves_through_the_picture():
    poses = np.repeat(moving_person(ticks=1), 40, axis=0)
    poses[..., 0] += 5.0 * np.arange(40)[:, None]
    middle = crop_sequence(poses, "body13", policy="recording")[..., 0].mean(axis=1)
    assert (np.diff(middle) > 0.1).all()


def test_joints_that_are_not_seen_do_not_widen_the_box_of_a_recording():
    poses = moving_person()
    hidden = poses.copy()
    hidden[10:20, 0] = (9000.0, -9000.0, 0.0)
    hidden[30, 4] = np.nan
    cropped = crop_sequence(hidden, "body13", policy="recording")
    seen = hidden[..., 2] > 0
    np.testing.assert_allclose(cropped[seen], crop_sequence(poses, "body13", policy="recording")[seen], atol=0.5)
    assert not cropped[~seen].any() and not cropped[30, 4].any()


def test_a_recording_without_anybody_is_cropped_to_nothing():
    assert not crop_sequence(np.zeros((5, 13, 3)), "body13", policy="recording").any()


def test_a_crop_policy_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="causal or recording, found 'person'"):
        crop_sequence(np.zeros((5, 13, 3)), "body13", policy="person")
