"""What a model loses when joints are missing or noisy: accuracy (SVM, all labels) on damaged validation clips.

The paper drops one finger of a hand (4 of 42 joints) with probability p; a body's like is the end of one limb: elbow and
wrist, or knee and ankle, 2 of 13 joints, gone for the whole clip. Noise is i.i.d. on every joint of every frame.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models import skeleton
from training.datasets.base import Clip
from training.evaluate.controls import Features
from training.evaluate.metrics import PhaseSvm
from training.evaluate.offline import Action

DROP_PROBABILITIES = (0.0, 0.25, 0.5, 1.0)
NOISE = 1 / 30
"""Standard deviation as a fraction of the clip's box: one pixel of the paper's 30 × 30 heatmap."""
_LIMB_ENDS = (
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_knee", "left_ankle"),
    ("right_knee", "right_ankle"),
)


def without_a_limb(clip: Clip, probability: float, seed: int) -> NDArray[np.float32]:
    """Poses (T, K, 3) where, with this probability, the end of one limb is never seen.

    A clip that loses a limb at one probability loses the same one at every higher probability.
    """
    rng = np.random.default_rng([seed, zlib.crc32(clip.id.encode())])
    limb = _LIMB_ENDS[int(rng.integers(len(_LIMB_ENDS)))]
    poses = clip.poses.copy()
    if rng.random() < probability:
        joints = skeleton.layout(clip.layout)
        poses[:, [joints.index(name) for name in limb]] = 0.0
    return poses


def with_noise(clip: Clip, seed: int) -> NDArray[np.float32]:
    """Poses (T, K, 3) with Gaussian noise of `NOISE` times the longer side of the clip's box on every joint seen."""
    rng = np.random.default_rng([seed, zlib.crc32(clip.id.encode()), 1])
    poses = clip.poses.copy()
    seen = poses[..., 2] > 0
    if seen.any():
        side = float(np.ptp(poses[seen][:, :2], axis=0).max())
        poses[seen, :2] += rng.normal(0.0, NOISE * side, (int(seen.sum()), 2)).astype(np.float32)
    return poses


def robustness(
    features: Features, actions: Sequence[Action], seed: int, on_step: Callable[[str], None] = lambda what: None
) -> dict[str, dict[str, float]]:
    """{action: {"missing@0", … "missing@1", "clean>noisy", "noisy>clean", "noisy>noisy": accuracy in percent}}.

    `a>b`: trained on a, tested on b. Labelled actions only; `mean` is their mean.
    """
    results: dict[str, dict[str, float]] = {}
    for action in actions:
        if not action.labelled:
            continue
        on_step(f"{action.name}: robustness")
        train_labels = np.concatenate([clip.phases for clip in action.train if clip.phases is not None])
        labels = np.concatenate([clip.phases for clip in action.val if clip.phases is not None])
        classifiers = {
            "clean": PhaseSvm().fit(np.concatenate(features([clip.poses for clip in action.train])), train_labels),
            "noisy": PhaseSvm().fit(
                np.concatenate(features([with_noise(clip, seed) for clip in action.train])), train_labels
            ),
        }
        val = {f"missing@{p:g}": [without_a_limb(clip, p, seed) for clip in action.val] for p in DROP_PROBABILITIES} | {
            "noisy": [with_noise(clip, seed) for clip in action.val]
        }
        embedded = {name: np.concatenate(features(poses)) for name, poses in val.items()}

        def accuracy(trained_on: str, tested_on: NDArray[np.floating]) -> float:
            return 100.0 * float((classifiers[trained_on].predict(tested_on) == labels).mean())  # noqa: B023  used within the loop

        results[action.name] = {name: accuracy("clean", e) for name, e in embedded.items() if name != "noisy"} | {
            "clean>noisy": accuracy("clean", embedded["noisy"]),
            "noisy>clean": accuracy("noisy", embedded["missing@0"]),
            "noisy>noisy": accuracy("noisy", embedded["noisy"]),
        }
    if results:
        names = next(iter(results.values()))
        results["mean"] = {name: float(np.mean([of[name] for of in results.values()])) for name in names}
    return results
