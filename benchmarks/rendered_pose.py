"""How well the real pose estimator sees the rendered worker, against exact truth.

    python -m benchmarks.rendered_pose --seeds 5 [--first 100] [--cycles 1] [--json F]

Per seed (another worker, room, light, camera): frames in which nobody was found while the worker was in the picture,
pixel error of each visible joint, milliseconds to draw and to estimate. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GLOG_minloglevel", "3")

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine.pose.opening import open_estimator
from engine.sources.rendered import PHASES, RenderedStation, StationParams
from models import skeleton

JOINTS = skeleton.layout("body13").joints
UPPER = [i for i, joint in enumerate(JOINTS) if joint.split("_")[-1] not in ("knee", "ankle")]
"""Legs are behind the bench."""


def measure(seed: int, cycles: int) -> dict[str, Any]:
    """One worker: errors (T, 13) in pixels, NaN where the joint is hidden or nobody was found; times per frame."""
    estimator = open_estimator("mediapipe")
    station = RenderedStation(StationParams.random(seed, cycles=cycles, deviations=0))
    errors, found, phases, draw_s, pose_s = [], [], [], [], []
    before = time.perf_counter()
    for frame in station:
        drawn = time.perf_counter()
        assert frame.image is not None
        poses = estimator.estimate(frame.image)
        done = time.perf_counter()
        draw_s.append(drawn - before)
        pose_s.append(done - drawn)
        truth = frame.truth.joints
        error = np.full(len(JOINTS), np.nan)
        if poses:
            pose = skeleton.convert(poses[0], estimator.layout, "body13")
            visible = truth[:, 2] > 0
            error[visible] = np.hypot(*(pose - truth)[visible, :2].T)
        errors.append(error)
        found.append(bool(poses))
        phases.append(frame.truth.phase or "idle")
        before = time.perf_counter()
    estimator.close()
    return {
        "seed": seed,
        "errors": np.array(errors),
        "found": np.array(found),
        "phases": np.array(phases),
        "draw_ms": 1000 * float(np.median(draw_s)),
        "pose_ms": 1000 * float(np.median(pose_s)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="how many workers")
    parser.add_argument("--first", type=int, default=100, help="seed of the first worker")
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console()
    runs = [
        measure(seed, options.cycles)
        for seed in track(
            range(options.first, options.first + options.seeds), "workers", console=console, transient=True
        )
    ]

    workers = Table(
        "worker", "frames", "lost", "error p50", "p95", "draw ms", "pose ms", title="Per worker (pixels at 640×480)"
    )
    for run in runs:
        upper = run["errors"][:, UPPER]
        workers.add_row(
            str(run["seed"]),
            str(len(run["found"])),
            str(int((~run["found"]).sum())),
            *(f"{np.nanpercentile(upper, q):.1f}" for q in (50, 95)),
            f"{run['draw_ms']:.1f}",
            f"{run['pose_ms']:.1f}",
        )
    errors = np.concatenate([run["errors"] for run in runs])
    phases = np.concatenate([run["phases"] for run in runs])
    joints = Table("joint", "p50", "p95", *PHASES, title="Per joint, all workers: pixels (median per phase)")
    summary = {}
    for i in UPPER:
        p50, p95 = np.nanpercentile(errors[:, i], (50, 95))
        summary[JOINTS[i]] = {"p50_px": round(float(p50), 2), "p95_px": round(float(p95), 2)}
        by_phase = [f"{np.nanmedian(errors[phases == phase, i]):.1f}" for phase in PHASES]
        joints.add_row(JOINTS[i], f"{p50:.1f}", f"{p95:.1f}", *by_phase)
    console.print(workers, joints)
    lost = int(sum((~run["found"]).sum() for run in runs))
    console.print(f"{lost} of {len(errors)} frames lost ({lost / len(errors):.2%})")
    if options.json:
        document = {
            "frames": len(errors),
            "lost": lost,
            "joints": summary,
            "draw_ms": [run["draw_ms"] for run in runs],
            "pose_ms": [run["pose_ms"] for run in runs],
        }
        options.json.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
