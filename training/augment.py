"""Augmentation of skeletons: pure functions of poses and a generator; time, where it changes, is returned as the label.

Poses are (T, K, 3) in pixels, confidence 0 where a joint is missing; every function returns new poses of the same kind.
*Timings* are the fractional frames of the recording that the ticks of a stream show: they are the labels, so the
correspondence of two streams of one recording is known exactly.

LA2DS: `random_subset` (temporal), `position_noise`, `rotated_limb` (orientation), `flipped`. The rest is what streams
from a camera need: own pace, pauses, random starts, missing joints and limbs, faint confidence, camera roll and scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models import skeleton

Poses = NDArray[np.float32]
Timing = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Augmentation:
    """How much of what. Probabilities are per stream (`_p`) unless said otherwise; zero switches a part off."""

    slowest: float = 1 / 3
    fastest: float = 3.0
    """Each of up to `pieces` parts of a stream runs at a speed log-uniform in this range."""
    pieces: int = 3
    cut_p: float = 0.5
    cut_up_to: float = 0.4
    """Share of the recording that may be missing at its beginning."""
    pause_p: float = 0.3
    pause_s: tuple[float, float] = (0.3, 2.0)
    idle_p: float = 0.3
    """The first pose held, as if the person waited."""
    subset_p: float = 0.0
    """LA2DS temporal augmentation: a random sorted subset of the frames."""
    noise_p: float = 0.5
    noise: float = 0.03
    """Standard deviation of joint positions, in body lengths (a heatmap pixel of 30 is about 0.13)."""
    rotate_p: float = 0.5
    rotate: float = 0.15
    """Standard deviation of a limb's extra angle about its parent, radians."""
    flip_p: float = 0.5
    roll: float = 0.12
    """Standard deviation of the camera's roll, radians."""
    stretch: float = 0.08
    """Standard deviation of the logarithm of height over width: another camera angle, another build."""
    drop_joint_p: float = 0.03
    """Per joint: missing for the whole stream."""
    drop_limb_p: float = 0.1
    """Per arm or leg."""
    hide_legs_p: float = 0.1
    """Everything below the hips, half of the time the hips too: a person behind a bench."""
    occlusion_p: float = 0.2
    """A few joints missing for a span."""
    faint_p: float = 0.5
    """Confidence is noisy, as that of an estimator."""
    crop_shift: float = 0.05
    """Standard deviation of the crop's centre, in parts of its side."""
    crop_scale: float = 0.1
    """Standard deviation of the logarithm of the crop's side."""


NONE = Augmentation(
    slowest=1.0, fastest=1.0, pieces=1, cut_p=0, pause_p=0, idle_p=0, noise_p=0, rotate_p=0, flip_p=0, roll=0, stretch=0,
    drop_joint_p=0, drop_limb_p=0, hide_legs_p=0, occlusion_p=0, faint_p=0, crop_shift=0, crop_scale=0,
)  # fmt: skip


# --- time -----------------------------------------------------------------------------------------------------------


def own_pace(start: float, end: float, step: float, slowest: float, fastest: float, pieces: int, rng: Rng) -> Timing:
    """Frames from `start` to `end` (inclusive limits) at `step` frames per tick, in random pieces each at its own speed."""
    count = int(rng.integers(1, pieces + 1))
    edges = np.concatenate([[start], np.sort(rng.uniform(start, end, count - 1)), [end]])
    parts = []
    for a, b in itertools.pairwise(edges):
        speed = math.exp(rng.uniform(math.log(slowest), math.log(fastest)))
        parts.append(np.linspace(a, b, max(1, round((b - a) / (step * speed))), endpoint=False))
    return np.concatenate([*parts, [end]])


def paused(timing: Timing, ticks: int, rng: Rng) -> Timing:
    """The timing with one random tick held for `ticks` more."""
    at = int(rng.integers(len(timing)))
    return np.insert(timing, at, np.full(ticks, timing[at]))


def random_subset(timing: Timing, share: float, rng: Rng) -> Timing:
    """A random sorted `share` of the ticks, at least two (LA2DS temporal augmentation)."""
    count = max(2, round(share * len(timing)))
    return timing[np.sort(rng.choice(len(timing), min(count, len(timing)), replace=False))]


def at_times(poses: Poses, timing: Timing) -> Poses:
    """Poses at fractional frames (N,) → (N, K, 3), linear; a joint missing in one neighbour comes from the nearer one."""
    low = np.clip(timing.astype(int), 0, len(poses) - 1)
    high = np.minimum(low + 1, len(poses) - 1)
    weight = (timing - low).astype(np.float32)[:, None, None]
    a, b = poses[low], poses[high]
    mixed = a + (b - a) * weight
    nearer = np.where(weight < 0.5, a, b)
    one_sided = ((a[..., 2] > 0) != (b[..., 2] > 0))[..., None]
    return np.where(one_sided, nearer, mixed)


