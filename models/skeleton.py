"""Skeleton layouts: joints, limbs, flips and conversions between layouts, all as data. NumPy only.

A *pose* is a float32 array (K, 3): x and y in pixels, confidence 0–1. A joint that was not seen has confidence 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """A named joint set.

    `limbs` are pairs of joint indices drawn as segments; `flip` maps each joint to its mirror image (left ↔ right).
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip: tuple[int, ...] = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Index of a joint by name. Raises KeyError."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(f"layout {self.name} has no joint {joint!r}") from None

    def empty(self) -> NDArray[np.float32]:
        """The explicit 'nobody there' pose: zeros, confidence 0. Shape (K, 3)."""
        return np.zeros((self.size, 3), np.float32)


def _layout(name: str, joints: Sequence[str], limbs: Sequence[tuple[str, str]]) -> Layout:
    index = {joint: i for i, joint in enumerate(joints)}

    def mirror(joint: str) -> str:
        if joint.startswith("left_"):
            return "right_" + joint[5:]
        if joint.startswith("right_"):
            return "left_" + joint[6:]
        return joint

    return Layout(
        name,
        tuple(joints),
        tuple((index[a], index[b]) for a, b in limbs),
        tuple(index.get(mirror(joint), i) for i, joint in enumerate(joints)),
    )


def _both(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    return [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in pairs]


def _sides(*names: str) -> list[str]:
    return [f"{side}_{name}" for name in names for side in ("left", "right")]


_ARMS_AND_LEGS = _both(
    ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip")
)
_GIRDLES = [("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")]

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_HAND = ["wrist"] + [f"{finger}_{i}" for finger in _FINGERS for i in range(1, 5)]
_HAND_LIMBS = [
    (a, b)
    for finger in _FINGERS
    for a, b in zip(
        ["wrist"] + [f"{finger}_{i}" for i in range(1, 4)], [f"{finger}_{i}" for i in range(1, 5)], strict=True
    )
]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        # Penn Action order: the canonical body.
        _layout(
            "body13",
            ["head", *_sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle")],
            [*_ARMS_AND_LEGS, *_GIRDLES, ("head", "left_shoulder"), ("head", "right_shoulder")],
        ),
        _layout(
            "coco17",
            ["nose", *_sides("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")],
            [*_ARMS_AND_LEGS, *_GIRDLES, ("nose", "left_eye"), ("nose", "right_eye"), *_both(("eye", "ear"))],
        ),
        _layout(
            "halpe26",
            [
                *["nose", *_sides("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")],
                *["head", "neck", "pelvis", *_sides("big_toe", "small_toe", "heel")],
            ],
            [
                *_ARMS_AND_LEGS,
                *_GIRDLES,
                ("head", "neck"),
                ("neck", "pelvis"),
                *_both(("ankle", "big_toe"), ("ankle", "heel")),
            ],
        ),
        _layout(
            "openpose25",
            [
                *["nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow"],
                *[
                    "left_wrist",
                    "pelvis",
                    "right_hip",
                    "right_knee",
                    "right_ankle",
                    "left_hip",
                    "left_knee",
                    "left_ankle",
                ],
                *["right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel"],
                *["right_big_toe", "right_small_toe", "right_heel"],
            ],
            [
                *_ARMS_AND_LEGS,
                *_GIRDLES,
                ("nose", "neck"),
                ("neck", "pelvis"),
                *_both(("ankle", "big_toe"), ("ankle", "heel")),
            ],
        ),
        _layout(
            "mediapipe33",
            [
                *[
                    "nose",
                    "left_eye_inner",
                    "left_eye",
                    "left_eye_outer",
                    "right_eye_inner",
                    "right_eye",
                    "right_eye_outer",
                ],
                *_sides("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
                *_sides("hip", "knee", "ankle", "heel", "foot_index"),
            ],
            [
                *[*_ARMS_AND_LEGS, *_GIRDLES, ("left_mouth", "right_mouth")],
                *_both(
                    ("wrist", "index"),
                    ("wrist", "pinky"),
                    ("wrist", "thumb"),
                    ("ankle", "heel"),
                    ("heel", "foot_index"),
                ),
            ],
        ),
        _layout("hand21", _HAND, _HAND_LIMBS),
        _layout(
            "hands42",
            [f"{side}_{joint}" for side in ("left", "right") for joint in _HAND],
            [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _HAND_LIMBS],
        ),
    )
}

# Target joints whose name the source layout lacks: the source joints to average, in order of preference.
_STAND_INS: dict[str, tuple[tuple[str, ...], ...]] = {
    "head": (("left_ear", "right_ear"), ("nose",)),
    "nose": (("head",),),
    "neck": (("left_shoulder", "right_shoulder"),),
    "pelvis": (("left_hip", "right_hip"),),
}


SHARED_AT_LEAST = 0.25
"""Share of a layout's joints that another one must have to be converted to it. Of bodies it is 39 % at least."""


def layout(name: str) -> Layout:
    """A layout by name. Raises KeyError that lists the known names."""
    try:
        return LAYOUTS[name]
    except KeyError:
        raise KeyError(f"unknown layout {name!r}; known: {', '.join(LAYOUTS)}") from None


def conversion(source: str, target: str) -> tuple[tuple[int, ...], ...]:
    """For each joint of `target`, the joints of `source` to average (empty where the source has nothing like it).

    Raises KeyError if the layouts share too few joints: of hands only the wrists are a body's, and those show no work.
    """
    src, dst = layout(source), layout(target)
    known = {joint: i for i, joint in enumerate(src.joints)}
    table = []
    for joint in dst.joints:
        candidates = ((joint,), *_STAND_INS.get(joint, ()))
        found = next((names for names in candidates if all(name in known for name in names)), ())
        table.append(tuple(known[name] for name in found))
    shared = sum(map(bool, table))
    if shared < SHARED_AT_LEAST * dst.size:
        raise KeyError(f"cannot convert {source} to {target}: they share {shared} of {dst.size} joints")
    return tuple(table)


def convert(poses: NDArray[np.floating], source: str, target: str) -> NDArray[np.float32]:
    """Poses (..., K_source, 3) in `source` layout → (..., K_target, 3) in `target` layout.

    A joint averaged from several has the least of their confidences; a joint the source lacks has confidence 0.
    Raises KeyError for unknown or unrelated layouts, ValueError for a wrong number of joints.
    """
    poses = np.asarray(poses, np.float32)
    if poses.shape[-2:] != (layout(source).size, 3):
        raise ValueError(f"expected poses (..., {layout(source).size}, 3) for {source}, found shape {poses.shape}")
    if source == target:
        return poses
    out = np.zeros((*poses.shape[:-2], layout(target).size, 3), np.float32)
    for k, sources in enumerate(conversion(source, target)):
        if sources:
            joints = poses[..., sources, :]
            out[..., k, :2] = joints[..., :2].mean(axis=-2)
            out[..., k, 2] = joints[..., 2].min(axis=-1)
    return out


def clean(poses: NDArray[np.floating]) -> NDArray[np.float32]:
    """Poses with every non-finite joint made 'not seen' (zeros), and confidence clipped to 0–1. Shape unchanged."""
    out = np.array(poses, np.float32)
    out[~np.isfinite(out).all(axis=-1)] = 0.0
    np.clip(out[..., 2], 0.0, 1.0, out=out[..., 2])
    return out
