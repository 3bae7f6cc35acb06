"""A recording becomes a pose track: every frame's operator, in one `.npz`. Finished tracks are recognised and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError, DataError, SourceError
from engine.pose.locating import Locator
from engine.pose.track import PoseTrack
from engine.sources.base import Source
from models import skeleton


def extract(
    source: Source, locator: Locator, *, estimator: str, each_frame: Callable[[float], None] | None = None
) -> PoseTrack:
    """The operator's poses over the whole source, in the locator's layout; nobody seen is an empty pose.

    `each_frame` is told the time in seconds of every frame. Frames whose time does not advance are left out. Raises
    SourceError where fewer than two frames can be read.
    """
    locator.reset()
    times_s: list[float] = []
    poses = []
    for frame in source:
        if times_s and frame.time_s <= times_s[-1]:
            continue
        times_s.append(frame.time_s)
        poses.append(locator(frame))
        if each_frame is not None:
            each_frame(frame.time_s)
    if len(poses) < 2:
        raise SourceError(
            f"nothing to follow in {source.name}",
            expected="at least two frames",
            found=f"{len(poses)}",
            next_step="Check the recording.",
        )
    return PoseTrack(
        np.stack(poses), np.array(times_s), locator.layout, source.size, source=source.name, estimator=estimator
    )


def share_seen(track: PoseTrack) -> float:
    """Fraction of the frames in which the operator was seen."""
    return float((track.poses[..., 2] > 0).any(axis=1).mean())


def origin(recording: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What a track is made from: compared with what an existing track says, to know whether it is finished."""
    stat = recording.stat() if recording.is_file() else None
    return {"recording": str(recording), "bytes": stat.st_size if stat else None, **settings}


def is_finished(target: Path, made_from: dict[str, Any]) -> bool:
    """True if `target` is a whole track made from just this. A truncated or foreign file is not."""
    try:
        return PoseTrack.load(target).labels.get("made_from") == made_from
    except DataError:
        return False


def targets(recordings: Sequence[str], folder: Path) -> list[Path]:
    """Where each recording's track goes: its name with `.npz`. Raises ConfigError if two would share a file."""
    paths = [folder / f"{Path(recording).stem}.npz" for recording in recordings]
    for path in paths:
        same = [recording for recording, other in zip(recordings, paths, strict=True) if other == path]
        if len(same) > 1:
            raise ConfigError(
                "recordings of the same name would share a track",
                expected="different names",
                found=", ".join(same),
                next_step="Extract them into different folders.",
            )
    return paths


def check_layout(name: str | None) -> str | None:
    """Raises ConfigError for a layout nobody knows."""
    if name is not None and name not in skeleton.LAYOUTS:
        raise ConfigError("unknown layout", expected=", ".join(skeleton.LAYOUTS), found=repr(name))
    return name
