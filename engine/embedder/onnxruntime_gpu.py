"""ONNX Runtime on an NVIDIA GPU, by CUDA or by its own TensorRT: caches stay on the device, only poses and embeddings move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays
from engine.embedder.cuda import Cuda, driver
from engine.embedder.device_caches import DeviceCaches
from engine.embedder.onnxruntime import Provider, open_session
from engine.embedder.plans import cache_folder
from engine.errors import EngineBuildError

_DEVICE = "cuda"
"""Where the addresses that are bound lie, in ONNX Runtime's words."""


class OnnxGpuRuntime:
    """A session on the first GPU. `provider`: as ONNX Runtime names it. Raises EngineBuildError (no GPU, provider does
    not start), BundleError."""

    def __init__(self, bundle: Bundle, provider: str) -> None:
        import onnxruntime as ort

        name = provider.removesuffix("ExecutionProvider")
        cuda = driver()
        if cuda is None or provider not in ort.get_available_providers():
            raise EngineBuildError(
                f"ONNX Runtime's {name} cannot be used here",
                expected=f"an NVIDIA GPU, and an onnxruntime with {provider}",
                found=f"{'no GPU' if cuda is None else cuda.gpu.name}; {', '.join(ort.get_available_providers())}",
                next_step="Install onnxruntime-gpu instead of onnxruntime, or use the onnxruntime runtime (CPU).",
            )
        self.bundle = bundle
        self.precision: str = bundle.info.precision
        self.session = open_session(bundle, _providers(provider))
        if provider not in self.session.get_providers():  # it goes on with the CPU and only warns
            raise EngineBuildError(
                f"ONNX Runtime's {name} does not start",
                expected=provider,
                found=", ".join(self.session.get_providers()),
                next_step="Install the CUDA and cuDNN that it asks for, or use the onnxruntime runtime (CPU).",
            )
        self.name = f"onnxruntime {ort.__version__} ({name}, {cuda.gpu.name})"

    def lanes(self, batch: int = 1) -> OnnxGpuLanes:
        cuda = driver()
        assert cuda is not None
        return OnnxGpuLanes(self, cuda, batch)


def _providers(provider: str) -> list[Provider]:
    """TensorRT keeps the engine that it builds at the first tick; CUDA takes what TensorRT does not know."""
    engines = cache_folder() / "engines" / "onnxruntime"
    options: dict[str, dict[str, str]] = {
        "TensorrtExecutionProvider": {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(engines)},
        "CUDAExecutionProvider": {},
    }
    after = list(options)[list(options).index(provider) :]
    return [*((name, options[name]) for name in after), "CPUExecutionProvider"]


class OnnxGpuLanes:
    """Caches of `batch` streams on the GPU, bound by address as ONNX Runtime's inputs and outputs, in turn."""

    def __init__(self, runtime: OnnxGpuRuntime, cuda: Cuda, batch: int) -> None:
        self.batch, self._cuda, self._session = batch, cuda, runtime.session
        cuda.use()
        self._stream = cuda.stream()
        info = runtime.bundle.info
        self._caches = DeviceCaches(cuda, info.state, batch, self._stream)
        joints = self._session.get_inputs()[0].shape[1]
        self._keypoints, self._embedding = cuda.pinned((batch, joints, 3)), cuda.pinned((batch, info.embedding_dim))
        self._device_in = self._caches.allocate(self._keypoints.nbytes)
        self._device_out = self._caches.allocate(self._embedding.nbytes)
        self._bindings = [self._bind(now) for now in range(2)]

    def _bind(self, now: int):
        binding = self._session.io_binding()
        before, after = self._caches.sets[now], self._caches.sets[1 - now]
        inputs = {"keypoints": (self._device_in, self._keypoints.shape)}
        outputs = {"embedding": (self._device_out, self._embedding.shape)}
        for name, shape in self._caches.shapes.items():
            inputs[name] = before[name], (self.batch, *shape)
            outputs[f"next_{name}"] = after[name], (self.batch, *shape)
        for name, (address, shape) in inputs.items():
            binding.bind_input(name, _DEVICE, 0, np.float32, shape, address)
        for name, (address, shape) in outputs.items():
            binding.bind_output(name, _DEVICE, 0, np.float32, shape, address)
        return binding

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        self._cuda.use()
        np.copyto(self._keypoints, keypoints)
        self._cuda.to_device(self._device_in, self._keypoints, self._stream)
        self._cuda.synchronize(self._stream)  # ONNX Runtime works on a stream of its own
        self._session.run_with_iobinding(self._bindings[self._caches.now])
        self._cuda.to_host(self._embedding, self._device_out, self._stream)
        self._caches.turn(active)
        return self._embedding.copy()

    def reset(self, lane: int) -> None:
        self._caches.reset(lane)

    def state(self, lane: int) -> Arrays:
        return self._caches.state(lane)

    def restore(self, lane: int, state: Arrays) -> None:
        self._caches.restore(lane, state)
