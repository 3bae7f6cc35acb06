"""What splitting the pipeline over processes adds between capture and publication: 640×480 pictures over ipc.

    python -m benchmarks.split_latency [--seconds 20] [--seed 0] [--json F]

Both ways run the same station (film of a rendered worker, MediaPipe, live); latency is from the capture of a tick's newest frame to
the arrival of its state at a subscriber on this machine, so that both include the last hop. p50 and p95, milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.light_station import make
from engine.bundle import open_bundle
from engine.config import load_station
from engine.messages import State
from engine.sources.rendered import RenderedStation, StationParams
from engine.sources.video_writer import VideoWriter
from engine.stages.wiring import runtime_folder
from engine.subscriber import Subscriber

WARM_UP_S = 3.0
START_S = 90.0
"""How long a station may take until it runs and all stand by."""


def write_film(path: Path, seed: int, seconds: float) -> None:
    """Ten seconds of a rendered worker, again and again: to read them costs little beside what is measured."""
    frames = [frame.image for frame in islice(RenderedStation(StationParams.random(seed, cycles=1)), 300)]
    with VideoWriter(path, 30.0, (640, 480)) as video:
        for image, _ in zip(cycle(frames), range(int(30 * seconds)), strict=False):
            assert image is not None
            video.write(image)


def all_stand_by(status: Path) -> bool:
    """Every stage runs and its stand-by has loaded its models, which would disturb the measurement."""
    try:
        stages = json.loads(status.read_text()).values()
    except (OSError, ValueError):
        return False
    return all(stage["state"] == "running" and stage["standby_ready"] for stage in stages)


def measure(
    arguments: list[str], publish: str, requests: str, seconds: float, ready: Callable[[], bool]
) -> dict[str, float]:
    """Run a station and listen; wall clock of arrival less that of the tick's capture."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clients.cli", *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    delays: list[float] = []
    try:
        with Subscriber(publish, requests) as bus:
            first_s: float | None = None
            give_up_s = time.monotonic() + 120
            while time.monotonic() < (give_up_s if first_s is None else first_s + WARM_UP_S + seconds):
                if process.poll() is not None:
                    break
                for message in bus.update(0.05):
                    if isinstance(message, State) and (first_s or ready()):
                        first_s = first_s or time.monotonic()
                        if time.monotonic() - first_s > WARM_UP_S:
                            delays.append(1000 * (time.time() - message.wall_s))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    if not delays:
        raise SystemExit(f"no states from: lockstep {' '.join(arguments)}")
    p50, p95 = np.percentile(delays, (50, 95)).round(2).tolist()
    return {"p50_ms": p50, "p95_ms": p95, "states": len(delays)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-split-") as name:
        seed, film = options.seed + 1, Path(name) / "film.avi"
        write_film(film, seed, options.seconds + START_S)
        station = make(Path(name), open_bundle(options.bundle), cycles=1, seed=seed, policy="freshest", film=str(film))
        ends = (station.publish, station.requests, options.seconds)
        status = runtime_folder(load_station(station.yaml).station) / "stages.json"
        one = measure(["run", str(station.yaml), "--headless"], *ends, lambda: True)
        split = measure(["stage", "supervise", str(station.yaml)], *ends, lambda: all_stand_by(status))
    added = {f"added_{key}": round(split[key] - one[key], 2) for key in ("p50_ms", "p95_ms")}
    figures = {"one_process": one, "split": split, **added, "seed": options.seed, "load_average": os.getloadavg()[0]}
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
