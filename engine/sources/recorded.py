"""Recorded poses as a source: what a pose estimator saw once, without pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.errors import SourceError
from engine.pose.track import PoseTrack
from engine.sources.base import Frame


class RecordedPoses:
    """Raises SourceError for a track that is missing or empty, DataError for one that breaks its format."""

    live = False
    dropped = 0

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(
                f"no pose track at {path}", next_step="Make one with `lockstep pose VIDEO -o DIR`, or check the path."
            )
        self.track = PoseTrack.load(path)
        if not len(self.track.times_s):
            raise SourceError(f"the pose track {path} is empty", next_step="Make it again with `lockstep pose`.")
        self.name = path.name
        self.layout: str | None = self.track.layout
        self.duration_s = self.track.duration_s
        self.size = self.track.image_size
        steps = np.diff(self.track.times_s)
        self.fps = float(1 / np.median(steps)) if len(steps) else 30.0

    def __len__(self) -> int:
        return len(self.track.times_s)

    def __iter__(self) -> Iterator[Frame]:
        start_s = self.track.times_s[0]
        for index, (time_s, pose) in enumerate(zip(self.track.times_s, self.track.poses, strict=True)):
            yield Frame(index, float(time_s - start_s), None, pose, time.monotonic())

    def close(self) -> None:
        """Nothing to release."""
