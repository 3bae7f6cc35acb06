"""MediaPipe behind the protocol, on pictures of a rendered worker: where the joints are, and what is no picture at all."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import PoseError
from engine.pose.mediapipe import _both_hands, open_body, open_hands
from engine.pose.opening import open_estimator
from engine.sources.rendered import RenderedStation, StationParams
from models import skeleton

ARMS = [
    skeleton.layout("body13").index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "elbow")
]


@pytest.fixture(scope="module")
def stream():
    """The first second of a rendered station."""
    frames = []
    for frame in RenderedStation(StationParams.random(3, cycles=1)):
        frames.append(frame)
        if len(frames) == 30:
            return frames
    return frames


@pytest.fixture(scope="module")
def body():
    estimator = open_estimator("mediapipe")
    yield estimator
    estimator.close()


@pytest.fixture(autouse=True)
def fresh(body):
    body.reset()


def followed(estimator, frames):
    return [estimator.estimate(frame.image) for frame in frames]


def test_a_rendered_worker_is_found_where_they_are_drawn(body, stream):
    errors = []
    for frame, poses in zip(stream, followed(body, stream), strict=True):
        assert len(poses) == 1 and poses[0].shape == (33, 3) and poses[0].dtype == np.float32
        found = skeleton.convert(poses[0], body.layout, "body13")
        errors.append(np.linalg.norm(found[ARMS, :2] - frame.truth.joints[ARMS, :2], axis=1))
        assert (found[ARMS, 2] > 0.5).all() and (found[:, 2] <= 1).all()
    width = np.linalg.norm(stream[0].truth.joints[1, :2] - stream[0].truth.joints[2, :2])
    assert np.median(errors) < 0.2 * width


def test_an_empty_room_holds_nobody(body):
    assert body.estimate(np.full((480, 640, 3), 127, np.uint8)) == []


@pytest.mark.parametrize(
    "corrupt",
    [
        None,
        "not a picture",
        np.zeros((480, 640), np.uint8),
        np.zeros((480, 640, 4), np.uint8),
        np.zeros((480, 640, 3), np.float32),
        np.zeros((0, 640, 3), np.uint8),
        np.zeros((480, 0, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((16, 5000, 3), np.uint8),
    ],
    ids=lambda value: str(getattr(value, "shape", value)),
)
def test_a_corrupt_frame_is_a_frame_without_a_person_and_the_next_one_is_fine(body, stream, corrupt):
    assert body.estimate(corrupt) == []
    assert len(followed(body, stream[:3])[-1]) == 1


def test_a_picture_that_is_not_contiguous_is_read_all_the_same(body, stream):
    mirrored_twice = cv2.flip(stream[0].image, 1)[:, ::-1]
    assert len(body.estimate(mirrored_twice)) == 1


def test_after_a_reset_the_same_stream_gives_the_same_poses(body, stream):
    once = followed(body, stream[:10])
    body.reset()
    again = followed(body, stream[:10])
    np.testing.assert_allclose(np.stack([p[0] for p in once]), np.stack([p[0] for p in again]), atol=1e-3)


def test_mediapipe_keeps_its_chatter_to_itself(stream, capfd):
    estimator = open_body()
    followed(estimator, stream[:3])
    estimator.reset()
    followed(estimator, stream[:3])
    estimator.close()
    assert capfd.readouterr() == ("", "")


def test_hands_have_their_own_layout_and_survive_a_corrupt_frame(stream):
    hands = open_estimator("mediapipe-hands")
    assert hands.layout == "hands42"
    assert hands.estimate(None) == []
    assert hands.estimate(np.zeros((480, 640, 3), np.uint8)) == []
    for poses in followed(hands, stream[:5]):
        assert all(pose.shape == (42, 3) for pose in poses)
    hands.close()


class Mark:
    def __init__(self, x, y):
        self.x, self.y = x, y


def hand(x):
    return [Mark(x, 0.5)] * 21


def test_hands_go_to_their_sides_and_a_missing_one_is_not_seen():
    (both,) = _both_hands([(False, 0.9, hand(0.2)), (True, 0.8, hand(0.7))])
    assert both[:21, 0] == pytest.approx(0.7) and both[21:, 0] == pytest.approx(0.2)
    assert both[:21, 2] == pytest.approx(0.8) and both[21:, 2] == pytest.approx(0.9)
    (one,) = _both_hands([(False, 0.9, hand(0.2))])
    assert (one[:21] == 0).all() and (one[21:, 2] > 0).all()
    assert _both_hands([]) == []


def test_of_two_hands_that_claim_one_side_the_surer_keeps_it():
    (both,) = _both_hands([(True, 0.6, hand(0.2)), (True, 0.9, hand(0.7))])
    assert both[:21, 0] == pytest.approx(0.7) and both[21:, 0] == pytest.approx(0.2)


def test_the_hands_of_a_person_facing_the_camera_are_not_mirrored(data_folder):
    video = cv2.VideoCapture(str(data_folder / "clips" / "pushup_a.mp4"))
    hands, seen = open_hands(), []
    for _ in range(40):
        read, image = video.read()
        if not read:
            pytest.skip("no clip pushup_a.mp4")
        seen.extend(hands.estimate(image))
    hands.close()
    both = [pose for pose in seen if pose[0, 2] > 0 and pose[21, 2] > 0]
    assert len(both) > 20
    assert np.mean([pose[0, 0] > pose[21, 0] for pose in both]) > 0.9  # their left hand is on the picture's right


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    """The packaged models as a `.task` file, as users of later releases have one."""
    import mediapipe
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter

    modules = Path(mediapipe.__file__).parent / "modules"
    parts = {
        "pose_detector.tflite": ("pose_detection/pose_detection.tflite", [127.5], [127.5]),
        "pose_landmarks_detector.tflite": ("pose_landmark/pose_landmark_full.tflite", [0.0], [255.0]),
    }
    path = tmp_path_factory.mktemp("task") / "pose.task"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, (model, mean, deviation) in parts.items():
            writer = MetadataWriter.create(bytearray((modules / model).read_bytes()))
            writer.add_image_input(mean, deviation)
            archive.writestr(name, bytes(writer.populate()[0]))
    return path


def test_a_model_file_of_the_users_runs_through_the_tasks_api(task_file, body, stream):
    tasks = open_estimator("mediapipe", model=task_file)
    by_tasks, packaged = followed(tasks, stream), followed(body, stream)
    assert all(len(poses) == 1 for poses in by_tasks)
    a, b = (skeleton.convert(poses[-1][0], "mediapipe33", "body13")[ARMS, :2] for poses in (by_tasks, packaged))
    assert np.linalg.norm(a - b, axis=1).max() < 15
    assert tasks.estimate(None) == []
    tasks.close()


def test_a_missing_model_or_estimator_is_one_clear_line(tmp_path):
    with pytest.raises(PoseError, match=r"pose model is missing: expected a MediaPipe \.task file, found no file"):
        open_estimator("mediapipe", model=tmp_path / "none.task")
    with pytest.raises(PoseError, match=r"unknown pose estimator: expected mediapipe, .*found 'openpose'"):
        open_estimator("openpose")
    with pytest.raises(PoseError, match="takes poses from the source"):
        open_estimator("recorded")


def test_a_file_that_is_no_model_is_one_clear_line(tmp_path):
    path = tmp_path / "broken.task"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(PoseError, match="MediaPipe does not start: found"):
        open_estimator("mediapipe", model=path)


def test_a_release_without_models_says_what_to_do(monkeypatch):
    import mediapipe

    monkeypatch.delattr(mediapipe, "solutions")
    with pytest.raises(PoseError, match=r"carries no models: expected a pose landmarker \.task file"):
        open_estimator("mediapipe")


def test_a_machine_without_mediapipe_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(PoseError, match=r"cannot be imported: .*pip install"):
        open_estimator("mediapipe")
