"""From a frame to the operator's pose in the layout that is wanted, whatever the frame is."""

import numpy as np
import pytest

from engine.errors import PoseError
from engine.pose.locating import Locator, open_locator
from engine.pose.selection import region
from engine.pose.track import PoseTrack
from engine.sources.base import Frame
from engine.sources.opening import open_source


class Scripted:
    """An estimator that says what it was told to."""

    layout = "coco17"

    def __init__(self, people):
        self.people = people

    def estimate(self, image):
        return self.people

    def reset(self): ...

    def close(self): ...


def coco(x):
    pose = np.ones((17, 3), np.float32)
    pose[:, 0] = np.linspace(x - 30, x + 30, 17)
    pose[:, 1] = np.linspace(50, 250, 17)
    return pose


def frame(time_s=0.0, image=True, pose=None):
    return Frame(0, time_s, np.zeros((480, 640, 3), np.uint8) if image else None, pose)


def test_the_operator_is_chosen_and_converted():
    locate = Locator(Scripted([coco(100), coco(500)]), layout="body13", area=region([0.5, 0, 1, 1]))
    pose = locate(frame())
    assert pose.shape == (13, 3) and pose.dtype == np.float32
    assert pose[:, 0].mean() == pytest.approx(500, abs=15)


def test_nobody_is_an_explicit_empty_pose():
    locate = Locator(Scripted([]), layout="body13")
    assert (locate(frame()) == 0).all() and locate(frame()).shape == (13, 3)


def test_a_frame_that_could_not_be_decoded_shows_nobody():
    assert (Locator(Scripted([coco(100)]), layout="body13")(frame(image=False)) == 0).all()


def test_recorded_poses_are_taken_from_the_frame():
    locate = Locator(None, "coco17", "body13")
    assert locate(frame(image=False, pose=coco(100)))[1, 2] == 1
    assert (locate(frame(image=False, pose=None)) == 0).all()
    assert (locate(frame(image=False, pose=np.zeros((5, 3), np.float32))) == 0).all()


def test_joints_that_are_not_numbers_are_joints_not_seen():
    broken = coco(100)
    broken[5] = np.nan
    pose = Locator(None, "coco17", "body13")(frame(image=False, pose=broken))
    assert np.isfinite(pose).all() and pose[1, 2] == 0 and pose[2, 2] == 1


def test_poses_of_another_kind_are_refused_in_one_line():
    with pytest.raises(PoseError, match="do not fit the model: expected poses that convert to hand21, found body13"):
        Locator(None, "body13", "hand21")
    with pytest.raises(PoseError, match=r"found hands42 .* share 2 of 13 joints.* bundle of your own for this layout"):
        Locator(None, "hands42", "body13")


def test_a_source_of_poses_needs_no_estimator(tmp_path):
    PoseTrack(np.stack([coco(100)] * 3), np.arange(3) / 30, "coco17", (640, 480)).save(tmp_path / "a.npz")
    source = open_source(str(tmp_path / "a.npz"))
    locate = open_locator(source, "no such estimator", layout="body13")
    assert [locate(f)[1, 2] for f in source] == [1, 1, 1]
