"""What is checked before a training begins, the same for `lockstep train` and for every variant of a table.

`training.config` has judged the settings by themselves; here they meet the data and the checkpoints that they name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from models import skeleton
from models.lockstep_net import LockstepNet
from training.checkpoint import begin_from, mean_of, trained_net, write_json
from training.config import TrainingConfig
from training.datasets import stations
from training.datasets.station_tracks import load_station_tracks
from training.recordings import fitting, nothing_to_train_on, usable_clips

PROBLEMS = "problems.json"
SHOWN = 5


def check(config: TrainingConfig) -> dict[str, str]:
    """By name, what is wrong in the data: clips that are left out, and what of others is; empty where nothing is.

    Raises ConfigError, DataError or BundleError where the training could not begin.
    """
    network = config.network()
    if config.start_from:
        begin_from(LockstepNet(network), mean_of([trained_net(source) for source in config.start_from]))
    if config.schedule.steps == 0:
        return {}
    clips, problems = usable_clips(config.data)
    for clip in clips:
        fitting(clip.poses, clip.layout, network.layout, f"clip {clip.id}")
    actions = {clip.action for clip in clips}
    for folder in config.data.station_tracks:
        load_station_tracks(folder)
    if config.data.station_workers or config.data.station_tracks:
        nobody = np.zeros((skeleton.layout(stations.LAYOUT).size, 3))
        fitting(nobody, stations.LAYOUT, network.layout, "a rendered worker")
        actions.add(stations.ACTION)
    if not actions:
        raise nothing_to_train_on("no data set and no stations")
    unknown = [name for name in config.batches.emphasis if name not in actions]
    if unknown:
        raise ConfigError(
            f"batches.emphasis names {', '.join(unknown)}",
            expected=f"actions that are trained on ({', '.join(sorted(actions))})",
            next_step="Correct it.",
        )
    return problems


def keep_problems(folder: Path, problems: dict[str, str]) -> None:
    """Beside the settings of a run that is about to begin; of one that has begun nothing is changed."""
    if problems and not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / PROBLEMS, problems)


def in_words(problems: dict[str, str]) -> str:
    """Lines for a terminal: the first few, and how many more there are."""
    lines = [f"in the data, {name}: {why}" for name, why in list(problems.items())[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"… and {len(problems) - SHOWN} more: all are in the run folder's {PROBLEMS}")
    return "\n".join(lines)
