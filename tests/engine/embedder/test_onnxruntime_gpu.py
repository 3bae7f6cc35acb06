"""ONNX Runtime on a GPU, without one: the CPU's memory stands in for the GPU's, everything else is real."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from engine.embedder import embed_sequence, onnxruntime_gpu
from engine.embedder.cuda import Cuda, Gpu, first_gpu
from engine.embedder.embedder import StationEmbedder
from engine.embedder.onnxruntime import OnnxRuntime
from engine.embedder.onnxruntime_gpu import OnnxGpuRuntime
from engine.embedder.opening import ON_GPU, candidates
from models.crop import crop_sequence


class HostMemory(Cuda):
    """The calls of the driver that move memory, done in this process."""

    def __init__(self) -> None:
        self.gpu = Gpu("a GPU made of memory", "89", 1 << 30)
        self.held: dict[int, np.ndarray] = {}

    def use(self) -> None: ...

    def stream(self) -> int:
        return 1

    def synchronize(self, stream: int) -> None:
        assert stream == 1

    def allocate(self, size: int) -> int:
        memory = np.zeros(size, np.uint8)
        self.held[memory.ctypes.data] = memory
        return memory.ctypes.data

    def free(self, address: int) -> None:
        del self.held[address]

    def pinned(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.float32)

    def to_device(self, address, array, stream) -> None:
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def to_host(self, array, address, stream) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def copy(self, target, source, size, stream) -> None:
        ctypes.memmove(target, source, size)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> HostMemory:
    held = HostMemory()
    monkeypatch.setattr(onnxruntime_gpu, "driver", lambda: held)
    monkeypatch.setattr(onnxruntime_gpu, "_DEVICE", "cpu")
    monkeypatch.setattr(onnxruntime_gpu, "_providers", lambda provider: [provider])
    return held


def test_it_equals_the_cpu_over_many_windows_a_reset_and_a_restored_state(memory, tiny_bundle, walk) -> None:
    on_cpu, on_gpu = (
        StationEmbedder(runtime)
        for runtime in (OnnxRuntime(tiny_bundle), OnnxGpuRuntime(tiny_bundle, "CPUExecutionProvider"))
    )
    assert "a GPU made of memory" in on_gpu.runtime.name
    for poses in (walk, walk[::-1].copy()):
        expected = embed_sequence(on_cpu, poses)
        np.testing.assert_allclose(embed_sequence(on_gpu, poses), expected, atol=1e-6)
    embed_sequence(on_cpu, walk[::-1][:21])
    on_gpu.restore(on_cpu.state())
    np.testing.assert_allclose([on_gpu.step(pose) for pose in walk[::-1][21:]], expected[21:], atol=1e-6)


def test_lanes_at_rest_keep_what_they_had_and_all_memory_is_given_back(memory, tiny_bundle, walk) -> None:
    crops = crop_sequence(walk, "body13")
    alone = OnnxRuntime(tiny_bundle).lanes(1)
    expected = [alone.step(crop[None])[0] for crop in crops[:20]]
    lanes, at = OnnxGpuRuntime(tiny_bundle, "CPUExecutionProvider").lanes(2), [0, 0]
    for tick in range(20):
        active = np.array([True, tick % 2 == 0])
        out = lanes.step(np.stack([crops[t] for t in at]), active)
        for lane in np.flatnonzero(active):
            np.testing.assert_allclose(out[lane], expected[at[lane]], atol=1e-6)
            at[lane] += 1
    del lanes
    assert not memory.held


@pytest.mark.skipif(first_gpu() is None, reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("runtime", ON_GPU)
def test_on_a_real_gpu_it_computes_what_the_cpu_computes(tiny_bundle, walk, runtime: str) -> None:
    found = next(candidate for candidate in candidates(tiny_bundle) if candidate.runtime == runtime)
    if not found.usable:
        pytest.skip(found.why)
    expected = embed_sequence(StationEmbedder(OnnxRuntime(tiny_bundle)), walk)
    got = embed_sequence(StationEmbedder(OnnxGpuRuntime(tiny_bundle, ON_GPU[runtime])), walk)
    np.testing.assert_allclose(got, expected, atol=1e-3)
