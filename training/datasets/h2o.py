"""H2O (Kwon et al., ICCV 2021): two hands manipulating objects, 21 joints each.

    <subject>/<place>/<sequence>/cam4/hand_pose/000000.txt     128 numbers: for the left, then the right hand, whether it
                                                               is annotated (0/1) and 21 × (x, y, z), metres, camera axes
                                     /action_label/000000.txt  one of 37 labels, 0: background (head camera only)
                                     /cam_intrinsics.txt       fx fy cx cy width height

Joints are projected to the picture. Subjects unpack as `subject1` or, per view, `subject1_ego` and the like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from training.datasets.base import Clip, Dataset

CAMERA = "cam4"
LAYOUT = "hands42"
RATE_HZ = 30.0
_VAL = frozenset({"subject3/k2", "subject3/o1", "subject3/o2"})
"""Besides all of subject 4, the published test set."""
# Last word: what the hands work on, which names the activity of a whole sequence.
_OBJECTS = {
    "book": (1, 9, 33), "espresso": (2, 10, 24, 28, 34), "lotion": (3, 11, 17, 20, 31, 36), "spray": (4, 12, 32, 35),
    "milk": (5, 13, 18, 21, 23), "cocoa": (6, 14, 25, 29), "chips": (7, 15, 19, 22, 26), "cappuccino": (8, 16, 27, 30),
}  # fmt: skip
_ACTIVITY = {"milk": "pouring_milk"}


def load_h2o(folder: str | Path, camera: str = CAMERA) -> Dataset:
    """One clip per sequence; phases are the published action labels (0–36), None for cameras without them.

    The action is the object most handled (milk: `pouring_milk`, the part the literature evaluates), or `unlabelled`.
    Broken sequences are named in `problems`. Raises DataError where there is no usable sequence.
    """
    folder = Path(folder)
    clips: list[Clip] = []
    problems: dict[str, str] = {}
    for place in sorted(folder.glob(f"subject*/*/*/{camera}")):
        subject, room, sequence = place.relative_to(folder).parts[:3]
        name = f"{subject.split('_')[0]}/{room}/{sequence}"
        try:
            clips.append(_clip(place, name, problems))
        except (OSError, ValueError) as error:
            problems[name] = str(error)
    if not clips:
        raise DataError(
            f"no usable H2O sequence in {folder}",
            expected=f"subject*/*/*/{camera}/hand_pose/*.txt",
            found="; ".join(f"{name}: {what}" for name, what in list(problems.items())[:3]) or "no such folders",
            next_step="Name the folder that contains subject1, subject2, …",
        )
    return Dataset("h2o", tuple(clips), problems)


def _clip(place: Path, name: str, problems: dict[str, str]) -> Clip:
    camera = _numbers(place / "cam_intrinsics.txt", 6)
    files = sorted((place / "hand_pose").glob("*.txt"))
    if not files:
        raise ValueError("no hand poses")
    poses = np.zeros((len(files), 42, 3), np.float32)
    broken = []
    for t, file in enumerate(files):
        try:
            poses[t] = _projected(_numbers(file, 128), camera)
        except (OSError, ValueError):  # one bad file does not cost the others
            broken.append(file.name)
    if broken:
        problems[name] = f"{len(broken)} broken pose files, from {broken[0]}: treated as no hands seen"
    phases = _labels(place / "action_label", files)
    split: Literal["train", "val"] = (
        "val" if name.startswith("subject4/") or name.rsplit("/", 1)[0] in _VAL else "train"
    )
    size = (int(camera[4]), int(camera[5]))
    return Clip(name, _activity(phases), split, poses, LAYOUT, RATE_HZ, size, phases, place.name)


def _numbers(path: Path, count: int) -> NDArray[np.float64]:
    values = np.array(path.read_text(encoding="utf-8").split(), np.float64)
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"{path.name} has {len(values)} numbers, expected {count} finite ones")
    return values


def _projected(values: NDArray[np.float64], camera: NDArray[np.float64]) -> NDArray[np.float32]:
    """(42, 3) pixels; a hand that is not annotated, or behind the camera, has confidence 0."""
    fx, fy, cx, cy = camera[:4]
    out = np.zeros((2, 21, 3))
    for hand, part in enumerate(np.split(values, 2)):
        joints = part[1:].reshape(21, 3)
        ahead = (joints[:, 2] > 0) & (part[0] == 1)
        x, y, z = joints[ahead].T
        out[hand, ahead] = np.stack([fx * x / z + cx, fy * y / z + cy, np.ones_like(z)], axis=1)
    return out.reshape(42, 3).astype(np.float32)


def _labels(folder: Path, files: list[Path]) -> NDArray[np.int64] | None:
    if not folder.is_dir():
        return None
    return np.array([int(_numbers(folder / file.name, 1)[0]) for file in files], np.int64)


def _activity(phases: NDArray[np.int64] | None) -> str:
    if phases is None or not phases.any():
        return "unlabelled"
    handled = {name: int(np.isin(phases, labels).sum()) for name, labels in _OBJECTS.items()}
    most = max(handled, key=lambda name: handled[name])
    return _ACTIVITY.get(most, most)
