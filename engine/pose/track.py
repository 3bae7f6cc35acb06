"""A recorded pose track: what a pose estimator saw in one video, as one `.npz` file without pickles."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from models import skeleton

FORMAT = 1


@dataclass(frozen=True)
class PoseTrack:
    """Poses of one operator over time."""

    poses: NDArray[np.float32]
    """(T, K, 3): x, y in pixels, confidence 0–1; confidence 0 where not seen."""
    times_s: NDArray[np.float64]
    """(T,) capture times, increasing."""
    layout: str
    image_size: tuple[int, int]
    """Width, height in pixels."""
    source: str = ""
    estimator: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    """Anything JSON can hold that belongs to the recording (ground truth of rendered stations, for one)."""

    def __post_init__(self) -> None:
        joints = skeleton.layout(self.layout).size
        if self.poses.ndim != 3 or self.poses.shape[1:] != (joints, 3) or len(self.poses) != len(self.times_s):
            raise DataError(
                f"pose track {self.source or 'in memory'} has the wrong shape",
                expected=f"poses (T, {joints}, 3) for {self.layout} and T times",
                found=f"poses {self.poses.shape} and {len(self.times_s)} times",
            )

    @property
    def duration_s(self) -> float:
        return float(self.times_s[-1] - self.times_s[0]) if len(self.times_s) else 0.0

    def cut(self, start_s: float | None, end_s: float | None) -> PoseTrack:
        """The part from `start_s` to `end_s` inclusive, times as they were. Raises DataError: fewer than two poses, in it or in all."""
        if len(self.times_s) < 2:
            raise DataError(
                f"the recording {self.source} holds {'only one pose' if len(self.times_s) else 'no poses'}",
                expected="two poses or more",
                found=f"{len(self.times_s)}",
                next_step="Record it again, or choose another recording.",
            )
        lo = -np.inf if start_s is None else start_s
        hi = np.inf if end_s is None else end_s
        first_s, last_s = float(self.times_s[0]), float(self.times_s[-1])
        keep = (self.times_s >= lo - 1e-9) & (self.times_s <= hi + 1e-9)
        if keep.sum() < 2:
            raise DataError(
                f"{'only one pose' if keep.any() else 'no poses'} between {first_s if start_s is None else start_s:g} "
                f"and {last_s if end_s is None else end_s:g} s in {self.source}",
                expected=f"two or more, in a part of {first_s:.2f}–{last_s:.2f} s",
                found=f"{keep.sum()}",
                next_step="Correct --start and --end.",
            )
        return PoseTrack(
            self.poses[keep], self.times_s[keep], self.layout, self.image_size, self.source, self.estimator, self.labels
        )

    def save(self, path: Path) -> None:
        meta = {
            "format": FORMAT,
            "layout": self.layout,
            "image_size": list(self.image_size),
            "source": self.source,
            "estimator": self.estimator,
            "labels": self.labels,
        }
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                poses=self.poses.astype(np.float32),
                times_s=self.times_s.astype(np.float64),
                meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
            )
        partial.replace(path)  # a crash leaves the old file or none, never half of one

    @staticmethod
    def load(path: Path) -> PoseTrack:
        """Raises DataError for a missing, truncated or foreign file, an unknown layout, or times that go back."""
        try:
            with np.load(path, allow_pickle=False) as file:
                poses, times_s = file["poses"], file["times_s"]
                meta = json.loads(file["meta"].tobytes())
            track = PoseTrack(
                skeleton.clean(poses),
                times_s.astype(np.float64),
                meta["layout"],
                (int(meta["image_size"][0]), int(meta["image_size"][1])),
                meta.get("source", str(path)),
                meta.get("estimator", ""),
                meta.get("labels", {}),
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"cannot read the pose track {path}",
                expected="a .npz written by `lockstep pose`",
                found=str(error) or type(error).__name__,
                next_step="Make it again with `lockstep pose VIDEO -o DIR`.",
            ) from error
        if len(track.times_s) > 1 and not (np.diff(track.times_s) > 0).all():
            raise DataError(
                f"pose track {path} has times that do not increase", next_step="Make it again with `lockstep pose`."
            )
        return track
