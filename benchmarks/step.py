"""Latency of one tick of the embedder: every way to compute it here, interleaved in one run, against the arithmetic floor.

Rounds of all contestants take turns, so that a busy machine slows all of them and the ratios stay honest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.flops import ProductRate, product_flops
from engine.bundle import Bundle
from engine.embedder.cuda import first_gpu
from engine.embedder.opening import candidates, open_runtime
from engine.errors import LockstepError

ROUNDS = 12
SLICE_S = 0.12
"""Time one contestant runs before the next has its turn."""
RECOMPUTE = "whole window, torch"

Step = Callable[[], object]


@dataclass
class StepFigures:
    """Milliseconds of single ticks, by contestant and batch."""

    samples_ms: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    flops: dict[int, int] = field(default_factory=dict)
    gflops: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    """Contestant → why it did not run."""

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
                    str(batch): {f"p{q}_ms": round(self.percentile(name, batch, q), 4) for q in (50, 95, 99)}
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
        steps = _contestants(bundle, batch, keypoints, figures)
        feeds = {"keypoints": keypoints[0]} | {
            tensor.name: np.zeros((batch, *tensor.shape), np.float32) for tensor in bundle.info.state
        }
        figures.flops[batch] = product_flops(bundle.step_path, feeds)
        for step in steps.values():
            for _ in range(3):
                step()
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
    """(ticks, B, K, 3) crop coordinates of joints that wander over the grid: no tick is like the one before."""
    from models.skeleton import layout

    joints = layout(bundle.info.layout).size
    rng = np.random.default_rng(0)
    walk = 15 + np.cumsum(rng.normal(scale=0.5, size=(ticks, batch, joints, 2)), axis=0)
    return np.concatenate([walk, np.ones((ticks, batch, joints, 1))], axis=-1).astype(np.float32)


def _contestants(bundle: Bundle, batch: int, keypoints: NDArray[np.float32], figures: StepFigures) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    for candidate in candidates():
        if not candidate.usable:
            figures.skipped[candidate.runtime] = candidate.why
            continue
        try:
            lanes = open_runtime(bundle, candidate.runtime).lanes(batch)
        except LockstepError as error:
            figures.skipped[candidate.runtime] = str(error)
            continue
        steps[candidate.runtime] = _cycling(lanes.step, keypoints)
        if candidate.runtime == "torch":
            steps |= _whole_window(bundle, batch, keypoints)
    return steps


def _whole_window(bundle: Bundle, batch: int, keypoints: NDArray[np.float32]) -> dict[str, Step]:
    """What the incremental step replaces: the network over the last W ticks at every tick, in eager PyTorch."""
    import torch

    from engine.embedder.pytorch import load_net

    device = "cuda" if first_gpu() is not None and torch.cuda.is_available() else "cpu"
    net = load_net(bundle).to(device)
    window = bundle.info.window
    repeats = -(-window // len(keypoints))
    sequence = torch.from_numpy(np.tile(keypoints, (repeats, 1, 1, 1))[:window].swapaxes(0, 1).copy()).to(device)

    def recompute() -> object:
        with torch.inference_mode():
            return net(sequence)[:, -1].cpu()

    return {RECOMPUTE: recompute}


def _cycling(step: Callable[[NDArray[np.float32]], object], keypoints: NDArray[np.float32]) -> Step:
    ticks = 0

    def next_tick() -> object:
        nonlocal ticks
        ticks += 1
        return step(keypoints[ticks % len(keypoints)])

    return next_tick
