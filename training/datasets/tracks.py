"""A folder of pose tracks, as `lockstep pose` writes them: one's own recordings as a data set.

    <folder>/train/<action>/*.npz, <folder>/val/<action>/*.npz     split and action from the folders' names
    <folder>/<action>/*.npz, <folder>/*.npz                        one recording in five is for validation, by its name

Phases come from the track's labels, where it has `phases`: one index per pose.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.pose.track import PoseTrack
from engine.resample import resample_track
from training.datasets.base import Clip, Dataset

VAL_SHARE = 5


def load_tracks(folder: str | Path) -> Dataset:
    """All tracks below a folder, in order of their paths, each on an even clock of its own median rate.

    Broken tracks are named in `problems`, and so are tracks of another layout than the first one's. Raises DataError
    where no track can be used.
    """
    folder = Path(folder)
    clips: list[Clip] = []
    problems: dict[str, str] = {}
    for path in sorted(folder.rglob("*.npz")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            clip = _clip(PoseTrack.load(path), name, folder.name)
            if clips and clip.layout != clips[0].layout:
                raise ValueError(f"layout {clip.layout}, but the first track has {clips[0].layout}")
            clips.append(clip)
        except (DataError, ValueError) as error:
            problems[name] = str(error)
    if not clips:
        raise DataError(
            f"no usable pose track in {folder}",
            expected="*.npz files written by `lockstep pose`",
            found="; ".join(f"{name}: {what}" for name, what in list(problems.items())[:3]) or "no .npz files",
            next_step="Make them with `lockstep pose VIDEO... -o FOLDER`.",
        )
    return Dataset("tracks", tuple(clips), problems)


def _clip(track: PoseTrack, name: str, default_action: str) -> Clip:
    if len(track.times_s) < 2:
        raise ValueError(f"{len(track.times_s)} poses, expected at least two")
    rate_hz = 1.0 / float(np.median(np.diff(track.times_s)))
    ticks_s, poses = resample_track(track.times_s, track.poses, rate_hz)
    *folders, _ = name.split("/")
    split: Literal["train", "val"]
    if folders and folders[0] in ("train", "val"):
        split = "train" if folders[0] == "train" else "val"
        folders = folders[1:]
    else:
        split = "val" if hashlib.sha256(name.encode()).digest()[0] % VAL_SHARE == 0 else "train"
    phases = _phases(track)
    if phases is not None:
        phases = phases[np.abs(track.times_s[None] - ticks_s[:, None]).argmin(axis=1)]
    action = folders[0] if folders else default_action
    return Clip(name, action, split, poses, track.layout, rate_hz, track.image_size, phases)


def _phases(track: PoseTrack) -> NDArray[np.int64] | None:
    if "phases" not in track.labels:
        return None
    phases = np.asarray(track.labels["phases"])
    if phases.shape != track.times_s.shape or phases.dtype.kind not in "iu":
        raise ValueError(f"labels['phases'] is {phases.dtype} {phases.shape}, expected one whole number per pose")
    return phases.astype(np.int64)
