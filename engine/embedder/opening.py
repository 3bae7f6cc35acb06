"""Which runtime runs a bundle here: what can be used, what is picked and why, and what happens when it fails."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Embedder, StepRuntime
from engine.embedder.cuda import Gpu, first_gpu
from engine.embedder.embedder import StationEmbedder
from engine.embedder.plans import INSTALL, MODULES, load_module
from engine.errors import ConfigError, EngineBuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("lockstep.embedder")

ON_GPU = {"onnxruntime-cuda": "CUDAExecutionProvider", "onnxruntime-tensorrt": "TensorrtExecutionProvider"}
"""Runtime → execution provider of ONNX Runtime."""
RUNTIMES = ("auto", *MODULES, "native", *ON_GPU, "onnxruntime", "torch")
MADE_HERE = (*MODULES, "native")
"""What must be built or compiled on this machine first."""
SAFE = "onnxruntime"
"""Serves while another is made, and when another fails."""


@dataclass(frozen=True)
class Candidate:
    """A runtime, whether it can be used here, and in words why or why not."""

    runtime: str
    usable: bool
    why: str
    get: str = ""
    """The command that would make it usable; empty where none would."""


def candidates(bundle: Bundle | None = None) -> list[Candidate]:
    """All runtimes, best first; for `bundle`, if one is given. Cheap: nothing is loaded that a station would not load.

    Without TensorRT the processor comes before the GPU: one station's step is over before a GPU has started its kernels.
    """
    gpu = first_gpu()
    return [*(_tensorrt(kind, gpu) for kind in MODULES), _native(bundle), *_onnxruntime(gpu), _torch()]


def _tensorrt(kind: str, gpu: Gpu | None) -> Candidate:
    if find_spec(MODULES[kind]) is None:
        return Candidate(kind, False, "not installed", INSTALL[kind] if gpu else "")
    if gpu is None:
        return Candidate(kind, False, "installed, but there is no NVIDIA GPU")
    try:
        return Candidate(kind, True, f"version {load_module(kind).__version__} on {gpu.name}")
    except EngineBuildError as error:
        return Candidate(kind, False, str(error))


def _native(bundle: Bundle | None) -> Candidate:
    from engine.embedder.native.weights import unsupported

    if find_spec("numba") is None:
        return Candidate("native", False, "numba is not installed", "pip install lockstep")
    if bundle is not None and (reason := unsupported(bundle)):
        return Candidate("native", False, f"does not run this bundle: {reason}")
    return Candidate("native", True, "machine code for this processor: the fastest without TensorRT")


def _onnxruntime(gpu: Gpu | None) -> Iterator[Candidate]:
    if find_spec("onnxruntime") is None:
        for runtime in (*ON_GPU, "onnxruntime"):
            yield Candidate(runtime, False, "not installed", "pip install lockstep")
        return
    import onnxruntime

    version, providers = onnxruntime.__version__, onnxruntime.get_available_providers()
    for runtime, provider in ON_GPU.items():
        name = provider.removesuffix("ExecutionProvider")
        if provider not in providers:
            get = "pip uninstall onnxruntime && pip install onnxruntime-gpu" if gpu else ""
            yield Candidate(runtime, False, f"onnxruntime {version} is here without {name}", get)
        elif gpu is None:
            yield Candidate(runtime, False, f"{name} is installed, but there is no NVIDIA GPU")
        else:
            yield Candidate(runtime, True, f"version {version} with {name} on {gpu.name}")
    yield Candidate("onnxruntime", True, f"version {version} on the CPU")


def _torch() -> Candidate:
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return Candidate(
            "torch", False, "not installed; for training and export", "pip install 'lockstep[train,export]'"
        )
    return Candidate("torch", True, "installed; slower for one tick at a time")


def open_runtime(bundle: Bundle, runtime: str = "auto", precision: str = "fp32") -> StepRuntime:
    """Waits where the step must be compiled first. `precision`: of a TensorRT plan.

    Raises ConfigError (no such runtime), EngineBuildError (no engine, no GPU, wrong version, nothing usable), BundleError.
    """
    if runtime == "auto":
        return _open_first(bundle, [candidate.runtime for candidate in candidates(bundle) if candidate.usable])
    if runtime == "native":
        from engine.embedder.native.runtime import NativeRuntime

        return NativeRuntime(bundle)
    if runtime == "onnxruntime":
        from engine.embedder.onnxruntime import OnnxRuntime

        return OnnxRuntime(bundle)
    if runtime in ON_GPU:
        from engine.embedder.onnxruntime_gpu import OnnxGpuRuntime

        return OnnxGpuRuntime(bundle, ON_GPU[runtime])
    if runtime == "torch":
        from engine.embedder.pytorch import TorchRuntime

        return TorchRuntime(bundle)
    if runtime in MODULES:
        from engine.embedder.tensorrt import TensorRTRuntime

        return TensorRTRuntime(bundle, runtime, precision)
    raise ConfigError("no such runtime", expected=", ".join(RUNTIMES), found=runtime, next_step="Correct `runtime`.")


def open_embedder(bundle: Bundle, runtime: str = "auto") -> StationEmbedder:
    """An embedder for one station, at once.

    `auto` takes the best runtime that is usable, and says which and why. A TensorRT engine that is missing or does not
    fit this GPU and version, and a step that has not been compiled for this processor, are made in the background while
    ONNX Runtime serves; a runtime that fails while it runs is replaced by ONNX Runtime without losing the tick. Raises
    ConfigError, BundleError; EngineBuildError only for a runtime that was asked for by name and that this machine cannot run.
    """

    def safe() -> StepRuntime:
        return open_runtime(bundle, SAFE)

    usable = {candidate.runtime: candidate.why for candidate in candidates(bundle) if candidate.usable}
    asked_for = runtime
    if runtime == "auto":
        runtime, why = next(iter(usable.items()))
        log.info("runtime %s: %s", runtime, why)
    try:
        if runtime == "native" and runtime in usable:
            _refuse_to_compile()
        return StationEmbedder(open_runtime(bundle, runtime), fallback=None if runtime == SAFE else safe)
    except EngineBuildError as error:
        if runtime not in usable or (runtime == asked_for and runtime not in MADE_HERE):
            raise
        embedder = StationEmbedder(safe())
        log.warning("%s ONNX Runtime serves meanwhile.", error)
    if runtime in MADE_HERE:
        threading.Thread(target=make, args=(embedder, runtime), name="lockstep-make-runtime", daemon=True).start()
    return embedder


def _refuse_to_compile() -> None:
    from engine.embedder.native.compiling import is_compiled

    if not is_compiled():
        raise EngineBuildError(
            "the network has not been compiled for this processor yet",
            next_step="That is done now, once, in the background.",
        )


def make(embedder: StationEmbedder, runtime: str) -> None:
    """Builds the engine, or compiles the step, for this machine and hands it to the running embedder.

    A failure is said, never raised.
    """
    try:
        bundle = embedder.bundle
        if runtime == "native":
            from engine.embedder.native.compiling import compile_apart

            compile_apart(bundle)
        else:
            from export.tensorrt import build_engine, engine_request

            build_engine(bundle, engine_request(bundle, runtime))
        embedder.swap(open_runtime(bundle, runtime))
        log.info("%s serves from now on", embedder.runtime.name)
    except Exception as error:  # whatever it is, the station runs without it
        log.warning("no %s, ONNX Runtime goes on serving: %s", runtime, error)


def _open_first(bundle: Bundle, runtimes: list[str]) -> StepRuntime:
    best, *others = runtimes
    try:
        return open_runtime(bundle, best)
    except EngineBuildError as error:
        if not others:
            raise
        log.warning("%s", error)
        return _open_first(bundle, others)


def embed_sequence(embedder: Embedder, poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Poses (T, K, 3) in pixels at the bundle's rate → (T, D): what a station would have seen, from a fresh start."""
    embedder.reset()
    out = np.empty((len(poses), embedder.bundle.info.embedding_dim), np.float32)
    for t, pose in enumerate(poses):
        out[t] = embedder.step(pose)
    return out
