"""Rendered stations as training clips: joints without drawing, degraded the way a pose estimator sees such a worker.

Every clip is one worker's recording: cycles, and the waiting between them. The estimator's habits (measured on MediaPipe in front of a rendered bench): legs
behind the bench are either missing or confident nonsense, hands are off by 2–8 px with errors that last, confidence wavers, and now and then it loses the person for a moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from engine.sources.rendered import StationParams, simulate
from engine.sources.rendered.parameters import PHASES, Deviation, DeviationKind
from training.datasets.base import Clip, Dataset

ACTION = "station"
LAYOUT = "body13"
MISTAKES: tuple[DeviationKind, ...] = ("skip", "repeat", "swap")
MISTAKE_SHARES = (0.25, 0.35, 0.4)
"""Of all mistakes, so that every phase comes after every other one."""
MOST_MISTAKES = 4
"""In one cycle."""
TORSO = slice(1, 3)
ELBOWS, WRISTS, HIPS, LEGS = [3, 4], [5, 6], [7, 8], [9, 10, 11, 12]


@dataclass(frozen=True)
class StationClips:
    """A dataset and, for each clip, its exact progress (T,) on the clock of the nominal procedure, NaN between cycles."""

    dataset: Dataset
    progress: dict[str, NDArray[np.float64]]


def with_mistakes(params: StationParams) -> StationParams:
    """The same worker, who in every cycle skips phases, does them again or swaps them with the next, one to four times.

    What comes before a phase must not decide what it looks like: that is the matcher's to weigh. With a single mistake in a
    cycle two of three phases follow the one they always follow, and one out of its order was embedded as what usually comes
    there (docs/decisions/012-any-order.md).
    """
    rng = np.random.default_rng([params.seed, 0x0DD])
    wrong = [
        Deviation(kind, int(rng.integers(len(PHASES) - (kind == "swap"))), cycle)
        for cycle in range(1, params.cycles + 1)
        for kind in rng.choice(MISTAKES, rng.integers(1, MOST_MISTAKES + 1), p=MISTAKE_SHARES)
    ]
    return replace(params, deviations=tuple(wrong))


def load_stations(workers: int, seed: int = 0, cycles: int = 2) -> StationClips:
    """`workers` random workers, each for `cycles` cycles, every other worker with mistakes. Same seed, same clips."""
    clips: list[Clip] = []
    progress: dict[str, NDArray[np.float64]] = {}
    for worker in range(workers):
        params = StationParams.random(10_000 * (seed + 1) + worker, cycles=cycles)
        if worker % 2:
            params = with_mistakes(params)
        truth = simulate(params)
        rng = np.random.default_rng([seed, worker])
        seen = estimated(truth.joints, rng)
        name = f"station-{seed}-{worker:04d}"
        phase = truth.phase.astype(np.int64)
        clips.append(Clip(name, ACTION, "train", seen, LAYOUT, params.fps, params.size, phase, "front"))
        progress[name] = np.where(phase >= 0, truth.cycle_progress, np.nan)
    return StationClips(Dataset("stations", tuple(clips)), progress)


def estimated(joints: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Exact joints (T, 13, 3) as an estimator might report them, same shape, pixels."""
    out = joints.copy()
    shoulders = joints[:, TORSO, :2]
    width = float(np.median(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1)))
    sigma = np.full(13, 0.025) * width
    sigma[ELBOWS] = rng.uniform(0.03, 0.07) * width
    sigma[WRISTS] = rng.uniform(0.03, 0.12) * width
    sigma[HIPS] = rng.uniform(0.03, 0.08) * width
    sigma[LEGS] = rng.uniform(0.1, 0.4) * width
    out[..., :2] += rng.normal(0, 0.04 * width, (1, 13, 2))
    out[..., :2] += _lasting_noise(joints.shape[:2], rng) * sigma[:, None]
    out[..., :2] += rng.normal(0, 0.005 * width, out[..., :2].shape)
    out[..., 2] = np.clip(rng.uniform(0.8, 1.0, 13) + rng.normal(0, 0.04, joints.shape[:2]), 0.0, 1.0)
    legs = rng.choice(["missing", "faint", "nonsense"])
    if legs == "missing":
        out[:, LEGS] = 0.0
    elif legs == "faint":
        out[:, LEGS, 2] *= rng.uniform(0.1, 0.5)
    else:  # the estimator folds the legs it cannot see
        hips = out[:, HIPS + HIPS, :2]
        out[:, LEGS, :2] = hips + rng.uniform(0.2, 1.2, (1, 4, 2)) * (0, width)
        out[:, LEGS, :2] += _lasting_noise((len(out), 4), rng) * 0.3 * width
        out[:, LEGS, 2] *= rng.uniform(0.2, 0.9)
    if rng.random() < 0.3:
        out[:, HIPS, 2] *= rng.uniform(0.0, 0.5)
    out[out[..., 2] <= 0] = 0.0
    return out.astype(np.float32)


def _lasting_noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise (T, K, 2) of unit variance whose errors last about a third of a second."""
    noise = gaussian_filter1d(rng.normal(size=(*shape, 2)), 5.0, axis=0, mode="nearest")
    return noise / 0.24
