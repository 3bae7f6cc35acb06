"""TensorRT and TensorRT-RTX: caches and buffers stay on the device, one tick is one launch of a CUDA graph.

Two sets of caches are read and written in turn, so there are two graphs, each with an execution context of its own (a
context may not be captured twice), on a stream of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays
from engine.embedder.cuda import Cuda, driver
from engine.embedder.device_caches import DeviceCaches
from engine.embedder.plans import load_error, load_module, message_log, plan_for_gpu
from engine.errors import ConfigError, EngineBuildError


class TensorRTRuntime:
    """A loaded engine. Raises EngineBuildError: none was built for this GPU and version, or it cannot be loaded."""

    def __init__(self, bundle: Bundle, kind: str, precision: str = "fp32") -> None:
        version = load_module(kind).__version__
        cuda = driver()
        if cuda is None:
            raise EngineBuildError(
                f"{kind} needs an NVIDIA GPU and its driver",
                expected="a GPU",
                found="none",
                next_step="Use the onnxruntime runtime (the default here).",
            )
        found = plan_for_gpu(bundle, kind, precision, cuda.gpu.name, cuda.gpu.capability)
        if found is None:
            raise EngineBuildError(
                f"no {kind} engine has been built for {cuda.gpu.name}",
                expected=f"one made by {kind} {version} in {precision}",
                next_step=f"Build it with `lockstep export BUNDLE --to {kind}`.",
            )
        request, plan = found
        self.bundle, self.precision, self.max_batch = bundle, precision, request.max_batch
        self.engine, self._log = load_plan(kind, plan)
        self.name = f"{kind} {version} ({cuda.gpu.name}, {precision})"

    def lanes(self, batch: int = 1) -> TensorRTLanes:
        cuda = driver()
        assert cuda is not None
        return TensorRTLanes(self, cuda, batch)


def load_plan(kind: str, plan: bytes) -> tuple[Any, Any]:
    """The engine, and the log it goes on writing to (TensorRT keeps no reference of its own).

    Raises EngineBuildError with what TensorRT has against it: another version, another GPU, truncated, no driver."""
    trt = load_module(kind)
    log = message_log(trt)
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    if engine is None:
        raise load_error(kind, log.errors)
    return engine, log


class TensorRTLanes:
    """Caches of `batch` streams on the GPU. Raises ConfigError for a batch the engine was not built for."""

    def __init__(self, runtime: TensorRTRuntime, cuda: Cuda, batch: int) -> None:
        if batch > runtime.max_batch:
            raise ConfigError(
                "the engine was built for fewer stations",
                expected=f"at most {runtime.max_batch}",
                found=str(batch),
                next_step=f"Build it again with --max-batch {batch}.",
            )
        self.batch, self._cuda, self._runtime = batch, cuda, runtime
        cuda.use()
        info = runtime.bundle.info
        self._stream = cuda.stream()
        self._caches = DeviceCaches(cuda, info.state, batch, self._stream)
        joints = tuple(runtime.engine.get_tensor_shape("keypoints"))[1]
        self._keypoints, self._embedding = cuda.pinned((batch, joints, 3)), cuda.pinned((batch, info.embedding_dim))
        self._device_in = self._caches.allocate(self._keypoints.nbytes)
        self._device_out = self._caches.allocate(self._embedding.nbytes)
        self._contexts: list[Any] = []
        self._graphs = [self._capture(now) for now in range(2)]
        for lane in range(batch):
            self.reset(lane)  # warming up wrote into the caches

    def _capture(self, now: int) -> int:
        """The work of one tick that reads set `now` and writes the other, as a CUDA graph."""
        context = self._runtime.engine.create_execution_context()
        if context is None:
            raise EngineBuildError("TensorRT cannot create an execution context", found="out of memory?")
        self._contexts.append(context)
        addresses = {"keypoints": self._device_in, "embedding": self._device_out}
        addresses |= self._caches.sets[now]
        addresses |= {f"next_{name}": address for name, address in self._caches.sets[1 - now].items()}
        context.set_input_shape("keypoints", tuple(self._keypoints.shape))
        for name, shape in self._caches.shapes.items():
            if not context.set_input_shape(name, (self.batch, *shape)):
                raise EngineBuildError("the engine refuses a shape of its own bundle", found=f"{name} {shape}")
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise EngineBuildError("the engine has no such tensor", found=name, next_step="Build it again.")
        self._enqueue(context)  # the first run allocates, which a capture may not
        self._cuda.synchronize(self._stream)
        self._cuda.capture_begin(self._stream)
        self._enqueue(context)
        return self._cuda.capture_end(self._stream)

    def _enqueue(self, context) -> None:
        self._cuda.to_device(self._device_in, self._keypoints, self._stream)
        if not context.execute_async_v3(self._stream):
            raise EngineBuildError("TensorRT did not run the step", next_step="Check the GPU with nvidia-smi.")
        self._cuda.to_host(self._embedding, self._device_out, self._stream)

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        self._cuda.use()
        np.copyto(self._keypoints, keypoints)
        self._cuda.launch(self._graphs[self._caches.now], self._stream)
        self._caches.turn(active)
        return self._embedding.copy()

    def reset(self, lane: int) -> None:
        self._caches.reset(lane)

    def state(self, lane: int) -> Arrays:
        return self._caches.state(lane)

    def restore(self, lane: int, state: Arrays) -> None:
        self._caches.restore(lane, state)