# --- body -----------------------------------------------------------------------------------------------------------


_ARM = ("elbow", "wrist", "pinky", "index", "thumb")
_LEG = ("knee", "ankle", "heel", "foot_index", "big_toe", "small_toe")
"""Joints of an arm and of a leg beyond its root, in the layouts that have them."""


@dataclass(frozen=True)
class Limbs:
    """Arms and legs of a layout: for each, the joint it turns about and the joints that turn."""

    arms: tuple[tuple[int, tuple[int, ...]], ...]
    legs: tuple[tuple[int, tuple[int, ...]], ...]
    below_hips: tuple[int, ...] = field(default=())

    @staticmethod
    def of(layout: skeleton.Layout) -> Limbs:
        """Of a body layout; a hand's fingers count as arms."""
        names = layout.joints
        if "left_hip" not in names:
            roots = [i for i, name in enumerate(names) if name.endswith("_1")]
            return Limbs(tuple((i, tuple(range(i + 1, i + 4))) for i in roots), ())

        def turning(side: str, root: str, *parts: str) -> tuple[int, tuple[int, ...]]:
            joints = (f"{side}_{part}" for part in parts)
            return layout.index(f"{side}_{root}"), tuple(layout.index(joint) for joint in joints if joint in names)

        def limbs(root: str, *parts: str) -> tuple[tuple[int, tuple[int, ...]], ...]:
            """Of both sides, the whole limb about its root, then what is beyond its first joint about that."""
            return tuple(turning(side, *chain) for chain in ((root, *parts), parts) for side in ("left", "right"))

        lower = tuple(i for i, n in enumerate(names) if any(p in n for p in ("knee", "ankle", "toe", "heel", "foot")))
        return Limbs(limbs("shoulder", *_ARM), limbs("hip", *_LEG), lower)


def body_length(poses: Poses) -> float:
    """A length that goes with the person's size: half the diagonal of the box of a typical pose, pixels, at least 1."""
    seen = np.where(poses[..., 2:] > 0, poses[..., :2], np.nan)
    with np.errstate(all="ignore"):
        spans = np.nanmax(seen, axis=1, initial=-np.inf) - np.nanmin(seen, axis=1, initial=np.inf)
    spans = spans[np.isfinite(spans).all(axis=1)]
    return max(float(np.median(np.hypot(spans[:, 0], spans[:, 1]))) / 2, 1.0) if len(spans) else 1.0


def position_noise(poses: Poses, sigma: float, rng: Rng) -> Poses:
    """Independent Gaussian noise of `sigma` pixels on every joint that is seen."""
    return _moved(poses, rng.normal(0.0, sigma, poses[..., :2].shape))


def rotated_limb(poses: Poses, root: int, joints: Sequence[int], angle: float) -> Poses:
    """`joints` turned by `angle` radians about `root`, in the picture, throughout."""
    out = poses.copy()
    arm = poses[:, list(joints), :2] - poses[:, None, root, :2]
    c, s = math.cos(angle), math.sin(angle)
    turned = np.stack([c * arm[..., 0] - s * arm[..., 1], s * arm[..., 0] + c * arm[..., 1]], -1)
    there = (poses[:, list(joints), 2:] > 0) & (poses[:, None, root, 2:] > 0)
    out[:, list(joints), :2] = np.where(there, poses[:, None, root, :2] + turned, poses[:, list(joints), :2])
    return out


def flipped(poses: Poses, layout: skeleton.Layout) -> Poses:
    """Mirrored left to right, with left and right joints exchanged."""
    out = poses[:, list(layout.flip)].copy()
    out[..., 0] = np.where(out[..., 2] > 0, -out[..., 0], 0.0)
    return out


def rolled(poses: Poses, angle: float, stretch: float = 1.0) -> Poses:
    """Camera rolled by `angle` radians about the picture's origin, and height stretched over width."""
    out = poses.copy()
    c, s = math.cos(angle), math.sin(angle)
    x, y = poses[..., 0], poses[..., 1]
    out[..., 0] = c * x - s * y
    out[..., 1] = (s * x + c * y) * stretch
    return out


# --- what the estimator misses --------------------------------------------------------------------------------------


def without(poses: Poses, joints: Sequence[int], span: slice = slice(None)) -> Poses:
    """`joints` missing during `span`."""
    out = poses.copy()
    out[span, list(joints)] = 0.0
    return out


