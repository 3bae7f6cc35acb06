"""IKEA ASM (Ben-Shabat et al., WACV 2021): people assembling furniture, seen by three cameras.

The published annotations, unpacked into one folder:

    gt_segments.json                       (or action_annotations/gt_segments.json) ActivityNet format: per recording the
                                           subset, and segments [first, last frame] with one of 33 labels, "NA" for none
                                           (the authors' code writes the last frame itself; where it reads, it loses it)
    <furniture>/<recording>/<camera>/predictions/pose2d/openpose/scan_video_000000000000_keypoints.json …
                                           OpenPose output (BODY_25) of each frame

Frames are numbered without gaps; the released videos run at 25 frames a second, 1920 × 1080.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from models import skeleton
from training.datasets.base import Clip, Dataset

CAMERA = "dev3"
"""The one whose poses were checked by hand."""
RATE_HZ = 25.0
SIZE = (1920, 1080)
LAYOUT = "openpose25"
NOTHING = "NA"

_SEGMENTS = ("gt_segments.json", "action_annotations/gt_segments.json")
_POSES = "predictions/pose2d/openpose"
_NUMBER = re.compile(r"(\d+)_keypoints\.json$")


def load_ikea_asm(folder: str | Path, camera: str = CAMERA) -> Dataset:
    """One clip per recording: action is the furniture in lower case, phase the index of the atomic action.

    Index 0 is "NA", the others follow in alphabetical order, as in the data set's own code. Recordings without poses or
    with broken files are named in `problems`. Raises DataError where the folder has no segments or no usable recording.
    """
    folder = Path(folder)
    database = _segments(folder)
    labels = sorted({s["label"] for entry in database.values() for s in entry["annotation"]} - {NOTHING})
    index = {NOTHING: 0, **{label: i for i, label in enumerate(labels, 1)}}
    clips: list[Clip] = []
    problems: dict[str, str] = {}
    for recording, entry in database.items():
        try:
            clips.append(_clip(folder, recording, camera, entry, index, problems))
        except (OSError, ValueError, KeyError, TypeError) as error:  # one bad file does not cost the others
            problems[recording] = str(error) or type(error).__name__
    if not clips:
        raise DataError(
            f"no usable recording in {folder}",
            expected=f"<furniture>/<recording>/{camera}/{_POSES}/*_keypoints.json",
            found="; ".join(f"{name}: {what}" for name, what in list(problems.items())[:3]) or "no recordings",
            next_step="Unpack the published pose annotations beside the action annotations.",
        )
    return Dataset("ikea_asm", tuple(clips), problems)


def _segments(folder: Path) -> dict[str, Any]:
    path = next((folder / name for name in _SEGMENTS if (folder / name).is_file()), folder / _SEGMENTS[0])
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["database"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot read {path}",
            expected="the published gt_segments.json",
            found=str(error) or type(error).__name__,
            next_step="Unpack the published action annotations there.",
        ) from error


def _clip(
    folder: Path, recording: str, camera: str, entry: Any, index: dict[str, int], problems: dict[str, str]
) -> Clip:
    files = {}
    for path in (folder / recording / camera / _POSES).glob("*_keypoints.json"):
        if found := _NUMBER.search(path.name):
            files[int(found[1])] = path
    if not files:
        raise ValueError(f"no poses of camera {camera}")
    length = max(files) + 1
    poses = np.zeros((length, skeleton.layout(LAYOUT).size, 3), np.float32)
    broken = length - len(files)
    for number, path in files.items():
        try:
            poses[number] = _largest_person(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):  # one bad file does not cost the others
            broken += 1
    if broken:
        problems[recording] = f"{broken} of {length} frames have no readable pose file: treated as nobody seen"
    phases = np.zeros(length, np.int64)
    for segment in entry["annotation"]:
        first, last = segment["segment"]
        phases[int(first) : int(last) + 1] = index[segment["label"]]
    split: Literal["train", "val"] = "train" if entry["subset"] == "training" else "val"
    furniture = recording.split("/")[0].lower()
    return Clip(recording, furniture, split, poses, LAYOUT, RATE_HZ, SIZE, phases, camera)


def _largest_person(frame: Any) -> NDArray[np.float32]:
    """(25, 3) of the person with the largest box of joints seen; zeros where there is nobody."""
    people = [np.asarray(person["pose_keypoints_2d"], np.float32).reshape(-1, 3) for person in frame["people"]]
    if not people:
        return skeleton.layout(LAYOUT).empty()
    return skeleton.clean(max(people, key=_area))


def _area(pose: NDArray[np.float32]) -> float:
    seen = pose[pose[:, 2] > 0]
    return float(np.ptp(seen[:, 0]) * np.ptp(seen[:, 1])) if len(seen) else 0.0
