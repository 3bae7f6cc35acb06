"""Penn Action (Zhang, Zhu, Derpanis, ICCV 2013) as packed for this project.

A folder with `keypoints.npz` (clip id → (T, 13, 3): x, y in pixels, visibility flag), `phases.npz` (clip id → (T,) phase
index, for the clips that are labelled; optional) and `index.csv` (id, action, split, and view, frames, height, width,
phases where known). Any folder in this format works.
"""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from models import skeleton
from training.datasets.base import Clip, Dataset
from training.datasets.location import data_folder

LAYOUT = "body13"
RATE_HZ = 30.0
"""Not stated by the data set; the literature uses 30."""
INVISIBLE_CONFIDENCE = 0.5
"""Of a joint that was annotated though hidden (flag 0 with coordinates): a guess of a person, better than nothing."""

_REQUIRED = ("id", "action", "split")
_ADVICE = "The format is described in the module training.datasets.penn."


def load_penn(folder: str | Path | None = None) -> Dataset:
    """All clips of a folder in our Penn Action format (None: `penn_action` in the data folder).

    Rows and arrays that break the rules are left out and named in `Dataset.problems`; a clip whose labels are broken
    stays, without labels. Raises DataError where the folder is not of this format at all.
    """
    folder = _find(folder)
    rows = _read_index(folder / "index.csv")
    keypoints = _read_arrays(folder / "keypoints.npz")
    phases = _read_arrays(folder / "phases.npz") if (folder / "phases.npz").exists() else {}
    problems: dict[str, str] = {}
    clips: dict[str, Clip] = {}
    for row in rows:
        name = row["id"]
        try:
            if name in clips:
                raise ValueError("listed twice in index.csv; the first one counts")
            if name not in keypoints:
                raise ValueError("in index.csv, but not in keypoints.npz")
            clips[name] = _clip(row, keypoints[name], problems)
        except ValueError as error:
            problems[name or "(row without id)"] = str(error)
    listed = {row["id"] for row in rows}
    for name, labels in phases.items():
        if name in clips:
            try:
                clips[name] = _labelled(clips[name], labels)
            except ValueError as error:
                problems[name] = f"labels ignored: {error}"
        elif name not in listed:
            problems[name] = "in phases.npz, but not in index.csv"
    problems.update({name: "in keypoints.npz, but not in index.csv" for name in keypoints if name not in listed})
    if not clips:
        raise DataError(
            f"no usable clip in {folder}",
            expected="at least one clip listed in index.csv with its keypoints",
            found="; ".join(f"{name}: {what}" for name, what in list(problems.items())[:3]) or "an empty index.csv",
            next_step=_ADVICE,
        )
    return Dataset("penn_action", tuple(clips.values()), problems)


def confidences(poses: NDArray[np.floating]) -> NDArray[np.float32]:
    """Poses (T, 13, 3) with a visibility flag → with a confidence.

    Placeholders (x ≤ 1 and y ≤ 1: never annotated) get 0, annotated but hidden joints `INVISIBLE_CONFIDENCE`.
    """
    out = skeleton.clean(poses)
    out[..., 2] = np.where(out[..., 2] > 0, out[..., 2], INVISIBLE_CONFIDENCE)
    out[(out[..., 0] <= 1) & (out[..., 1] <= 1)] = 0.0
    return out


def _find(folder: str | Path | None) -> Path:
    given = data_folder() if folder is None else Path(folder)
    for candidate in (given, given / "penn_action"):
        if (candidate / "keypoints.npz").is_file() and (candidate / "index.csv").is_file():
            return candidate
    raise DataError(
        f"no Penn Action copy in {given}",
        expected="a folder with keypoints.npz and index.csv",
        found="no such files" if given.is_dir() else "no such folder",
        next_step="Set LOCKSTEP_DATA to the folder of data sets, or name this one: `data: {folder: DIR}` in a training,"
        " --data DIR of `lockstep evaluate`.",
    )


def _read_index(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}", expected="a CSV file", found=str(error), next_step=_ADVICE) from error
    missing = [column for column in _REQUIRED if column not in columns]
    if missing:
        raise DataError(
            f"{path} lacks columns",
            expected=", ".join(_REQUIRED),
            found=", ".join(columns) or "nothing",
            next_step=_ADVICE,
        )
    return rows


def _read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"cannot read {path}", expected="an .npz of plain arrays", found=str(error), next_step=_ADVICE
        ) from error


def _clip(row: dict[str, str], array: NDArray[np.generic], problems: dict[str, str]) -> Clip:
    """Raises ValueError with what is wrong; notes in `problems` what could be repaired."""
    name, split = row["id"], row["split"]
    if not name or not row["action"]:
        raise ValueError("id or action is empty")
    if split not in ("train", "val"):
        raise ValueError(f"split is {split!r}, neither train nor val")
    joints = skeleton.layout(LAYOUT).size
    if array.ndim != 3 or array.shape[1:] != (joints, 3) or not len(array) or array.dtype.kind not in "fiu":
        raise ValueError(f"keypoints are {array.dtype} {array.shape}, not numbers (T ≥ 1, {joints}, 3)")
    if row.get("frames") and row["frames"] != str(len(array)):
        raise ValueError(f"index.csv says {row['frames']} frames, keypoints.npz has {len(array)}")
    unusable = int((~np.isfinite(array.astype(np.float64))).any(axis=-1).sum())
    if unusable:
        problems[name] = f"{unusable} joints are not finite numbers: treated as not seen"
    poses = confidences(array.astype(np.float32))
    try:
        size = (int(row.get("width") or 0), int(row.get("height") or 0))
    except ValueError:
        raise ValueError(
            f"width or height is not a whole number: {row.get('width')!r}, {row.get('height')!r}"
        ) from None
    if min(size) <= 0:  # unknown: as large as the skeleton needs
        size = (int(poses[..., 0].max()) + 1, int(poses[..., 1].max()) + 1)
    return Clip(
        name,
        row["action"],
        "train" if split == "train" else "val",
        poses,
        LAYOUT,
        RATE_HZ,
        size,
        None,
        row.get("view", ""),
    )


def _labelled(clip: Clip, labels: NDArray[np.generic]) -> Clip:
    if labels.shape != (len(clip.poses),):
        raise ValueError(f"{labels.shape} labels for {len(clip.poses)} frames")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels are {labels.dtype}, not whole numbers")
    phases = labels.astype(np.int64)
    if phases.min() < 0 or (np.diff(phases) < 0).any():
        raise ValueError("phase indices must start at 0 or above and never decrease")
    return Clip(
        clip.id, clip.action, clip.split, clip.poses, clip.layout, clip.rate_hz, clip.image_size, phases, clip.view
    )
