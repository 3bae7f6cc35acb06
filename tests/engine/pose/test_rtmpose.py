"""RTMPose's decoder and its following box, with a tiny model: every joint is the brightest spot of its part of the crop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spot_finder import dots, one_per_band, spot_finder

from engine.errors import PoseError
from engine.pose.opening import open_estimator
from engine.pose.rtmpose import crop_transform, decode_simcc


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    return open_estimator("rtmpose-onnx", model=spot_finder(tmp_path_factory.mktemp("model") / "spots.onnx"))


@pytest.fixture(autouse=True)
def fresh(estimator):
    estimator.reset()


def test_joints_come_back_where_they_are_in_the_picture(estimator):
    """One dot per band of the crop, which at first is the whole picture, padded."""
    positions = one_per_band()
    (pose,) = estimator.estimate(dots(positions))
    assert pose.shape == (17, 3) and estimator.layout == "coco17"
    for (x, y), (fx, fy, score) in zip(positions, pose, strict=True):
        if 5 < y < 475:
            assert abs(fx - x) < 6 and abs(fy - y) < 6 and score > 0.5


def test_a_dark_room_holds_nobody(estimator):
    assert estimator.estimate(np.zeros((480, 360, 3), np.uint8)) == []


@pytest.mark.parametrize("corrupt", [None, np.zeros((4, 4, 3), np.uint8), np.zeros((480, 360), np.uint8)])
def test_a_corrupt_frame_is_a_frame_without_a_person(estimator, corrupt):
    assert estimator.estimate(corrupt) == []


@given(st.floats(0, 300), st.floats(0, 300), st.floats(5, 300), st.floats(5, 300))
def test_the_crop_holds_the_whole_box_upright_and_unstretched(left, top, width, height):
    transform = crop_transform((left, top, left + width, top + height), (192, 256))
    corners = transform @ np.array([[left, left + width], [top, top + height], [1, 1]])
    assert (corners[:, 0] >= -1e-6).all() and (corners[:, 1] <= np.array([192, 256]) + 1e-6).all()
    assert transform[0, 0] == transform[1, 1] and transform[0, 1] == transform[1, 0] == 0


def test_simcc_is_read_as_mmpose_reads_it():
    x, y = np.zeros((2, 384)), np.zeros((2, 512))
    x[0, 100], y[0, 31] = 0.9, 0.6
    x[1, 383], y[1, 0] = 1.4, 1.2
    assert decode_simcc(x, y, (2.0, 2.0)).tolist() == [pytest.approx([50, 15.5, 0.6]), pytest.approx([191.5, 0, 1.0])]


def test_no_model_or_another_kind_of_model_is_one_clear_line(tmp_path):
    with pytest.raises(PoseError, match=r"the pose model is missing: expected an RTMPose \.onnx file, found no model"):
        open_estimator("rtmpose-onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(PoseError, match=r"text\.onnx is not an RTMPose model"):
        open_estimator("rtmpose-onnx", model=tmp_path / "text.onnx")
    with pytest.raises(PoseError, match="17, 26, 21 joints"):
        open_estimator("rtmpose-onnx", model=spot_finder(tmp_path / "five.onnx", joints=5))
