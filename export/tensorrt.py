"""Bundle → TensorRT or TensorRT-RTX engine: one builder for both modules, whose Python interface is the same.

    model.onnx ─cast products→ parser → strongly typed network + batch profile → plan (kept by key, see engine.embedder.plans)

TensorRT-RTX builds for a GPU generation without any GPU at hand; TensorRT builds for the GPU it runs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from engine.bundle import Bundle
from engine.embedder.cuda import first_gpu
from engine.embedder.plans import (
    DEFAULT_MAX_BATCH,
    EngineRequest,
    cache_folder,
    load_module,
    message_log,
    plan_path,
    request_for,
    sheet_path,
    store_plan,
    stored_plan,
)
from engine.errors import ConfigError, EngineBuildError
from export.precision import cast_products


@dataclass(frozen=True)
class Engine:
    """A plan on disk and its sidecar."""

    path: Path
    sheet: Path
    was_cached: bool


def engine_request(
    bundle: Bundle, kind: str, precision: str = "fp32", gpus: str | None = None, max_batch: int = DEFAULT_MAX_BATCH
) -> EngineRequest:
    """What to build. `gpus`: `sm86,sm89` (TensorRT-RTX only); None: the GPU of this machine.

    Raises ConfigError (GPU names), EngineBuildError (module not installed, no GPU where one is needed).
    """
    trt = load_module(kind)
    if gpus is None:
        gpu = first_gpu()
        if gpu is None:
            raise EngineBuildError(
                "there is no NVIDIA GPU here to build for",
                expected="a GPU, or --to tensorrt-rtx with the generations to build for",
                next_step="Name them, for example: --to tensorrt-rtx --gpu sm86,sm89,sm120",
            )
        return request_for(bundle, kind, f"{gpu.name} sm{gpu.capability}", precision, max_batch)
    if kind != "tensorrt-rtx":
        raise ConfigError(
            "--gpu is for tensorrt-rtx",
            expected="--to tensorrt-rtx",
            found=f"--to {kind}",
            next_step="TensorRT builds for the GPU it runs on: leave --gpu out.",
        )
    known = [name.lower() for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    asked = sorted(
        {name.strip().lower() for name in gpus.split(",") if name.strip()}, key=lambda name: (len(name), name)
    )
    if not asked or any(name not in known for name in asked):
        raise ConfigError("unknown GPU generation", expected=", ".join(known), found=gpus, next_step="Correct --gpu.")
    return request_for(bundle, kind, "+".join(asked), precision, max_batch)


def build_engine(bundle: Bundle, request: EngineRequest) -> Engine:
    """Builds the plan, or finds it in the cache. A damaged one is built again. Raises EngineBuildError."""
    try:
        cached = stored_plan(request) is not None
    except EngineBuildError:
        cached = False
    if not cached:
        store_plan(request, build_plan(bundle, request))
    path = plan_path(request)
    return Engine(path, sheet_path(path), cached)


def build_plan(bundle: Bundle, request: EngineRequest) -> bytes:
    """The serialised plan. Raises EngineBuildError: operator or opset that the parser does not know, build failed."""
    trt = load_module(request.kind)
    log = message_log(trt)
    builder = trt.Builder(log)
    if builder is None:
        raise _failed(request, log.errors)
    flags = trt.NetworkDefinitionCreationFlag
    typed = 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0  # implied where the flag is gone
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, log)
    model = onnx.load(str(bundle.step_path))  # with its weights: the parser sees one message, not a folder
    if request.precision != "fp32":
        cast_products(model, request.precision)
    if not parser.parse(model.SerializeToString()):
        first = parser.get_error(0) if parser.num_errors else None
        raise EngineBuildError(
            f"{request.kind} {request.version} does not know part of {bundle.step_path.name}",
            expected=f"operators of opset {bundle.info.opset} that it supports",
            found=first.desc() if first else "; ".join(log.errors)[:300],
            next_step="Use the onnxruntime runtime, a newer TensorRT, or export the bundle without that part.",
        )
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    usual = min(16, request.max_batch)
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, (1, *rest), (usual, *rest), (request.max_batch, *rest))
    config.add_optimization_profile(profile)
    if "+" in request.target or request.target.startswith("sm"):
        _set_targets(trt, config, request.target.split("+"))
    timings = _load_timings(config, request)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _failed(request, log.errors)
    _keep_timings(config, timings)
    return bytes(plan)


def _set_targets(trt: Any, config: Any, targets: list[str]) -> None:
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index)


def _load_timings(config: Any, request: EngineRequest) -> Path:
    """The timings of earlier builds make the next one faster; a foreign or damaged file is as good as none."""
    path = cache_folder() / "engines" / f"{request.kind}-{request.version}.timings"
    known = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(known) or config.create_timing_cache(b"")
    if cache is not None:
        config.set_timing_cache(cache, ignore_mismatch=False)
    return path


def _keep_timings(config: Any, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(bytes(cache.serialize()))
        partial.replace(path)
    except OSError:
        pass  # only speed is lost


def _failed(request: EngineRequest, errors: list[str]) -> EngineBuildError:
    return EngineBuildError(
        f"{request.kind} {request.version} could not build an engine for {request.target}",
        found=(errors or ["no reason given"])[0][:300],
        next_step="Use the onnxruntime runtime, or build for another GPU or precision.",
    )
