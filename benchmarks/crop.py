"""How the crop follows the body, judged without any learning: `python -m benchmarks.crop`.

Cropped keypoints themselves are the features; phases of tuning clips (training split, made into clock-free streams) are
transferred from one and from five other clips. About a minute on two cores. The decision is docs/decisions/001-causal-crop.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.crop import crop_sequence
from training.datasets.penn import load_penn
from training.evaluate.probe import probe

VARIANTS: tuple[dict[str, Any], ...] = (
    {"follow": 0, "rise": 0, "fall": 0},
    {"follow": 0},
    {"follow": 6},
    {"follow": 15},
    {"follow": 30},
    {"follow": 150},
)


def cropped(recordings: Sequence[NDArray[np.float32]], crop: dict[str, Any]) -> list[NDArray[np.float32]]:
    """Poses (T, 13, 3) of each recording → features (T, 26); a missing joint stands in the middle of the crop."""
    features = []
    for poses in recordings:
        placed = crop_sequence(poses, "body13", **crop)
        features.append(np.where(placed[..., 2:] > 0, placed[..., :2], 14.5).reshape(len(poses), -1))
    return features


def main() -> None:
    dataset = load_penn()
    print(f"{'crop':<40} {'AP@5':>6} {'NN 1':>6} {'NN 5':>6} {'HMM 1':>6} {'HMM 5':>6}")
    for crop in VARIANTS:
        figures = probe(lambda recordings, crop=crop: cropped(recordings, crop), dataset, 0, streams=True)  # type: ignore[misc]
        row = [figures[name] for name in ("ap@5", "nn_1", "nn_5", "hmm_1", "hmm_5")]
        print(f"{crop!s:<40} " + " ".join(f"{value:6.3f}" for value in row))


if __name__ == "__main__":
    main()
