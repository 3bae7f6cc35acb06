"""Embeddings on a tick grid as features of frames at another rate."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from models.lockstep_net import LockstepNet, NetConfig
from training.evaluate.networks import network_features

SMALL = {"width": 16, "heads": 2, "spatial_depth": 1, "temporal_depth": 1, "window": 8, "embedding_dim": 8}
CROP = {"grid": 30, "side": 4.0, "follow": 15, "leash": 1.0, "rise": 6, "fall": 150, "forget": 60}


def moving(frames: int = 31) -> np.ndarray:
    rng = np.random.default_rng(0)
    poses = np.ones((frames, 13, 3), np.float32)
    poses[..., :2] = 100 + 10 * rng.normal(size=(13, 2)) + 3 * np.arange(frames)[:, None, None]
    return poses


def test_a_causal_network_s_frame_has_the_embedding_of_the_newest_tick() -> None:
    torch.manual_seed(0)
    features = network_features(LockstepNet(NetConfig(**SMALL)).eval(), CROP, 30.0)
    (whole,) = features([moving()])
    # 20 ticks on 30 frames: frames 1 and 3 show the ticks of frames 0 and 3 …
    np.testing.assert_array_equal(whole[1], whole[0])
    assert not np.array_equal(whole[2], whole[1])
    # … and what comes later changes nothing.
    (start,) = features([moving()[:10]])
    np.testing.assert_allclose(start, whole[:10], atol=1e-5)


def test_a_full_network_s_frame_lies_between_its_two_ticks() -> None:
    torch.manual_seed(0)
    features = network_features(LockstepNet(NetConfig(**SMALL, temporal="full")).eval(), CROP, 40.0)
    (frames,) = features([moving()])
    np.testing.assert_allclose(frames[1], (frames[0] + frames[2]) / 2, atol=1e-6)
