"""Latency of one tick of the embedder: every way to compute it here, interleaved in one run, against the arithmetic floor.

Rounds of all contestants take turns, so that a busy machine slows all of them and the ratios stay honest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.flops import ProductRate, product_flops
from engine.bundle import Bundle
from engine.embedder.cuda import first_gpu
from engine.embedder.opening import ON_GPU, candidates, open_runtime
from engine.embedder.plans import DEFAULT_MAX_BATCH, MODULES

ROUNDS = 12
SLICE_S = 0.12
"""Time one contestant runs before the next has its turn."""
RECOMPUTE, COMPILED = "whole window, torch", "torch.compile"
MOST_RECOMPUTED = 64
"""Stations beyond which recomputing the window on a CPU would take minutes and say nothing new."""

Step = Callable[[], object]


@dataclass
class StepFigures:
    """Milliseconds of single ticks, by contestant and batch."""

    samples_ms: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    flops: dict[int, int] = field(default_factory=dict)
    gflops: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    """Contestant → why it did not run."""
    on_gpu: set[str] = field(default_factory=set)
    """Those contestants that ran on a GPU; the floor is not theirs."""

    def add(self, name: str, batch: int, milliseconds: Sequence[float]) -> None:
        self.samples_ms.setdefault(name, {}).setdefault(batch, []).extend(milliseconds)

    def percentile(self, name: str, batch: int, q: float) -> float:
        return float(np.percentile(self.samples_ms[name][batch], q))

    def floor_ms(self, batch: int) -> float:
        return self.flops[batch] / self.gflops / 1e6

    def as_json(self) -> dict:
        return {
            "step": {
                name: {
                    str(batch): {f"p{q}_ms": round(self.percentile(name, batch, q), 4) for q in (10, 50, 95, 99)}
                    | {
                        "ticks": len(samples),
                        "station_ticks_per_s": round(1000 * batch / self.percentile(name, batch, 50), 1),
                    }
                    for batch, samples in batches.items()
                }
                for name, batches in self.samples_ms.items()
            },
            "floor_ms": {str(batch): round(self.floor_ms(batch), 4) for batch in self.flops},
            "flops": {str(batch): flops for batch, flops in self.flops.items()},
            "matrix_product_gflops": round(self.gflops, 1),
            "on_gpu": sorted(self.on_gpu & set(self.samples_ms)),
            "skipped": self.skipped,
        }


def measure_steps(
    bundle: Bundle, batches: Sequence[int], rounds: int = ROUNDS, progress: Callable[[str], None] = lambda what: None
) -> StepFigures:
    """All contestants over all batches. What is not installed, or fails, is named in `skipped`."""
    figures = StepFigures()
    rate = ProductRate()
    for batch in batches:
        progress(f"batch {batch}")
        keypoints = moving_keypoints(bundle, batch)
        steps = {}
        for name, open_step in _contestants(bundle, batch, max(batches), keypoints, figures):
            progress(f"batch {batch}, {name}")
            try:
                step = open_step()
                for _ in range(3):
                    step()
                steps[name] = step
            except Exception as error:  # a compiler, a driver or memory that is missing: each in its own way
                figures.skipped[f"{name}, batch {batch}"] = str(error).strip().splitlines()[0][:200]
        feeds = {"keypoints": keypoints[0]} | {
            tensor.name: np.zeros((batch, *tensor.shape), np.float32) for tensor in bundle.info.state
        }
        figures.flops[batch] = product_flops(bundle.step_path, feeds)
        progress(f"batch {batch}")
        for _ in range(rounds):
            for _ in range(8):
                rate.sample()
            for name, step in steps.items():
                figures.add(name, batch, _timed(step))
    figures.gflops = rate.gflops
    return figures


def _timed(step: Step) -> list[float]:
    """Milliseconds of each tick of one turn: at least two, as many as fit."""
    times_ms: list[float] = []
    until_s = time.perf_counter() + SLICE_S
    while len(times_ms) < 2 or time.perf_counter() < until_s:
        started = time.perf_counter()
        step()
        times_ms.append(1000 * (time.perf_counter() - started))
    return times_ms


def moving_keypoints(bundle: Bundle, batch: int, ticks: int = 64) -> NDArray[np.float32]:
    """(ticks, B, K, 3) crop coordinates of joints scattered over the grid that wander: no tick is like the one before.

    All are seen, and limbs are longer than a body's: a runtime that leaves out what is not drawn gains less here than live.
    """
    from models.skeleton import layout

    joints, grid = layout(bundle.info.layout).size, float(bundle.info.crop.get("grid", 30.0))
    rng = np.random.default_rng(0)
    start = rng.uniform(0.2 * grid, 0.8 * grid, (1, batch, joints, 2))
    walk = start + np.cumsum(rng.normal(scale=0.01 * grid, size=(ticks, batch, joints, 2)), axis=0)
    return np.concatenate([walk, np.ones((ticks, batch, joints, 1))], axis=-1).astype(np.float32)


def _contestants(
    bundle: Bundle, batch: int, most: int, keypoints: NDArray[np.float32], figures: StepFigures
) -> Iterator[tuple[str, Callable[[], Step]]]:
    """Name, and what opens it. Those that cannot run here are named in `figures.skipped`."""
    for candidate in candidates(bundle):
        runtime = candidate.runtime
        if not candidate.usable:
            figures.skipped[runtime] = candidate.why
        elif runtime in MODULES:
            for precision in ("fp32", "fp16", "bf16"):
                name = f"{runtime} {precision}"
                figures.on_gpu.add(name)
                yield name, partial(_engine, bundle, batch, most, runtime, precision, keypoints)
        else:
            if runtime in ON_GPU:
                figures.on_gpu.add(runtime)
            yield runtime, partial(_runtime, bundle, batch, runtime, keypoints)
        if runtime == "torch" and candidate.usable:
            yield COMPILED, partial(_compiled, bundle, batch, keypoints)
            if _torch_device() == "cuda":
                figures.on_gpu |= {"torch", COMPILED, RECOMPUTE}
            elif batch > MOST_RECOMPUTED:
                figures.skipped[f"{RECOMPUTE}, batch {batch}"] = "on a CPU this takes minutes"
                continue
            yield RECOMPUTE, partial(_whole_window, bundle, keypoints)


def _runtime(bundle: Bundle, batch: int, runtime: str, keypoints: NDArray[np.float32]) -> Step:
    return _cycling(open_runtime(bundle, runtime).lanes(batch).step, keypoints)


def _engine(bundle: Bundle, batch: int, most: int, kind: str, precision: str, keypoints: NDArray[np.float32]) -> Step:
    """Built if it is not there yet; one engine for all batches."""
    from export.tensorrt import build_engine, engine_request

    build_engine(bundle, engine_request(bundle, kind, precision, max_batch=max(most, DEFAULT_MAX_BATCH)))
    return _cycling(open_runtime(bundle, kind, precision).lanes(batch).step, keypoints)


def _compiled(bundle: Bundle, batch: int, keypoints: NDArray[np.float32]) -> Step:
    from engine.embedder.pytorch import TorchRuntime

    runtime = TorchRuntime(bundle)
    runtime.compile()
    return _cycling(runtime.lanes(batch).step, keypoints)


def _torch_device() -> str:
    import torch

    return "cuda" if first_gpu() is not None and torch.cuda.is_available() else "cpu"


def _whole_window(bundle: Bundle, keypoints: NDArray[np.float32]) -> Step:
    """What the incremental step replaces: the network over the last W ticks at every tick, in eager PyTorch."""
    import torch

    from engine.embedder.pytorch import load_net

    device, window = _torch_device(), bundle.info.window
    net = load_net(bundle).to(device)
    repeats = -(-window // len(keypoints))
    sequence = torch.from_numpy(np.tile(keypoints, (repeats, 1, 1, 1))[:window].swapaxes(0, 1).copy()).to(device)

    def recompute() -> object:
        with torch.inference_mode():
            return net(sequence)[:, -1].cpu()

    return recompute


def _cycling(step: Callable[[NDArray[np.float32]], object], keypoints: NDArray[np.float32]) -> Step:
    ticks = 0

    def next_tick() -> object:
        nonlocal ticks
        ticks += 1
        return step(keypoints[ticks % len(keypoints)])

    return next_tick
