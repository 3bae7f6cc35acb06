"""A station from its YAML: the estimator, its model and the region that are asked for are those that see the frames."""

import cv2
import numpy as np
import pytest
import yaml
from spot_finder import dots, one_per_band, spot_finder

from engine.config import load_station
from engine.errors import PoseError
from engine.opening import open_station
from engine.pose.track import PoseTrack
from engine.reference_building import Demonstration, reference_from_recordings
from engine.sources.rendered import StationParams, simulate
from engine.stages.pose import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_bundle):
    """A reference, an RTMPose model and pictures of somebody, all beside the YAML."""
    folder = tmp_path_factory.mktemp("station")
    truth = simulate(StationParams.random(1, cycles=1))
    track = PoseTrack(truth.joints, truth.times_s, "body13", (640, 480))
    reference_from_recordings([Demonstration(track)], tiny_bundle).save(folder / "my.ref")
    spot_finder(folder / "spots.onnx")
    (folder / "pictures").mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), dots(one_per_band()))
    return folder


def station(folder, bundle, **pose):
    settings = {"reference": "my.ref", "bundle": str(bundle.folder), "source": {"open": "pictures"}, "pose": pose}
    path = folder / "station.yaml"
    path.write_text(yaml.safe_dump({**settings, "bus": {"publish": None}, "store": {"url": "sqlite://"}}))
    return load_station(path)


def seen_by(config):
    poses = []
    with open_station(config, tap=lambda frame, pose: poses.append(pose)) as opened:
        opened.run()
    return np.stack(poses)


def test_a_station_follows_with_an_rtmpose_model_that_lies_beside_its_yaml(folder, tiny_bundle):
    poses = seen_by(station(folder, tiny_bundle, estimator="rtmpose-onnx", model="spots.onnx"))
    assert poses.shape == (3, 13, 3) and (poses[..., 2] > 0.5).sum(axis=1).min() >= 8


def test_a_polygon_says_where_the_operator_is(folder, tiny_bundle):
    rtmpose = {"estimator": "rtmpose-onnx", "model": "spots.onnx"}
    here, elsewhere = [[0, 0], [1, 0], [0.5, 1], [0, 1]], [[0.8, 0], [1, 0], [1, 0.5]]
    assert (seen_by(station(folder, tiny_bundle, region=here, **rtmpose))[..., 2] > 0).any()
    assert not (seen_by(station(folder, tiny_bundle, region=elsewhere, **rtmpose))[..., 2] > 0).any()


def test_the_pose_stage_of_a_split_station_loads_the_same_model(folder, tiny_bundle):
    prepare(station(folder, tiny_bundle, estimator="rtmpose-onnx", model="spots.onnx"))
    with pytest.raises(PoseError, match=r"found no file .*gone\.onnx\. Name it: --model FILE, or `pose\.model`"):
        prepare(station(folder, tiny_bundle, estimator="rtmpose-onnx", model="gone.onnx"))


def test_an_estimator_without_its_model_says_where_to_name_it(folder, tiny_bundle):
    with pytest.raises(
        PoseError, match=r"found no model\. Name it: --model FILE, or `pose\.model` in a station's YAML"
    ):
        seen_by(station(folder, tiny_bundle, estimator="rtmpose-onnx"))
