"""Layouts are consistent data: flips undo themselves, limbs name joints, conversions keep what both sides know."""

import numpy as np
import pytest

from models import skeleton


@pytest.mark.parametrize("layout", skeleton.LAYOUTS.values(), ids=lambda layout: layout.name)
def test_flipping_twice_is_the_identity_and_limbs_are_joints(layout):
    flip = np.array(layout.flip)
    assert (flip[flip] == np.arange(layout.size)).all()
    assert all(0 <= a < layout.size and 0 <= b < layout.size and a != b for a, b in layout.limbs)
    assert len(set(layout.joints)) == layout.size


@pytest.mark.parametrize("layout", [name for name in skeleton.LAYOUTS if name not in ("hand21", "hands42")])
def test_every_body_layout_gives_a_whole_body13(layout):
    assert all(skeleton.conversion(layout, "body13"))
    poses = np.random.default_rng(0).uniform(0, 1, (5, skeleton.layout(layout).size, 3)).astype(np.float32)
    body = skeleton.convert(poses, layout, "body13")
    left_wrist = skeleton.layout(layout).index("left_wrist")
    assert np.allclose(body[:, skeleton.layout("body13").index("left_wrist")], poses[:, left_wrist])


def test_a_joint_averaged_from_two_is_as_sure_as_the_less_sure_of_them():
    pose = skeleton.layout("coco17").empty()
    pose[3], pose[4] = (10, 20, 0.9), (30, 20, 0.4)
    head = skeleton.convert(pose, "coco17", "body13")[0]
    assert np.allclose(head, (20, 20, 0.4))


def test_unrelated_layouts_and_wrong_shapes_are_refused_with_the_reason():
    with pytest.raises(KeyError, match="cannot convert hand21 to body13: they share 0 of 13 joints"):
        skeleton.convert(np.zeros((21, 3)), "hand21", "body13")
    with pytest.raises(KeyError, match="they share 2 of 13 joints"):
        skeleton.convert(np.zeros((42, 3)), "hands42", "body13")
    with pytest.raises(KeyError, match="known: body13"):
        skeleton.layout("body14")
    with pytest.raises(ValueError, match="expected poses"):
        skeleton.convert(np.zeros((13, 3)), "coco17", "body13")


def test_cleaning_makes_non_finite_joints_unseen_and_clips_confidence():
    pose = np.array([[np.nan, 1, 1], [1, 2, np.inf], [3, 4, 7], [5, 6, -1]], np.float32)
    assert skeleton.clean(pose).tolist() == [[0, 0, 0], [0, 0, 0], [3, 4, 1], [5, 6, 0]]
