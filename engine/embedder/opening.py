"""Which runtime runs a bundle here: what can be used, what is picked and why, and what happens when it fails."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Embedder, StepRuntime
from engine.embedder.cuda import first_gpu
from engine.embedder.embedder import StationEmbedder
from engine.embedder.plans import INSTALL, MODULES, load_module
from engine.errors import ConfigError, EngineBuildError

log = logging.getLogger("lockstep.embedder")

RUNTIMES = ("auto", "tensorrt", "tensorrt-rtx", "onnxruntime", "torch")


@dataclass(frozen=True)
class Candidate:
    """A runtime, whether it can be used here, and in words why or why not."""

    runtime: str
    usable: bool
    why: str
    get: str = ""
    """The command that would make it usable; empty where none would."""


def candidates() -> list[Candidate]:
    """All runtimes, best first. Cheap: nothing is loaded that a station would not load."""
    gpu = first_gpu()
    found = []
    for kind, module in MODULES.items():
        if find_spec(module) is None:
            found.append(Candidate(kind, False, "not installed", INSTALL[kind] if gpu else ""))
        elif gpu is None:
            found.append(Candidate(kind, False, "installed, but there is no NVIDIA GPU"))
        else:
            try:
                version = load_module(kind).__version__
                found.append(Candidate(kind, True, f"version {version} on {gpu.name}"))
            except EngineBuildError as error:
                found.append(Candidate(kind, False, str(error)))
    if find_spec("onnxruntime") is None:
        found.append(Candidate("onnxruntime", False, "not installed", "pip install lockstep"))
    else:
        import onnxruntime

        providers = ", ".join(
            name.removesuffix("ExecutionProvider")
            for name in onnxruntime.get_available_providers()
            if name != "AzureExecutionProvider"  # in every wheel; it computes elsewhere
        )
        found.append(Candidate("onnxruntime", True, f"version {onnxruntime.__version__} on {providers}"))
    if find_spec("torch") is None or find_spec("safetensors") is None:
        found.append(
            Candidate("torch", False, "not installed; for training and export", "pip install 'lockstep[train,export]'")
        )
    else:
        found.append(Candidate("torch", True, "installed; slower for one tick at a time"))
    return found


def open_runtime(bundle: Bundle, runtime: str = "auto", precision: str = "fp32") -> StepRuntime:
    """Raises ConfigError (no such runtime), EngineBuildError (no engine, no GPU, wrong version, nothing usable), BundleError."""
    if runtime == "auto":
        return _open_first(bundle, [candidate.runtime for candidate in candidates() if candidate.usable])
    if runtime == "onnxruntime":
        from engine.embedder.onnxruntime import OnnxRuntime

        return OnnxRuntime(bundle, _providers())
    if runtime == "torch":
        from engine.embedder.pytorch import TorchRuntime

        return TorchRuntime(bundle)
    if runtime in MODULES:
        from engine.embedder.tensorrt import TensorRTRuntime

        return TensorRTRuntime(bundle, runtime, precision)
    raise ConfigError("no such runtime", expected=", ".join(RUNTIMES), found=runtime, next_step="Correct `runtime`.")


def open_embedder(bundle: Bundle, runtime: str = "auto") -> StationEmbedder:
    """An embedder for one station.

    `auto` takes the best runtime that is usable, and says which and why. A TensorRT engine that is missing or does not
    fit this GPU and version is built in the background while ONNX Runtime serves; one that fails while it runs is
    replaced by ONNX Runtime without losing the tick. Raises ConfigError, BundleError; EngineBuildError only for a
    runtime that was asked for by name and that this machine cannot run.
    """

    def safe() -> StepRuntime:
        return open_runtime(bundle, "onnxruntime")

    usable = [candidate for candidate in candidates() if candidate.usable]
    if runtime == "auto":
        best = usable[0]
        log.info("runtime %s: %s", best.runtime, best.why)
        runtime = best.runtime
    try:
        return StationEmbedder(open_runtime(bundle, runtime), fallback=safe if runtime in MODULES else None)
    except EngineBuildError as error:
        if runtime not in [candidate.runtime for candidate in usable]:
            raise
        log.warning("%s Until a new engine is built, ONNX Runtime serves.", error)
        embedder = StationEmbedder(safe())
        threading.Thread(target=rebuild, args=(embedder, runtime), name="lockstep-engine-build", daemon=True).start()
        return embedder


def rebuild(embedder: StationEmbedder, kind: str) -> None:
    """Builds the engine for this machine and hands it to the running embedder. A failure is said, never raised."""
    try:
        from export.tensorrt import build_engine, engine_request

        bundle = embedder.bundle
        build_engine(bundle, engine_request(bundle, kind))
        embedder.swap(open_runtime(bundle, kind))
        log.info("the new engine serves: %s", embedder.runtime.name)
    except Exception as error:  # whatever it is, the station runs without it
        log.warning("no %s engine, ONNX Runtime goes on serving: %s", kind, error)


def _open_first(bundle: Bundle, runtimes: list[str]) -> StepRuntime:
    best, *others = runtimes
    try:
        return open_runtime(bundle, best)
    except EngineBuildError as error:
        if not others:
            raise
        log.warning("%s", error)
        return _open_first(bundle, others)


def _providers() -> tuple[str, ...]:
    """CUDA where ONNX Runtime has it and a GPU is there; the CPU always, last."""
    import onnxruntime

    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers() and first_gpu() is not None
    return ("CUDAExecutionProvider", "CPUExecutionProvider") if has_cuda else ("CPUExecutionProvider",)


def embed_sequence(embedder: Embedder, poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Poses (T, K, 3) in pixels at the bundle's rate → (T, D): what a station would have seen, from a fresh start."""
    embedder.reset()
    out = np.empty((len(poses), embedder.bundle.info.embedding_dim), np.float32)
    for t, pose in enumerate(poses):
        out[t] = embedder.step(pose)
    return out