def faint(poses: Poses, rng: Rng) -> Poses:
    """Confidence times a factor of each joint (it is hard to see) and of each tick (the estimator wavers)."""
    out = poses.copy()
    joint = rng.uniform(0.3, 1.0, (1, poses.shape[1]))
    wavering = rng.normal(1.0, 0.1, poses.shape[:2])
    out[..., 2] = np.clip(poses[..., 2] * joint * wavering, 0.0, 1.0)
    out[poses[..., 2] == 0] = 0.0
    return out


def jittered_crop(cropped: Poses, grid: int, shift: float, scale: float, rng: Rng) -> Poses:
    """Crop coordinates of a crop that is a little beside and a little too big or small, throughout."""
    factor = math.exp(rng.normal(0.0, scale))
    middle = (grid - 1) / 2
    moved = (cropped[..., :2] - middle) * factor + middle + rng.normal(0.0, shift * grid, 2)
    out = cropped.copy()
    out[..., :2] = np.where(cropped[..., 2:] > 0, moved, 0.0)
    return out


# --- all of it ------------------------------------------------------------------------------------------------------


def streamed(
    frames: int,
    recorded_hz: float,
    rate_hz: float,
    how: Augmentation,
    limit: int,
    rng: Rng,
    within: tuple[float, float] = (0.0, 1.0),
) -> Timing:
    """A timing of a recording of `frames` frames at `recorded_hz`: at most `limit` ticks at `rate_hz`.

    `within`: the part of the recording to show, as fractions.
    """
    start, end = within[0] * (frames - 1), within[1] * (frames - 1)
    if rng.random() < how.cut_p:
        start += rng.uniform(0, how.cut_up_to) * (end - start)
    if rng.random() < how.cut_p / 2:
        end -= rng.uniform(0, how.cut_up_to) * (end - start)
    timing = own_pace(start, end, recorded_hz / rate_hz, how.slowest, how.fastest, how.pieces, rng)
    if rng.random() < how.subset_p:
        timing = random_subset(timing, rng.uniform(0.5, 1.0), rng)
    if rng.random() < how.pause_p:
        timing = paused(timing, round(rng.uniform(*how.pause_s) * rate_hz), rng)
    if rng.random() < how.idle_p:
        wait = np.full(round(rng.uniform(*how.pause_s) * rate_hz), timing[0])
        timing = np.concatenate([wait, timing])
    if len(timing) > limit:
        first = int(rng.integers(len(timing) - limit + 1))
        timing = timing[first : first + limit]
    return timing


def augmented(poses: Poses, layout: skeleton.Layout, how: Augmentation, rng: Rng, flip: bool | None = None) -> Poses:
    """One random look of a stream in pixels: body, camera and what the estimator misses. `flip` None: by chance."""
    limbs = Limbs.of(layout)
    length = body_length(poses)
    if rng.random() < how.flip_p if flip is None else flip:
        poses = flipped(poses, layout)
    for root, joints in limbs.arms + limbs.legs:
        if rng.random() < how.rotate_p * 0.5:
            poses = rotated_limb(poses, root, joints, rng.normal(0.0, how.rotate))
    if how.roll or how.stretch:
        poses = rolled(poses, rng.normal(0.0, how.roll), math.exp(rng.normal(0.0, how.stretch)))
    if rng.random() < how.noise_p:
        poses = position_noise(poses, rng.uniform(0, 1) * how.noise * length, rng)
    missing = list(np.flatnonzero(rng.random(layout.size) < how.drop_joint_p))
    for _, joints in limbs.arms[:2] + limbs.legs[:2]:
        if rng.random() < how.drop_limb_p / 2:
            missing += joints
    if rng.random() < how.hide_legs_p and limbs.legs:
        missing += limbs.below_hips
        if rng.random() < 0.5:
            missing += [root for root, _ in limbs.legs[:2]]
    if missing:
        poses = without(poses, missing)
    if rng.random() < how.occlusion_p:
        start = int(rng.integers(len(poses)))
        span = slice(start, start + int(rng.integers(1, max(2, len(poses) // 3))))
        poses = without(poses, list(rng.choice(layout.size, int(rng.integers(1, 5)), replace=False)), span)
    if rng.random() < how.faint_p:
        poses = faint(poses, rng)
    return _sane(poses)


def _moved(poses: Poses, by: NDArray[np.float64]) -> Poses:
    out = poses.copy()
    out[..., :2] += np.where(poses[..., 2:] > 0, by, 0.0)
    return out


def _sane(poses: Poses) -> Poses:
    """float32, and a missing joint is all zeros whatever was done to it."""
    return np.where(poses[..., 2:] > 0, poses, 0.0).astype(np.float32)
