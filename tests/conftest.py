"""What many tests share: a tiny real bundle, and the folder of real recordings where there is one."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules that tests share, under pytest's importlib mode
from network_camera import PACKAGES, NetworkCamera, have_gstreamer
from properties import load_profile

load_profile()

DATA = Path(os.environ.get("LOCKSTEP_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A real bundle with a small untrained network: exported once, run by ONNX Runtime in whatever test needs one."""
    torch = pytest.importorskip("torch")
    from export.bundle import write_bundle
    from models.lockstep_net import LockstepNet, NetConfig

    torch.manual_seed(0)
    config = NetConfig(width=32, heads=2, spatial_depth=1, temporal_depth=2, window=8, embedding_dim=16, motion=(2,))
    return write_bundle(LockstepNet(config).eval(), tmp_path_factory.mktemp("bundle") / "tiny", name="tiny", crop={})


@pytest.fixture(scope="session")
def paper_bundle(tmp_path_factory):
    """The same for whole recordings: attention both ways, absolute positions, one box around the recording, as in LA2DS."""
    torch = pytest.importorskip("torch")
    from export.bundle import write_bundle
    from models.lockstep_net import LockstepNet, NetConfig

    torch.manual_seed(0)
    config = NetConfig(
        width=32, heads=2, spatial_depth=1, temporal_depth=1, window=8, embedding_dim=16, motion=(), temporal="full",
        positions="absolute", cross_attention_depth=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bundle") / "paper"
    return write_bundle(LockstepNet(config).eval(), folder, name="paper", crop={"policy": "recording"})


@pytest.fixture(scope="session")
def data_folder():
    """../shared/data or $LOCKSTEP_DATA; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real recordings at {DATA.name}/: set LOCKSTEP_DATA to their folder")
    return DATA


@pytest.fixture(scope="session")
def walk():
    """A body13 person (60, 13, 3) in pixels who waves and drifts through the picture, with joints that come and go."""
    rng = np.random.default_rng(3)
    body = [(0, -60), (-20, -40), (20, -40), (-35, -10), (35, -10), (-40, 20), (40, 20)]
    body += [(-12, 20), (12, 20), (-14, 60), (14, 60), (-15, 100), (15, 100)]
    ticks = np.arange(60, dtype=np.float32)
    poses = np.zeros((60, 13, 3), np.float32)
    poses[..., :2] = np.array(body) + np.stack([300 + ticks, 200 + 0 * ticks], -1)[:, None]
    poses[:, 3:7, 1] -= 30 * (1 + np.sin(ticks / 5))[:, None]
    poses[..., 2] = rng.random((60, 13)) > 0.1
    return poses


@pytest.fixture(scope="session")
def gstreamer():
    if not have_gstreamer():
        pytest.skip(f"no RTSP server: apt-get install {PACKAGES}")


@pytest.fixture
def network_camera(gstreamer):
    """Makes cameras on the network; all are gone after the test."""
    made = []

    def make(*account):
        made.append(NetworkCamera(*account))
        return made[-1]

    yield make
    for camera in made:
        camera.stop()
