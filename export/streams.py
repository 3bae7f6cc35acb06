"""Real keypoints to compare and measure models on: recorded tracks, Penn Action clips, or rendered stations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError, LockstepError
from engine.pose.track import PoseTrack
from engine.resample import resample_track
from models import skeleton

PER_GROUP = 8
LEAST_TICKS = 20


@dataclass(frozen=True)
class Streams:
    """Recordings of one procedure on the model's tick grid: the first is the reference, the others follow it."""

    name: str
    reference: NDArray[np.float32]
    """(T, K, 3), pixels."""
    streams: tuple[NDArray[np.float32], ...]


def real_streams(data: Path | None, layout: str, rate_hz: float) -> list[Streams]:
    """Groups of recordings in `layout` at `rate_hz`.

    `data`: a folder of tracks (`lockstep pose`) or of our Penn Action format; None: Penn Action where it lies, else
    rendered stations. Raises DataError where nothing can be used.
    """
    recordings: dict[str, list[NDArray[np.float32]]] = {}
    for group, times_s, poses, source_layout in _recordings(data):
        try:
            poses = skeleton.convert(poses, source_layout, layout)
        except KeyError as error:
            raise DataError(
                f"recordings of {group} cannot feed this model",
                expected=f"a layout that converts to {layout}",
                found=source_layout,
                next_step="Name other recordings with --data.",
            ) from error
        if len(recordings.setdefault(group, [])) <= PER_GROUP:
            ticks = resample_track(times_s, poses, rate_hz)[1]
            if len(ticks) >= LEAST_TICKS:
                recordings[group].append(ticks)
    groups = [Streams(name, found[0], tuple(found[1:] or found)) for name, found in recordings.items() if found]
    if not groups:
        raise DataError(
            f"no recording of at least {LEAST_TICKS} ticks",
            expected="tracks written by `lockstep pose`, or a Penn Action copy",
            found=str(data),
            next_step="Name a folder of recordings with --data.",
        )
    return groups


_Recording = tuple[str, NDArray[np.float64], NDArray[np.float32], str]


def _recordings(data: Path | None) -> Iterator[_Recording]:
    """Group, times (T,), poses (T, K, 3), layout."""
    from training.datasets.location import data_folder
    from training.datasets.penn import load_penn

    folder = data_folder() if data is None else data
    tracks = sorted(folder.glob("*.npz")) if not (folder / "index.csv").exists() else []
    if data is not None and tracks:
        for path in tracks:
            track = PoseTrack.load(path)
            yield "tracks", track.times_s, track.poses, track.layout
        return
    try:
        clips = load_penn(folder).clips
    except LockstepError:
        if data is not None:
            raise
        yield from _rendered()
        return
    for clip in clips:
        yield clip.action, np.arange(len(clip.poses)) / clip.rate_hz, clip.poses, clip.layout


def _rendered() -> Iterator[_Recording]:
    from training.datasets.stations import load_stations

    for clip in load_stations(PER_GROUP // 2 + 1, seed=99).dataset.clips:
        yield "rendered station", np.arange(len(clip.poses)) / clip.rate_hz, clip.poses, clip.layout
