"""From a training's data settings to the recordings it learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from models import skeleton
from training.batches import Recording
from training.config import DataConfig
from training.datasets import read
from training.datasets.base import Clip, Dataset
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
    clips, _ = usable_clips(config)
    shares = phase_shares(_dataset(config).select(split="train", labelled=True)) if clips else {}
    for clip in clips:
        marked = anchored(clip, shares[clip.action]) if config.phase_labels and clip.phases is not None else None
        poses = fitting(clip.poses, clip.layout, layout, f"clip {clip.id}")
        recordings.append(
            Recording(
                poses,
                clip.rate_hz,
                clip.action,
                np.linspace(0.0, 1.0, len(poses)) if marked is None else marked,
                trimmed=clip.action not in UNTRIMMED,
                exact=marked is not None,
                cyclic=clip.action in CYCLIC,
                handed=clip.action in HANDED,
            )
        )
    for stations, weight in _stations(config, seed):
        workers = [
            Recording(
                fitting(clip.poses, clip.layout, layout, f"clip {clip.id}"),
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
        recordings += workers * weight
    if not recordings:
        raise nothing_to_train_on("no data set and no stations")
    return recordings


def nothing_to_train_on(found: str, next_step: str = "Correct `data:`.") -> DataError:
    return DataError(
        "nothing to train on", expected="training clips or rendered stations", found=found, next_step=next_step
    )


def usable_clips(config: DataConfig) -> tuple[list[Clip], dict[str, str]]:
    """The training clips that are asked for, and, by name, what of the data set cannot be used and why.

    Raises DataError: no such data, no training clip of an action that is asked for, or none that can be used.
    """
    if config.format is None:
        return [], {}
    dataset = _dataset(config)
    training = dataset.select(split="train")
    if not training:
        for_tracks = "below `train/`" if config.format == "tracks" else "with the split train"
        raise nothing_to_train_on(
            f"{len(dataset.clips)} clips in {config.format}, all of them for validation",
            f"Put those to learn from {for_tracks}.",
        )
    there = sorted({clip.action for clip in training})
    lacking = [action for action in config.actions or () if action not in there]
    if lacking:
        raise DataError(
            f"no training clip of {', '.join(lacking)}",
            expected=f"actions among {', '.join(there) or 'none: there are no training clips'}",
            next_step="Correct `data.actions`.",
        )
    clips, problems = [], dict(dataset.problems)
    for clip in training:
        if config.actions is not None and clip.action not in config.actions:
            continue
        if len(clip.poses) < LEAST_FRAMES:
            problems[clip.id] = f"{len(clip.poses)} frames, a training needs {LEAST_FRAMES} of a clip"
        elif not (config.hold_out_tuning and is_tuning(clip)):
            clips.append(clip)
    if not clips:
        why = "; ".join(f"{name}: {what}" for name, what in list(problems.items())[:3])
        raise nothing_to_train_on(f"no usable clip in {config.format}" + (f" ({why})" if why else ""))
    return clips, problems


def fitting(poses: NDArray[np.floating], layout: str, wanted: str, what: str) -> NDArray[np.float32]:
    """`poses` of `layout` in the one that is `wanted`. Raises DataError, which names `what` they are of."""
    try:
        return skeleton.convert(poses, layout, wanted)
    except KeyError as error:
        raise DataError(
            f"{what} does not fit the network",
            expected=f"a layout that has the joints of {wanted}",
            found=str(error.args[0]),
            next_step="Correct `net.layout` or `data:`.",
        ) from None


def _dataset(config: DataConfig) -> Dataset:
    assert config.format is not None
    return _read(config.format, config.folder or data_folder() / "penn_action")


@lru_cache(maxsize=1)
def _read(format: str, folder: Path) -> Dataset:
    """Checked before a training and read for it: once is enough."""
    return read(format, folder)


def phase_shares(clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
    """Action → (C + 1,) where its phases begin and end in a typical execution, 0–1: the mean over labelled clips."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for clip in clips:
        found.setdefault(clip.action, []).append(_starts(clip) / len(clip.poses))
    most = {action: max(map(len, starts)) for action, starts in found.items()}
    return {action: np.mean([s for s in starts if len(s) == most[action]], axis=0) for action, starts in found.items()}


def anchored(clip: Clip, shares: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(T,) progress 0–1 that passes each key event where a typical execution does, even between them.

    None where the clip has not the phases of one: where in the procedure it is, its labels do not say.
    """
    starts = _starts(clip)
    if len(starts) != len(shares):
        return None
    return np.interp(np.arange(len(clip.poses)) + 0.5, starts, shares)


def _starts(clip: Clip) -> NDArray[np.float64]:
    """(C + 1,) frames where phases begin, and the end."""
    assert clip.phases is not None
    changes = np.flatnonzero(np.diff(clip.phases)) + 1
    return np.array([0, *changes, len(clip.poses)], float)


def _stations(config: DataConfig, seed: int) -> Iterator[tuple[StationClips, int]]:
    """Rendered workers: their joints made to look estimated, and their joints as really estimated; with how often each counts."""
    if config.station_workers:
        yield load_stations(config.station_workers, seed), 1
    for folder in config.station_tracks:
        yield load_station_tracks(folder), config.station_tracks_weight
