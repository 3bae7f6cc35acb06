"""What the pose estimator costs, and how near it is to the truth of the rendered station: `python -m benchmarks.pose`.

Every variant sees the same frames, drawn beforehand; variants take turns frame by frame, so that a busy machine slows them alike.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.pose.mediapipe import quiet_stderr
from engine.sources.rendered import RenderedStation, StationParams
from models import skeleton

GROUPS = {
    "shoulders": ("left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
    "wrists": ("left_wrist", "right_wrist"),
    "hips": ("left_hip", "right_hip"),
}
WARM_UP = 10


@dataclass
class Variant:
    """One way of calling MediaPipe, and what it brought."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    read_only: bool = False
    scale: float = 1.0
    ms: list[float] = field(default_factory=list)
    lost: int = 0
    errors: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in GROUPS})


VARIANTS = (
    Variant("as shipped"),
    Variant("image marked read-only", read_only=True),
    Variant("no smoothing", {"smooth_landmarks": False}),
    Variant("every frame on its own", {"static_image_mode": True}),
    Variant("half the resolution", scale=0.5),
    Variant("double the resolution", scale=2.0),
)


def measure(seeds: list[int], frames: int) -> tuple[list[Variant], dict[str, float]]:
    """Times and errors of every variant over `frames` frames of each seed's station; and the cost of the steps around."""
    import mediapipe

    layout = skeleton.layout("body13")
    around: dict[str, list[float]] = {"BGR to RGB": [], "33 landmarks to an array": []}
    for seed in seeds:
        stream: list[Any] = []
        for frame in RenderedStation(StationParams.random(seed, cycles=2)):
            stream.append(frame)
            if len(stream) == frames + WARM_UP:
                break
        with quiet_stderr():
            poses = [mediapipe.solutions.pose.Pose(**variant.options) for variant in VARIANTS]
            for variant, pose in zip(VARIANTS, poses, strict=True):
                for frame in stream[:WARM_UP]:
                    pose.process(_picture(frame.image, variant.scale))
        for frame in stream[WARM_UP:]:
            started = time.perf_counter()
            cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
            around["BGR to RGB"].append(1000 * (time.perf_counter() - started))
            for variant, pose in zip(VARIANTS, poses, strict=True):
                rgb = _picture(frame.image, variant.scale)
                rgb.flags.writeable = not variant.read_only
                started = time.perf_counter()
                landmarks = pose.process(rgb).pose_landmarks
                variant.ms.append(1000 * (time.perf_counter() - started))
                if landmarks is None:
                    variant.lost += 1
                    continue
                started = time.perf_counter()
                found = np.array([(m.x, m.y, m.visibility) for m in landmarks.landmark], np.float32)
                around["33 landmarks to an array"].append(1000 * (time.perf_counter() - started))
                found[:, :2] *= frame.image.shape[1::-1]
                truth = frame.truth.joints
                body = skeleton.convert(found, "mediapipe33", "body13")
                for group, joints in GROUPS.items():
                    for k in map(layout.index, joints):
                        if truth[k, 2] > 0:
                            variant.errors[group].append(float(np.linalg.norm(body[k, :2] - truth[k, :2])))
        for pose in poses:
            pose.close()
    return list(VARIANTS), {name: float(np.median(values)) for name, values in around.items()}


def _picture(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if scale != 1.0:
        rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.ascontiguousarray(rgb, np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--frames", type=int, default=300, help="per seed")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    variants, around = measure(arguments.seeds, arguments.frames)
    groups = list(GROUPS)
    print(
        f"640×480, {len(arguments.seeds)} stations × {arguments.frames} frames; error: median / p95, pixels of 640×480"
    )
    print("| MediaPipe body | p50 ms | p95 ms | lost | " + " | ".join(groups) + " |")
    print("|---|---|---|---|" + "---|" * len(groups))
    rows = {}
    for variant in variants:
        errors = {
            group: np.percentile(variant.errors[group], [50, 95]).tolist() for group in groups if variant.errors[group]
        }
        p50, p95 = np.percentile(variant.ms, [50, 95])
        lost = variant.lost / len(variant.ms)
        cells = [f"{errors[group][0]:.1f} / {errors[group][1]:.0f}" if group in errors else "" for group in groups]
        print(f"| {variant.name} | {p50:.1f} | {p95:.1f} | {lost:.1%} | " + " | ".join(cells) + " |")
        rows[variant.name] = {"p50_ms": p50, "p95_ms": p95, "lost": lost, "error_px": errors}
    print("around it: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in around.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"mediapipe": rows, "around_ms": around}, indent=2))


if __name__ == "__main__":
    main()
