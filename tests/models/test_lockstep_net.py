"""The model: what runs live equals what was trained, padding changes nothing, every part can be left out."""

import pytest
import torch

from models.centring import Centring
from models.lockstep_net import LockstepNet, NetConfig

SMALL = {
    "width": 16,
    "heads": 2,
    "embedding_dim": 8,
    "window": 6,
    "spatial_depth": 1,
    "temporal_depth": 2,
    "mlp_ratio": 2,
}


def net(**changes) -> LockstepNet:
    torch.manual_seed(0)
    model = LockstepNet(NetConfig(**{**SMALL, **changes})).eval()
    for parameter in model.parameters():  # zeros at the start (biases) would hide mistakes
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def poses(batch: int, ticks: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(batch, ticks, 13, 3, generator=generator) * torch.tensor([30.0, 30.0, 1.0])
    keypoints[torch.rand(batch, ticks, 13, generator=generator) < 0.1] = 0.0
    return keypoints


CAUSAL = [
    {},
    {"motion": ()},
    {"motion": (1, 3)},
    {"positions": "none"},
    {"cross_attention_depth": 1},
    {"cross_attention_depth": 2, "temporal_depth": 0},
    {"spatial_depth": 0},
    {"projection": False},
    {"heatmaps": "limbs"},
]


@pytest.mark.parametrize("changes", CAUSAL, ids=str)
@torch.inference_mode()
def test_step_by_step_equals_the_whole_over_many_windows_and_after_a_reset(changes):
    model, keypoints = net(**changes), poses(2, 4 * SMALL["window"] + 3)
    for start in (0, 5):  # the second time is a reset
        whole = model(keypoints[:, start:])
        state = model.initial_state(2)
        for t in range(start, keypoints.shape[1]):
            embedding, state = model.step(keypoints[:, t], state)
            torch.testing.assert_close(embedding, whole[:, t - start], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_full_model_live_is_the_full_model_on_the_last_window():
    model, keypoints = net(temporal="full", positions="absolute", motion=(), cross_attention_depth=1), poses(1, 15)
    state = model.initial_state(1)
    for t in range(15):
        embedding, state = model.step(keypoints[:, t], state)
        if t + 1 >= SMALL["window"]:
            window = model(keypoints[:, t + 1 - SMALL["window"] : t + 1])
            torch.testing.assert_close(embedding, window[:, -1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [*CAUSAL, {"temporal": "full", "positions": "absolute", "cross_attention_depth": 1}, {"temporal": "full"}],
    ids=str,
)
@torch.inference_mode()
def test_batch_padding_never_changes_a_result(changes):
    model, keypoints = net(**changes), poses(1, 9)
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, 9:] = False
    padded = poses(2, 20, seed=2)  # the padding is not even zeros
    padded[0, :9] = keypoints[0]
    torch.testing.assert_close(model(padded, mask)[0, :9], model(keypoints)[0], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_future_does_not_alter_the_past_of_a_causal_model():
    model, keypoints = net(), poses(1, 20)
    changed = keypoints.clone()
    changed[:, 12:] = poses(1, 8, seed=5)
    torch.testing.assert_close(model(changed)[:, :12], model(keypoints)[:, :12])


@torch.inference_mode()
def test_a_causal_model_forgets_what_is_older_than_its_layers_can_reach():
    model, keypoints = net(motion=()), poses(1, 30)
    reach = SMALL["temporal_depth"] * (SMALL["window"] - 1) + 1
    torch.testing.assert_close(model(keypoints[:, -reach:])[:, -1], model(keypoints)[:, -1], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("told", [True, False])
def test_without_spatial_positions_it_does_not_matter_where_a_patch_lies(told):
    torch.manual_seed(0)
    frames = LockstepNet(NetConfig(**SMALL, spatial_positions=told)).eval().frames
    patches = torch.rand(1, 9, frames.embed.in_features)
    elsewhere = patches[:, [4, 0, 8, 1, 7, 2, 6, 3, 5]]
    assert torch.allclose(frames.encode(patches), frames.encode(elsewhere), atol=1e-6) is not told


@torch.inference_mode()
def test_embeddings_have_unit_length_even_for_nobody():
    embeddings = net()(torch.zeros(1, 5, 13, 3))
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(1, 5))


@pytest.mark.parametrize(
    "changes", [{"temporal": "sideways"}, {"positions": "absolute"}, {"positions": "some"}, {"motion": (0,)}], ids=str
)
def test_contradictions_in_the_configuration_are_refused(changes):
    with pytest.raises(ValueError):
        NetConfig(**changes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_batch_that_overflowed_does_not_spoil_what_embeddings_are_measured_from(value):
    centring = Centring(3)
    torch.manual_seed(0)
    batch = torch.randn(50, 3)
    centring.follow(batch)
    mean, spread = centring.mean.clone(), centring.spread.clone()
    overflowed = batch.clone()
    overflowed[7, 1] = value
    centring.follow(overflowed)
    assert torch.isfinite(centring(batch)).all()
    assert (centring.mean[1], centring.spread[1]) == (mean[1], spread[1])
    torch.testing.assert_close(centring.mean[[0, 2]], mean[[0, 2]])
