"""Export and its proof: what a bundle computes is what the network computes, in words and numbers, or it is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from engine.embedder.pytorch import load_net  # noqa: E402
from engine.errors import BundleError, ConfigError, ParityError  # noqa: E402
from export.bundle import write_bundle  # noqa: E402
from export.onnx import OPSET  # noqa: E402
from export.parity import bundle_side, check_whole, compare, open_side  # noqa: E402
from export.precision import cast_products, emulate_products, write_precision  # noqa: E402
from export.streams import Streams, real_streams  # noqa: E402


@pytest.fixture(scope="session")
def streams(walk) -> list[Streams]:
    return [Streams("waving", walk, (walk[::-1].copy(), np.concatenate([walk, walk])))]


@pytest.fixture(scope="session")
def checkpoint(tiny_bundle, tmp_path_factory):
    from training.checkpoint import Checkpoint, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    save_checkpoint(folder, Checkpoint(load_net(tiny_bundle), {}))
    return folder


def test_a_bundle_computes_what_its_checkpoint_computes(checkpoint, tiny_bundle, streams) -> None:
    report = compare(open_side(str(checkpoint)), bundle_side(tiny_bundle), streams)
    assert report.precision == "fp32" and report.ticks == 180 and report.max_error <= 1e-5
    report.check()


def test_a_bundle_for_whole_recordings_computes_what_its_checkpoint_computes(paper_bundle, streams, tmp_path) -> None:
    from training.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(tmp_path / "checkpoint", Checkpoint(load_net(paper_bundle), dict(paper_bundle.info.crop)))
    compare(open_side(str(tmp_path / "checkpoint")), bundle_side(paper_bundle), streams).check()


@pytest.mark.parametrize("which", ["causal", "whole recordings"])
def test_the_graph_of_whole_recordings_is_checked_too(tiny_bundle, paper_bundle, streams, tmp_path, which) -> None:
    from training.checkpoint import Checkpoint, save_checkpoint

    bundle = tiny_bundle if which == "causal" else paper_bundle
    net, crop = load_net(bundle), dict(bundle.info.crop)
    save_checkpoint(tmp_path / "checkpoint", Checkpoint(net, crop))
    assert check_whole(tmp_path / "checkpoint", bundle, streams) <= 1e-5
    with torch.no_grad():
        net.temporal.norm.bias += 0.3
    save_checkpoint(tmp_path / "checkpoint", Checkpoint(net, crop))
    with pytest.raises(ParityError, match=r"sequence\.onnx"):
        check_whole(tmp_path / "checkpoint", bundle, streams)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_keeps_norms_and_softmax_exact(tiny_bundle, tmp_path, precision: str) -> None:
    cast = write_precision(tiny_bundle, tmp_path / precision, precision, precision)
    assert cast.info.precision == precision and cast.sha256 != tiny_bundle.sha256
    model = onnx.load(str(cast.step_path), load_external_data=False)
    half = {output for node in model.graph.node if node.name.endswith(f"/{precision}") for output in node.output}
    assert half
    for node in model.graph.node:
        if node.op_type in ("LayerNormalization", "Softmax", "ReduceL2", "Exp", "Gelu"):
            assert not half & set(node.input), f"{node.op_type} computes in {precision}"
        if any("project" in name for name in node.input):
            assert node.op_type == "Gemm" and not half & set(node.input), "the projection is centred: it stays exact"


@pytest.mark.parametrize(("precision", "least_error"), [("fp16", 1e-6), ("bf16", 1e-5)])
def test_half_precision_passes_its_own_gates(
    tiny_bundle, streams, tmp_path, precision: str, least_error: float
) -> None:
    cast = write_precision(tiny_bundle, tmp_path / "half", precision, "half")
    report = compare(bundle_side(tiny_bundle), bundle_side(cast), streams)
    assert report.precision == precision and report.max_error > least_error, "nothing was rounded"
    assert report.cosine > 0.999


@pytest.mark.parametrize(("precision", "digits"), [("fp16", 11), ("bf16", 8)])
def test_an_emulated_product_rounds_operands_and_result_as_a_gpu_does(precision: str, digits: int) -> None:
    import onnxruntime as ort

    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    a, b = (np.random.default_rng(i).normal(size=(24, 24)).astype(np.float32) for i in range(2))
    graph = onnx.helper.make_graph(
        [node("MatMul", ["a", "b"], ["c"]), node("LayerNormalization", ["c", "ones"], ["d"], "norm")], "product",
        [value("a", onnx.TensorProto.FLOAT, [24, 24])],
        [value(name, onnx.TensorProto.FLOAT, [24, 24]) for name in "dc"],
        [onnx.numpy_helper.from_array(b, "b"), onnx.numpy_helper.from_array(np.ones(24, np.float32), "ones")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    cast_products(model, precision)
    emulate_products(model)
    onnx.checker.check_model(model)
    got = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(["c"], {"a": a})[0]

    def rounded(x: np.ndarray) -> np.ndarray:
        step = 2.0 ** (np.floor(np.log2(np.abs(x))) - digits + 1)
        return np.round(x / step) * step

    exact = rounded(a).astype(np.float64) @ rounded(b).astype(np.float64)
    np.testing.assert_allclose(
        got, rounded(exact), rtol=2.0 ** (1 - digits)
    )  # a sum in float32 may round the other way
    assert (got == rounded(exact)).mean() > 0.98
    assert np.abs(got - a @ b).max() > 2.0**-digits * 0.5


def test_a_network_too_large_for_fp16_fails_and_the_gate_is_named(tiny_bundle, streams, tmp_path) -> None:
    net = load_net(tiny_bundle)
    with torch.no_grad():
        net.frames.embed.weight *= 1e6
    large = write_bundle(net, tmp_path / "large", name="large", crop={})
    half = write_precision(large, tmp_path / "half", "fp16", "half")
    with pytest.raises(ParityError, match="least cosine"):
        compare(bundle_side(large), bundle_side(half), streams).check()
    exact = write_precision(large, tmp_path / "exact", "bf16", "exact")
    assert np.isfinite(bundle_side(exact).embed(streams[0].reference)).all(), "bf16 reaches as far as fp32"


def test_another_model_fails_and_the_gate_is_named(tiny_bundle, streams, tmp_path) -> None:
    net = load_net(tiny_bundle)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    from training.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(tmp_path / "other", Checkpoint(net, {}))
    report = compare(open_side(str(tmp_path / "other")), bundle_side(tiny_bundle), streams)
    with pytest.raises(ParityError, match="largest error"):
        report.check()
    report.precision = "fp16"
    report.cosine = 0.5
    with pytest.raises(ParityError, match="least cosine"):
        report.check()


def test_values_that_are_not_numbers_never_pass(tiny_bundle, streams) -> None:
    good = bundle_side(tiny_bundle)

    def broken(poses):
        out = good.embed(poses).copy()
        out[7] = np.nan
        return out

    from dataclasses import replace

    for precision in ("fp32", "fp16"):
        with pytest.raises(ParityError):
            compare(good, replace(good, embed=broken, precision=precision), streams).check()


def test_models_of_another_rate_or_two_checkpoints_cannot_be_compared(checkpoint, tiny_bundle, streams) -> None:
    from dataclasses import replace

    side = bundle_side(tiny_bundle)
    with pytest.raises(ConfigError, match="cannot be compared"):
        compare(side, replace(side, rate_hz=30.0), streams)
    with pytest.raises(ConfigError, match="cannot be compared"):
        compare(open_side(str(checkpoint)), open_side(str(checkpoint)), streams)


def test_a_bidirectional_model_runs_live_window_by_window(tmp_path, walk) -> None:
    from models.crop import crop_sequence
    from models.lockstep_net import LockstepNet, NetConfig

    torch.manual_seed(1)
    config = NetConfig(
        width=16, heads=2, spatial_depth=1, temporal_depth=1, window=6, embedding_dim=8, temporal="full", positions="absolute",
        cross_attention_depth=1,
    )  # fmt: skip
    net = LockstepNet(config).eval()
    bundle = write_bundle(net, tmp_path / "window", name="window", crop={})
    assert bundle.info.mode == "window" and bundle.info.opset == OPSET
    got = bundle_side(bundle).embed(walk[:30])
    keypoints = torch.from_numpy(crop_sequence(walk[:30], "body13"))
    with torch.no_grad():
        for tick in (9, 20, 29):
            past = keypoints[: tick + 1]
            tokens = net.tokens(past[None])[:, -config.window :]
            expected = net.embed(net._window(tokens, torch.ones(1, config.window)))[0]
            np.testing.assert_allclose(got[tick], expected.numpy(), atol=1e-5)


def test_a_bundle_never_overwrites_a_folder_that_is_none(tiny_bundle, tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="will not be overwritten"):
        write_bundle(load_net(tiny_bundle), tmp_path, name="x", crop={})
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_bundle_exported_again_keeps_its_card(tiny_bundle, tmp_path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(tiny_bundle.folder, folder)
    (folder / "README.md").write_text("# again")
    write_bundle(load_net(tiny_bundle), folder, name="again", crop={})
    assert (folder / "README.md").read_text() == "# again"


@pytest.mark.parametrize("what", ["checkpoint", "precision"])
def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing_behind(tiny_bundle, tmp_path, what: str) -> None:
    """A limit on the size of files stands in for the disk."""
    import resource
    import signal

    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    net = load_net(tiny_bundle)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        with pytest.raises(BundleError, match="cannot write the bundle") as caught:
            if what == "checkpoint":
                write_bundle(net, tmp_path / "full", name="full", crop={})
            else:
                write_precision(tiny_bundle, tmp_path / "full", "fp16", "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)
    assert "large" in caught.value.found and "-o" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_graphs_hold_no_path_of_the_machine_that_exported_and_share_their_weights(tiny_bundle) -> None:
    from pathlib import Path

    here = str(Path(__file__).resolve().parents[2]).encode()
    sizes = {}
    for file in tiny_bundle.info.files:
        content = (tiny_bundle.folder / file).read_bytes()
        sizes[file] = len(content)
        assert here not in content and b"site-packages" not in content
    assert sizes["sequence.onnx"] < sizes["model.safetensors"] / 2


def test_rendered_stations_stand_in_where_no_recordings_lie(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    groups = real_streams(None, "body13", 20.0)
    assert [group.name for group in groups] == ["rendered station"] and len(groups[0].streams) > 2
