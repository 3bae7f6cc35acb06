"""The compiled step is the same function as the network, whatever its sizes, and refuses what it does not run."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from engine.bundle import Bundle, BundleInfo, Tensor, file_sha256  # noqa: E402
from engine.embedder import open_embedder  # noqa: E402
from engine.embedder.native import products, runtime, weights  # noqa: E402
from engine.embedder.native.runtime import NativeRuntime  # noqa: E402
from engine.embedder.opening import open_runtime  # noqa: E402
from engine.errors import EngineBuildError  # noqa: E402
from models.live_step import LiveStep  # noqa: E402
from models.lockstep_net import LockstepNet, NetConfig  # noqa: E402


def untrained(config: NetConfig) -> LockstepNet:
    """With nothing that is zero or one at the start left so: it would hide what is left out."""
    torch.manual_seed(0)
    net = LockstepNet(config).eval()
    for tensor in [*net.parameters(), net.centring.mean]:
        value = float(tensor.detach().flatten()[0])
        if value in (0.0, 1.0):
            torch.nn.init.normal_(tensor, mean=value, std=0.2)
    torch.nn.init.uniform_(net.centring.spread, 0.5, 2.0)
    return net


def write_weights(net: LockstepNet, folder) -> Bundle:
    """A bundle without graphs: the compiled step reads only the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, folder / "model.safetensors")
    (folder / "model.onnx").write_bytes(b"")
    state = {name: tuple(tensor.shape[1:]) for name, tensor in LiveStep(net).initial_state(1).items()}
    info = BundleInfo(
        format=1, name="made", layout=net.config.layout, rate_hz=net.config.rate_hz, mode="causal", window=net.config.window,
        embedding_dim=net.config.output_dim, crop={}, weights_file="model.safetensors", network=net.config.to_json(),
        state=tuple(Tensor(name=name, shape=shape) for name, shape in state.items()),
        files={file: file_sha256(folder / file) for file in ("model.onnx", "model.safetensors")},
    )  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(info.model_dump(mode="json")))
    return Bundle(folder)


@st.composite
def configurations(draw: st.DrawFn) -> NetConfig:
    heads = draw(st.integers(1, 5))
    return NetConfig(
        layout=draw(st.sampled_from(["body13", "hand21"])),
        heatmaps=draw(st.sampled_from(["joints", "limbs", "joints+limbs"])),
        grid=30,
        patch=draw(st.sampled_from([5, 6, 10, 15, 30])),
        sigma=draw(st.sampled_from([0.6, 1.0, 2.5])),
        motion=tuple(draw(st.lists(st.integers(1, 5), max_size=3))),
        width=heads * draw(st.integers(1, 40)),
        heads=heads,
        mlp_ratio=draw(st.sampled_from([1.0, 2.5, 4.0])),
        spatial_depth=draw(st.integers(0, 2)),
        temporal_depth=draw(st.integers(0, 2)),
        window=draw(st.integers(2, 20)),
        positions=draw(st.sampled_from(["relative", "none"])),
        projection=draw(st.booleans()),
        embedding_dim=draw(st.integers(1, 130)),
    )


