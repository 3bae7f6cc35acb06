"""Penn Action as published: `labels/0001.mat` … with action, pose (view), train, x, y, visibility, nframes, dimensions.

No phases: the TCC labels are not part of the data set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from engine.errors import DataError
from training.datasets.base import Clip, Dataset
from training.datasets.penn import LAYOUT, RATE_HZ, confidences

_NAMES = {"bowl": "bowling", "pullup": "pullups", "pushup": "pushups", "squat": "squats"}
"""Action names of the files → those of the literature, where they differ."""


def load_penn_mat(folder: str | Path) -> Dataset:
    """All clips of the original folder (the one with `labels`), in file order.

    A file that breaks the format is named in `problems`. Raises DataError where there is no readable label file at all.
    """
    labels = Path(folder) / "labels"
    files = sorted(labels.glob("*.mat"))
    clips, problems = [], {}
    for file in files:
        try:
            clips.append(_clip(file.stem, loadmat(str(file))))
        except Exception as error:  # loadmat raises whatever its parser met
            problems[file.name] = str(error) or type(error).__name__
    if not clips:
        raise DataError(
            f"no Penn Action labels in {folder}",
            expected="labels/*.mat as published",
            found="; ".join(f"{name}: {what}" for name, what in list(problems.items())[:3]) or "no such files",
            next_step="Name the folder that contains `labels` and `frames`.",
        )
    return Dataset("penn_action", tuple(clips), problems)


def _clip(name: str, content: dict[str, Any]) -> Clip:
    """Raises ValueError or KeyError with what is wrong."""
    missing = [key for key in ("action", "train", "x", "y", "visibility", "dimensions") if key not in content]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    x, y, visibility = (np.asarray(content[key], np.float32) for key in ("x", "y", "visibility"))
    if x.shape != y.shape or x.shape != visibility.shape or x.ndim != 2 or x.shape[1] != 13 or not len(x):
        raise ValueError(f"x {x.shape}, y {y.shape}, visibility {visibility.shape}: not (frames, 13)")
    action = str(np.ravel(content["action"])[0])
    height, width = (int(value) for value in np.ravel(content["dimensions"])[:2])
    return Clip(
        name,
        _NAMES.get(action, action),
        "train" if int(np.ravel(content["train"])[0]) == 1 else "val",
        confidences(np.stack([x, y, visibility], axis=2)),
        LAYOUT,
        RATE_HZ,
        (width, height),
        None,
        str(np.ravel(content["pose"])[0]) if "pose" in content else "",
    )
