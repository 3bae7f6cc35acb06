"""Step by step equals all at once, on random streams of at least three windows: with resets, and with joints that are missing (hypothesis)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine.bundle import open_bundle
from engine.embedder.embedder import StationEmbedder
from engine.embedder.native.runtime import NativeRuntime
from engine.embedder.onnxruntime import OnnxRuntime
from engine.embedder.pytorch import TorchRuntime, load_net
from engine.embedder.whole import WholeRecordings
from models.crop import crop_sequence

SEEDS = st.integers(0, 10_000)
MISSING = st.floats(0.0, 0.9)


def somebody(ticks: int, missing: float, seed: int) -> np.ndarray:
    """body13 (ticks, 13, 3) who wanders through the picture, each joint missing for runs of ticks; for some, all are."""
    rng = np.random.default_rng(seed)
    poses = np.ones((ticks, 13, 3), np.float32)
    joints = rng.uniform(-100, 100, (13, 2)) + np.cumsum(rng.normal(0, 4, (ticks, 13, 2)), axis=0)
    poses[..., :2] = rng.uniform(150, 450, 2) + joints
    gone = np.repeat(rng.random((-(-ticks // 7), 13)) < missing, 7, axis=0)[:ticks]
    gone[np.repeat(rng.random(-(-ticks // 7)) < missing / 4, 7)[:ticks]] = True
    poses[gone] = np.where(rng.random((gone.sum(), 1)) < 0.5, 0.0, np.nan)
    return poses


@st.composite
def stretches(draw, window: int):
    """Streams between which the embedder is reset. The first and the last are of three windows or more, the others of any length."""
    long = st.integers(3 * window, 5 * window)
    ticks = [draw(long), *draw(st.lists(st.integers(0, 2 * window), max_size=2)), draw(long)]
    return [(length, draw(MISSING), draw(SEEDS)) for length in ticks]


@pytest.fixture(scope="module", params=[OnnxRuntime, TorchRuntime, NativeRuntime])
def embedder(request, tiny_bundle) -> StationEmbedder:
    return StationEmbedder(request.param(tiny_bundle))


@pytest.fixture(scope="module")
def net(tiny_bundle):
    return load_net(tiny_bundle)


@examples(8)
@given(streams=stretches(window=8))
def test_step_by_step_equals_the_network_on_all_ticks_at_once(embedder, net, streams):
    import torch

    assert embedder.bundle.info.window == 8
    for stream in streams:
        poses = somebody(*stream)
        embedder.reset()
        steps = [embedder.step(pose) for pose in poses]
        if steps:
            with torch.no_grad():
                whole = net(torch.from_numpy(crop_sequence(poses, "body13"))[None])[0].numpy()
            np.testing.assert_allclose(steps, whole, atol=1e-5)


@pytest.fixture(scope="module")
def shipped():
    bundle = open_bundle()
    return StationEmbedder(OnnxRuntime(bundle)), WholeRecordings(bundle)


@examples(2)
@given(windows=st.floats(3.0, 3.5), missing=MISSING, seed=SEEDS)
def test_step_by_step_the_shipped_bundle_gives_what_its_graph_of_whole_recordings_does(shipped, windows, missing, seed):
    embedder, whole = shipped
    poses = somebody(round(windows * embedder.bundle.info.window), missing, seed)
    embedder.reset()
    np.testing.assert_allclose([embedder.step(pose) for pose in poses], whole(poses), atol=1e-4)