def wandering(joints: int, ticks: int, lanes: int, seed: int) -> np.ndarray:
    """(T, B, K, 3): joints and persons that vanish, barely seen ones, limbs without length, joints outside."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(-8, 38, (ticks, lanes, joints, 3)).astype(np.float32)
    keypoints[..., 2] = rng.random((ticks, lanes, joints)) * (rng.random((ticks, lanes, joints)) > 0.2)
    keypoints[rng.random((ticks, lanes)) < 0.1] = 0
    keypoints[::5, :, 2, :2] = keypoints[::5, :, 1, :2]
    keypoints[::7, :, 3, 2] = 5e-4
    return keypoints


GUARD = 64
"""Numbers on each side of a buffer."""


class Guarded:
    """NumPy whose float buffers lie between guards that are no numbers: reading one shows in the result, writing one here."""

    def __init__(self) -> None:
        self.guards: list[np.ndarray] = []

    def __getattr__(self, name: str):
        return getattr(np, name)

    def zeros(self, shape, dtype=float) -> np.ndarray:
        if dtype is not np.float32:
            return np.zeros(shape, dtype)
        size = int(np.prod(shape))
        whole = np.full(size + 2 * GUARD, np.nan, np.float32)
        self.guards += [whole[:GUARD], whole[GUARD + size :]]
        middle = whole[GUARD : GUARD + size]
        middle[:] = 0
        return middle.reshape(shape)


@settings(examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(config=configurations(), lanes=st.integers(1, 7), seed=st.integers(0, 999))
def test_it_equals_the_network_whatever_its_sizes_and_stays_within_its_buffers(
    config: NetConfig, lanes: int, seed: int, tmp_path, monkeypatch
) -> None:
    net = untrained(config)
    live, ticks = LiveStep(net), 3 * config.window + 2
    keypoints = wandering(net.joints, ticks, lanes, seed)
    guarded = Guarded()
    with monkeypatch.context() as patched:
        for module in (products, runtime, weights):
            patched.setattr(module, "np", guarded)
        native = NativeRuntime(write_weights(net, tmp_path)).lanes(lanes)
    state = live.initial_state(lanes)
    with torch.inference_mode():
        for tick in keypoints:
            expected, state = live.step(torch.from_numpy(tick), state)
            # The normalisation of two or three values that are nearly equal enlarges rounding, of either network.
            atol = 1e-4 if config.width >= 8 else 1e-2
            np.testing.assert_allclose(native.step(tick), expected.numpy(), atol=atol)
    assert all(np.isnan(guard).all() for guard in guarded.guards)


def test_keypoints_that_are_no_numbers_or_nowhere_are_not_drawn(tiny_bundle) -> None:
    lanes, fresh = NativeRuntime(tiny_bundle).lanes(1), NativeRuntime(tiny_bundle).lanes(1)
    unseen = wandering(13, 40, 1, seed=5)
    odd = unseen.copy()
    for joint, value in enumerate((np.nan, np.inf, -np.inf, 3e38, -1e7)):
        odd[:, 0, joint, joint % 2], unseen[:, 0, joint, 2] = value, 0
    for strange, plain in zip(odd, unseen, strict=True):
        np.testing.assert_allclose(lanes.step(strange), fresh.step(plain), atol=1e-6)


def test_keypoints_of_another_shape_are_refused(tiny_bundle) -> None:
    lanes = NativeRuntime(tiny_bundle).lanes(2)
    for shape in ((1, 13, 3), (2, 12, 3), (2, 13, 2)):
        with pytest.raises(ValueError, match="expected keypoints"):
            lanes.step(np.zeros(shape, np.float32))


def altered(
    bundle: Bundle, folder, sheet: dict | None = None, network: dict | None = None, raw: bytes | None = None
) -> Bundle:
    shutil.copytree(bundle.folder, folder)
    if raw is not None:
        (folder / "model.safetensors").write_bytes(raw)
    info = json.loads((folder / "bundle.json").read_text()) | (sheet or {})
    if network is not None:
        info["network"] |= network
    info["files"]["model.safetensors"] = file_sha256(folder / "model.safetensors")
    (folder / "bundle.json").write_text(json.dumps(info))
    return Bundle(folder)


@pytest.mark.parametrize(
    ("sheet", "network", "reason"),
    [
        ({}, {"temporal": "full"}, "temporal: full"),
        ({}, {"cross_attention_depth": 1}, "cross-attention"),
        ({"precision": "fp16"}, {}, "fp16"),
        ({"weights_file": None}, {}, "no weights"),
        ({}, {"gating": "of the future"}, "a network with gating"),
    ],
)
def test_what_it_does_not_run_is_named_and_auto_takes_the_next(
    tiny_bundle, tmp_path, sheet, network, reason: str
) -> None:
    bundle = altered(tiny_bundle, tmp_path / "other", sheet, network)
    with pytest.raises(EngineBuildError, match=reason):
        open_embedder(bundle, "native")
    assert open_embedder(bundle).runtime.name.startswith("onnxruntime")
    assert open_runtime(bundle).name.startswith("onnxruntime")


def test_no_part_of_a_network_is_overlooked() -> None:
    """Whoever adds one must teach it to the compiled step, or have it refused there."""
    assert {field.name for field in fields(NetConfig)} == weights.UNDERSTOOD


@pytest.mark.parametrize(
    "network",
    [
        {"width": 64}, {"heads": 5}, {"window": 9}, {"patch": 7}, {"patch": 15}, {"spatial_depth": 2}, {"motion": [1, 2]},
        {"motion": [0]}, {"mlp_ratio": 3.0}, {"layout": "hand21"}, {"embedding_dim": 8}, {"width": 0}, {"width": "wide"},
        {"temporal_depth": 1}, {"motion": [5]},
    ],
)  # fmt: skip
def test_weights_that_are_not_those_of_the_network_are_refused(tiny_bundle, tmp_path, network: dict) -> None:
    bundle = altered(tiny_bundle, tmp_path / "other", network=network)
    with pytest.raises(EngineBuildError) as caught:
        NativeRuntime(bundle)
    assert caught.value.next_step
    assert open_runtime(bundle).name.startswith("onnxruntime"), "the graph is as good as ever"


@pytest.mark.parametrize("keep", [0, 4, 200, 60_000])
def test_truncated_weights_are_refused(tiny_bundle, tmp_path, keep: int) -> None:
    raw = (tiny_bundle.folder / "model.safetensors").read_bytes()
    assert keep < len(raw)
    with pytest.raises(EngineBuildError, match=r"cannot read the weights|does not know the network"):
        NativeRuntime(altered(tiny_bundle, tmp_path / "other", raw=raw[:keep]))
