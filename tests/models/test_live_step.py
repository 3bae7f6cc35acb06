"""The step arranged for speed is the same function as the readable one, whatever the configuration and the keypoints."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from models.live_step import LiveStep  # noqa: E402
from models.lockstep_net import LockstepNet, NetConfig  # noqa: E402

CONFIGURATIONS = {
    "default": {},
    "several motions": {"motion": (1, 3)},
    "limbs without motion": {"motion": (), "heatmaps": "limbs"},
    "joints, no transformers": {"heatmaps": "joints", "spatial_depth": 0, "temporal_depth": 0},
    "cross-attention": {"cross_attention_depth": 1},
    "window mode": {"temporal": "full", "positions": "absolute", "cross_attention_depth": 1},
    "no projection": {"projection": False, "positions": "none"},
}


def odd_keypoints(ticks: int) -> torch.Tensor:
    """(T, 2, 13, 3): joints and persons that vanish, barely seen ones, limbs without length, joints far outside."""
    keypoints = torch.rand(ticks, 2, 13, 3) * torch.tensor([29.0, 29.0, 1.0])
    keypoints[10:20, 0, 3] = 0
    keypoints[5, 1] = 0
    keypoints[7, 0, 4, 2] = 5e-4
    keypoints[8, 0, 3] = keypoints[8, 0, 5]
    keypoints[9] = torch.tensor([-30.0, 60.0, 0.5])
    return keypoints


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_equals_the_network_tick_by_tick_over_several_windows(name: str) -> None:
    torch.manual_seed(0)
    net = LockstepNet(NetConfig(width=48, heads=2, window=8, embedding_dim=24, **CONFIGURATIONS[name])).eval()
    for parameter in net.parameters():  # zeros at the start would hide a wrong order of positions
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.3)
    live = LiveStep(net)
    plain, fast = net.initial_state(2), live.initial_state(2)
    with torch.inference_mode():
        for tick in odd_keypoints(30):
            expected, plain = net.step(tick, plain)
            got, fast = live.step(tick, fast)
            torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)
