"""What splitting the pipeline over processes adds between capture and publication: 640×480 pictures over ipc.

    python -m benchmarks.split_latency [--seconds 20] [--rounds 3] [--seed 0] [--json F]

Both ways run the same station (a film of a rendered worker, played at 30 Hz by a capture process, MediaPipe), in turn, as
often as there are rounds. Latency is from the capture of the frame that completed a tick to the arrival of the tick's
state at a subscriber on this machine, so that both include the last hop. A tick itself lies between two frames: what it
waits for the second of them (0 or 17 ms at 20 ticks and 30 frames per second) is no matter of splitting and left out; it
would make the median jump between two modes. Ticks whose frame was dropped are left out too, and counted.

p50 and p95, milliseconds; `added` is the median over the rounds, with the least and the most.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.light_station import make
from engine.bundle import open_bundle
from engine.config import load_station
from engine.messages import State
from engine.sources.rendered import RenderedStation, StationParams
from engine.sources.video_writer import VideoWriter
from engine.subscriber import Subscriber
from engine.supervisor import stage_states

FPS = 30.0
WARM_UP_S = 3.0
START_S = 90.0
"""How long a station may take until it runs and all stand by."""


def write_film(path: Path, seed: int, seconds: float) -> None:
    """Ten seconds of a rendered worker, again and again: to read them costs little beside what is measured."""
    frames = [frame.image for frame in islice(RenderedStation(StationParams.random(seed, cycles=1)), 300)]
    with VideoWriter(path, FPS, (640, 480)) as video:
        for image, _ in zip(cycle(frames), range(int(FPS * seconds)), strict=False):
            assert image is not None
            video.write(image)


def all_stand_by(station: str) -> bool:
    """Every stage runs and its stand-by has loaded its models, which would disturb the measurement."""
    stages = stage_states(station).values()
    return bool(stages) and all(stage["state"] == "running" and stage["standby_ready"] for stage in stages)


def latency_ms(state: State, arrived_wall_s: float) -> float:
    """From the capture of the first frame at or after the tick, whose time is a multiple of 1 / FPS."""
    waited_s = math.ceil(state.time_s * FPS - 1e-3) / FPS - state.time_s
    return 1000 * (arrived_wall_s - state.wall_s - waited_s)


def measure(arguments: list[str], publish: str, requests: str, seconds: float, ready: Callable[[], bool]) -> Any:
    """Run a station and listen: latencies in milliseconds, and how many ticks were left out."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clients.cli", *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    delays: list[float] = []
    left_out, dropped = 0, 0
    try:
        with Subscriber(publish, requests) as bus:
            first_s: float | None = None
            give_up_s = time.monotonic() + 120
            while time.monotonic() < (give_up_s if first_s is None else first_s + WARM_UP_S + seconds):
                if process.poll() is not None:
                    break
                for message in bus.update(0.05):
                    arrived_wall_s = time.time()
                    if isinstance(message, State) and (first_s or ready()):
                        first_s = first_s or time.monotonic()
                        if time.monotonic() - first_s > WARM_UP_S:
                            if message.dropped == dropped:
                                delays.append(latency_ms(message, arrived_wall_s))
                            else:
                                left_out += 1
                        dropped = message.dropped
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    if not delays:
        raise SystemExit(f"no states from: lockstep {' '.join(arguments)}")
    return delays, left_out


def percentiles(delays: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(delays, (50, 95)).round(2).tolist()
    return {"p50_ms": p50, "p95_ms": p95}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-split-") as name:
        seed, film = options.seed + 1, Path(name) / "film.avi"
        write_film(film, seed, options.seconds + START_S)
        station = make(Path(name), open_bundle(options.bundle), cycles=1, seed=seed, policy="freshest", film=str(film))
        ends = (station.publish, station.requests, options.seconds)
        station_name = load_station(station.yaml).station
        for _ in range(options.rounds):
            one, one_left_out = measure(["run", str(station.yaml), "--headless"], *ends, lambda: True)
            split, left_out = measure(
                ["stage", "supervise", str(station.yaml)], *ends, lambda: all_stand_by(station_name)
            )
            rounds.append(
                {
                    "one_process": {**percentiles(one), "ticks": len(one), "left_out": one_left_out},
                    "split": {**percentiles(split), "ticks": len(split), "left_out": left_out},
                    "load_average": round(os.getloadavg()[0], 2),
                }
            )
            print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    added = {}
    for key in ("p50_ms", "p95_ms"):
        each = sorted(round(figures["split"][key] - figures["one_process"][key], 2) for figures in rounds)
        added[key] = {"median": round(float(np.median(each)), 2), "least": each[0], "most": each[-1]}
    result = {"added": added, "rounds": rounds, "seed": options.seed}
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
