"""TensorRT engines: built for real by TensorRT-RTX, which needs no GPU; kept by key; refused where they cannot be trusted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

onnx = pytest.importorskip("onnx")

from engine.bundle import Bundle, file_sha256  # noqa: E402
from engine.embedder import plans  # noqa: E402
from engine.embedder.cuda import first_gpu  # noqa: E402
from engine.embedder.plans import load_module, store_plan, stored_plan  # noqa: E402
from engine.embedder.tensorrt import TensorRTRuntime, load_plan  # noqa: E402
from engine.errors import ConfigError, EngineBuildError  # noqa: E402
from export.tensorrt import build_engine, build_plan, engine_request  # noqa: E402

try:
    load_module("tensorrt-rtx")
    RTX = ""
except EngineBuildError as error:
    RTX = str(error)

needs_rtx = pytest.mark.skipif(bool(RTX), reason=RTX)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@needs_rtx
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_one_plan_for_three_generations_is_built_without_a_gpu_and_kept(tiny_bundle, precision: str) -> None:
    request = engine_request(tiny_bundle, "tensorrt-rtx", precision, "sm86,sm89,sm120")
    engine = build_engine(tiny_bundle, request)
    sheet = json.loads(engine.sheet.read_text())
    assert sheet["target"] == "sm86+sm89+sm120" and sheet["precision"] == precision
    assert sheet["bytes"] == engine.path.stat().st_size > 100_000
    assert not engine.was_cached and build_engine(tiny_bundle, request).was_cached
    assert stored_plan(request) == engine.path.read_bytes()


@needs_rtx
def test_every_part_of_a_request_changes_the_key(tiny_bundle) -> None:
    request = engine_request(tiny_bundle, "tensorrt-rtx", "fp32", "sm89")
    others = [
        replace(request, **{field: f"other {field}"}) for field in ("version", "system", "target", "precision", "model")
    ]
    assert len({request.key, replace(request, max_batch=1).key, *(other.key for other in others)}) == 7


@needs_rtx
def test_a_damaged_plan_is_not_used_and_is_built_again(tiny_bundle) -> None:
    request = engine_request(tiny_bundle, "tensorrt-rtx", "fp32", "sm89")
    engine = build_engine(tiny_bundle, request)
    whole = engine.path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", whole[:-1] + b"?"):
        engine.path.write_bytes(damage)
        with pytest.raises(EngineBuildError, match="cannot be trusted"):
            stored_plan(request)
    assert not build_engine(tiny_bundle, request).was_cached
    assert stored_plan(request) is not None
    sheet = json.loads(engine.sheet.read_text())
    engine.sheet.write_text(json.dumps(sheet | {"target": "sm75"}))
    with pytest.raises(EngineBuildError, match="something else"):
        stored_plan(request)


@needs_rtx
def test_unknown_generations_and_kinds_are_refused(tiny_bundle) -> None:
    with pytest.raises(ConfigError, match="sm89"):
        engine_request(tiny_bundle, "tensorrt-rtx", "fp32", "sm89,sm99")
    with pytest.raises(EngineBuildError, match="no such engine"):
        engine_request(tiny_bundle, "openvino")


@needs_rtx
@pytest.mark.skipif(first_gpu() is not None, reason="there is a GPU here to build for")
def test_without_a_gpu_and_without_a_target_there_is_nothing_to_build_for(tiny_bundle) -> None:
    with pytest.raises(EngineBuildError, match="no NVIDIA GPU"):
        engine_request(tiny_bundle, "tensorrt-rtx")
    with pytest.raises(EngineBuildError, match="needs an NVIDIA GPU"):
        TensorRTRuntime(tiny_bundle, "tensorrt-rtx")


@needs_rtx
def test_an_operator_the_parser_does_not_know_is_named(tiny_bundle, tmp_path) -> None:
    import shutil

    folder = tmp_path / "odd"
    shutil.copytree(tiny_bundle.folder, folder)
    model = onnx.load(str(folder / "model.onnx"), load_external_data=False)
    last = next(node for node in model.graph.node if "embedding" in node.output)
    last.output[0] = "almost"
    model.graph.node.append(onnx.helper.make_node("Det", ["almost"], ["embedding"]))
    onnx.save(model, str(folder / "model.onnx"))
    sheet = json.loads((folder / "bundle.json").read_text())
    sheet["files"]["model.onnx"] = file_sha256(folder / "model.onnx")
    (folder / "bundle.json").write_text(json.dumps(sheet))
    bundle = Bundle(folder)
    with pytest.raises(EngineBuildError, match=r"does not know part of model\.onnx") as caught:
        build_plan(bundle, engine_request(bundle, "tensorrt-rtx", "fp32", "sm89"))
    assert "Det" in caught.value.found or caught.value.found


@needs_rtx
def test_a_foreign_plan_is_a_typed_error_with_a_next_step() -> None:
    with pytest.raises(EngineBuildError) as caught:
        load_plan("tensorrt-rtx", b"this is no plan at all" * 100)
    assert caught.value.next_step and "plan" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("The engine plan file is not compatible with this version of TensorRT", "another version"),
        ("Version tag does not match. Note: Current Version: 0, Serialized Engine Version: 43", "another version"),
        ("The engine plan file is generated on an incompatible device, expecting compute 8.6 got 8.9", "another GPU"),
        ("cudaError 35: CUDA driver version is insufficient for CUDA runtime version", "driver"),
        ("Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed", "truncated"),
    ],
)
def test_what_tensorrt_says_becomes_what_it_means(said: str, meaning: str) -> None:
    error = plans.load_error("tensorrt", [said])
    assert meaning in str(error) and said[:40] in error.found and error.next_step


@needs_rtx
def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing_behind(tiny_bundle, own_cache, monkeypatch) -> None:
    import errno
    from pathlib import Path

    request = engine_request(tiny_bundle, "tensorrt-rtx", "fp32", "sm89")

    def full(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EngineBuildError, match="No space left") as caught:
        store_plan(request, b"plan")
    assert "LOCKSTEP_CACHE" in caught.value.next_step
    assert list((own_cache / "engines").iterdir()) == []


@needs_rtx
def test_a_cache_that_is_no_folder_is_an_error_that_says_so(tiny_bundle, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineBuildError, match="Not a directory") as caught:
        store_plan(engine_request(tiny_bundle, "tensorrt-rtx", "fp32", "sm89"), b"plan")
    assert "LOCKSTEP_CACHE" in caught.value.next_step


@pytest.mark.skipif(first_gpu() is None, reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("kind", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_computes_what_onnxruntime_computes(tiny_bundle, walk, kind: str) -> None:
    import numpy as np

    from engine.embedder import embed_sequence
    from engine.embedder.embedder import StationEmbedder
    from engine.embedder.onnxruntime import OnnxRuntime

    try:
        load_module(kind)
    except EngineBuildError as error:
        pytest.skip(str(error))
    build_engine(tiny_bundle, engine_request(tiny_bundle, kind))
    engine = StationEmbedder(TensorRTRuntime(tiny_bundle, kind))
    expected = embed_sequence(StationEmbedder(OnnxRuntime(tiny_bundle)), walk)
    np.testing.assert_allclose(embed_sequence(engine, walk), expected, atol=1e-3)
