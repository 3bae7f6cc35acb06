"""From a training's data settings to the recordings it learns from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.errors import DataError
from models import skeleton
from training.batches import Recording
from training.config import DataConfig
from training.datasets import read
from training.datasets.location import data_folder
from training.datasets.station_tracks import load_station_tracks
from training.datasets.stations import StationClips, load_stations
from training.evaluate.probe import is_tuning

# Actions whose end is where they begin, so that one follows another.
CYCLIC = {
    "jumping_jacks",
    "pushups",
    "situp",
    "squats",
    "pullups",
    "bench_press",
    "jump_rope",
    "strum_guitar",
    "station",
}
# Where one hand has one task and the other another: mirrored recordings are another procedure.
HANDED = {"station"}
# Whose clips are a stretch of many repetitions, not one execution from start to end: not aligned across people.
UNTRIMMED = {"jump_rope", "strum_guitar"}
LEAST_FRAMES = 8


def load_recordings(config: DataConfig, layout: str, seed: int) -> list[Recording]:
    """Training clips in `layout`, as recordings. Raises DataError: data absent, none left, or of an unrelated layout."""
    recordings: list[Recording] = []
    if config.format is not None:
        dataset = read(config.format, config.folder or data_folder() / "penn_action")
        for clip in dataset.select(split="train"):
            if config.actions is not None and clip.action not in config.actions:
                continue
            if len(clip.poses) < LEAST_FRAMES or (config.hold_out_tuning and is_tuning(clip)):
                continue
            try:
                poses = skeleton.convert(clip.poses, clip.layout, layout)
            except KeyError as error:
                raise DataError(f"clip {clip.id} does not fit the network", expected=layout, found=str(error)) from None
            progress = np.linspace(0.0, 1.0, len(poses))
            recordings.append(
                Recording(
                    poses,
                    clip.rate_hz,
                    clip.action,
                    progress,
                    trimmed=clip.action not in UNTRIMMED,
                    cyclic=clip.action in CYCLIC,
                    handed=clip.action in HANDED,
                )
            )
    for stations in _stations(config, seed):
        recordings += [
            Recording(
                skeleton.convert(clip.poses, clip.layout, layout),
                clip.rate_hz,
                clip.action,
                stations.progress[clip.id],
                trimmed=False,
                exact=True,
                cyclic=True,
                handed=True,
            )
            for clip in stations.dataset.clips
        ]
    if not recordings:
        raise DataError(
            "nothing to train on",
            expected="training clips or rendered stations",
            found=f"none in {config.format} for actions {config.actions}",
            next_step="Correct `data:`.",
        )
    return recordings


def _stations(config: DataConfig, seed: int) -> Iterator[StationClips]:
    """Rendered workers: their joints made to look estimated, and their joints as really estimated."""
    if config.station_workers:
        yield load_stations(config.station_workers, seed)
    for folder in config.station_tracks:
        yield load_station_tracks(folder)
