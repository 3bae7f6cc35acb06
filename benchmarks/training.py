"""Where the time of a training goes: `python -m benchmarks.training configs/paper/one_action.yaml --steps 40`.

Runs the real trainer in a scratch folder and times, within it, drawing heatmaps, making batches (which happens beside the
step, in a thread of its own) and everything else. Shares are of the wall time of the run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from training import packing
from training.batches import Batches
from training.config import TrainingConfig, load_training
from training.trainer import train

WARM_UP = 5
"""Steps before the clock starts: compilation and first allocations are not what a training consists of."""


class Stopwatch:
    """Seconds spent in a function after its first `WARM_UP` calls, and when those were over."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self._calls = function, 0
        self.seconds, self.started = 0.0, 0.0

    def __call__(self, *args: Any) -> Any:
        begun = time.perf_counter()
        result = self._function(*args)
        self._calls += 1
        if self._calls > WARM_UP:
            self.seconds += time.perf_counter() - begun
        elif self._calls == WARM_UP:
            self.started = time.perf_counter()
        return result


def measure(config: TrainingConfig, steps: int) -> dict[str, float]:
    """Seconds per step, and the share of drawing heatmaps and of making batches in the wall time."""
    total = WARM_UP + steps
    schedule = config.schedule.model_copy(update={"steps": total})
    short = config.model_copy(update={"schedule": schedule, "checkpoint_every": total})
    drawing, batching = Stopwatch(packing.draw_patches), Stopwatch(Batches.__getitem__)
    with (
        patch.object(packing, "draw_patches", drawing),
        patch.object(Batches, "__getitem__", lambda batches, key: batching(batches, key)),
        tempfile.TemporaryDirectory() as folder,
    ):
        train(short, Path(folder) / "run")
    wall = time.perf_counter() - drawing.started
    return {
        "steps": steps,
        "threads": torch.get_num_threads(),
        "seconds_per_step": wall / steps,
        "minutes_for_the_whole_schedule": wall / steps * config.schedule.steps / 60,
        "heatmaps_share": drawing.seconds / wall,
        "batches_share": batching.seconds / wall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = {str(path): measure(load_training(path), asked.steps) for path in asked.configs}
    for path, figures in results.items():
        print(f"{path}: " + ", ".join(f"{name} {value:.3g}" for name, value in figures.items()))
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
