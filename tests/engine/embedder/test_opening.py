"""Which runtime is picked, and that a station keeps running when the picked one fails."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest

from engine.bundle import Bundle
from engine.embedder import embed_sequence, open_embedder, opening
from engine.embedder.embedder import StationEmbedder
from engine.embedder.onnxruntime import OnnxRuntime
from engine.embedder.opening import Candidate, candidates, open_runtime
from engine.errors import BundleError, ConfigError, EngineBuildError

NO_GPU = opening.first_gpu() is None


def test_auto_picks_the_first_usable_and_says_so(tiny_bundle, caplog: pytest.LogCaptureFixture) -> None:
    best = next(candidate for candidate in candidates(tiny_bundle) if candidate.usable)
    open_runtime(tiny_bundle, best.runtime)  # what must be compiled first is
    with caplog.at_level(logging.INFO, "lockstep.embedder"):
        embedder = open_embedder(tiny_bundle)
    assert best.runtime in caplog.text and best.why in caplog.text
    assert embedder.runtime.name.startswith(best.runtime)


def test_an_unknown_runtime_is_refused_with_the_known_ones(tiny_bundle) -> None:
    with pytest.raises(ConfigError, match="onnxruntime"):
        open_embedder(tiny_bundle, "tensorflow")


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU here: asking for it is no mistake")
@pytest.mark.parametrize("kind", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_runtime_without_a_gpu_says_what_to_do(tiny_bundle, kind: str) -> None:
    with pytest.raises(EngineBuildError) as caught:
        open_embedder(tiny_bundle, kind)
    assert caught.value.next_step


def test_an_engine_that_does_not_fit_is_rebuilt_while_onnxruntime_serves(
    tiny_bundle, walk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a machine with a GPU whose engine is of another version: the module and the GPU are there, the plan is not."""
    built: list[str] = []

    def open_fake(bundle, runtime="auto", precision="fp32"):
        if runtime == "tensorrt-rtx":
            if not built:
                raise EngineBuildError("the tensorrt-rtx engine was built by another version of TensorRT")
            opened = OnnxRuntime(bundle)
            opened.name = "tensorrt-rtx 9 (a GPU)"
            return opened
        return open_runtime(bundle, runtime, precision)

    class Thread:
        """Runs the rebuild when the test says so."""

        def __init__(self, target, args, **_) -> None:
            self.run = lambda: target(*args)
            threads.append(self)

        def start(self) -> None: ...

    threads: list[Thread] = []
    pytest.importorskip("onnx")
    monkeypatch.setattr(opening, "open_runtime", open_fake)
    monkeypatch.setattr(opening, "candidates", lambda bundle: [Candidate("tensorrt-rtx", True, "version 9 on a GPU")])
    monkeypatch.setattr(opening.threading, "Thread", Thread)
    monkeypatch.setattr("export.tensorrt.engine_request", lambda bundle, kind: kind)
    monkeypatch.setattr("export.tensorrt.build_engine", lambda bundle, request: built.append(request))

    expected = embed_sequence(StationEmbedder(OnnxRuntime(tiny_bundle)), walk)
    embedder = open_embedder(tiny_bundle)
    assert "another version" in caplog.text and embedder.runtime.name.startswith("onnxruntime")
    got = [embedder.step(pose) for pose in walk[:30]]
    threads[0].run()
    got += [embedder.step(pose) for pose in walk[30:]]
    assert built == ["tensorrt-rtx"] and embedder.runtime.name.startswith("tensorrt-rtx")
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_rebuild_that_fails_leaves_the_station_as_it_is(tiny_bundle, walk, monkeypatch, caplog) -> None:
    pytest.importorskip("onnx")

    def no_space(bundle, kind):
        raise EngineBuildError("cannot keep the engine", found="No space left on device")

    monkeypatch.setattr("export.tensorrt.engine_request", no_space)
    embedder = StationEmbedder(OnnxRuntime(tiny_bundle))
    opening.make(embedder, "tensorrt-rtx")
    assert "No space left" in caplog.text
    assert np.isfinite(embedder.step(walk[0])).all()


@pytest.mark.parametrize("failure", ["not a number", "device lost"])
def test_a_runtime_that_fails_while_running_is_replaced_without_losing_the_tick(
    tiny_bundle, walk, caplog, failure: str
) -> None:
    class Failing(OnnxRuntime):
        def lanes(self, batch: int = 1):
            lanes = super().lanes(batch)
            step, ticks = lanes.step, [0]

            def fails_after_20(keypoints, active=None):
                ticks[0] += 1
                if ticks[0] <= 20:
                    return step(keypoints, active)
                if failure == "device lost":
                    raise EngineBuildError("device lost")
                return np.full_like(step(keypoints, active), np.nan)

            lanes.step = fails_after_20
            return lanes

    expected = embed_sequence(StationEmbedder(OnnxRuntime(tiny_bundle)), walk)
    embedder = StationEmbedder(Failing(tiny_bundle), fallback=lambda: OnnxRuntime(tiny_bundle))
    got = [embedder.step(pose) for pose in walk]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert "failed" in caplog.text and failure in caplog.text.replace("values that are not numbers", "not a number")


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU here: asking for it is no mistake")
@pytest.mark.parametrize("runtime", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_onnxruntime_on_a_gpu_that_is_not_there_says_what_to_do(tiny_bundle, runtime: str) -> None:
    assert not next(c for c in candidates() if c.runtime == runtime).usable
    with pytest.raises(EngineBuildError, match="cannot be used here") as caught:
        open_embedder(tiny_bundle, runtime)
    assert "no GPU" in caught.value.found and caught.value.next_step


def test_a_gpu_runtime_that_does_not_start_leaves_the_station_on_the_cpu(
    tiny_bundle, walk, monkeypatch, caplog
) -> None:
    """As with onnxruntime-gpu but without its CUDA libraries: listed as usable, refused when opened."""
    monkeypatch.setattr(opening, "candidates", lambda bundle: [Candidate("onnxruntime-cuda", True, "CUDA on a GPU")])
    monkeypatch.setattr("engine.embedder.onnxruntime_gpu.driver", lambda: None)
    embedder = open_embedder(tiny_bundle)
    assert embedder.runtime.name.endswith("(CPU)")
    assert "ONNX Runtime serves" in caplog.text and np.isfinite(embedder.step(walk[0])).all()


def test_a_graph_of_an_unknown_opset_or_of_other_tensors_is_a_bundle_error(tiny_bundle, tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    import json

    from engine.bundle import file_sha256

    for change in ("opset", "renamed", "garbage"):
        folder = tmp_path / change
        shutil.copytree(tiny_bundle.folder, folder)
        model = onnx.load(str(folder / "model.onnx"), load_external_data=False)
        if change == "opset":
            model.opset_import[0].version = 99
        elif change == "renamed":
            model.graph.output[0].name = "other"
            next(node for node in model.graph.node if "embedding" in node.output).output[0] = "other"
        onnx.save(model, str(folder / "model.onnx"))
        if change == "garbage":
            (folder / "model.onnx").write_bytes(b"garbage")
        sheet = json.loads((folder / "bundle.json").read_text())
        sheet["files"]["model.onnx"] = file_sha256(folder / "model.onnx")
        (folder / "bundle.json").write_text(json.dumps(sheet))
        with pytest.raises(BundleError):
            open_embedder(Bundle(folder), "onnxruntime")
