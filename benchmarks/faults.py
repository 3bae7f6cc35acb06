"""Kill the stages of a live station at random moments, many times, and count what is lost and how long it takes.

    python -m benchmarks.faults --kills 200 --seed 0 --json faults.json

A subscriber listens throughout, and is itself closed and opened again now and then. At the end
- events_lost: numbers missing in the store + events of the store that the subscriber did not get exactly once, in order;
- recovery: from the kill to the first state of something captured after it;
- regained: from that state to the first one whose position is within 0.5 s of an undisturbed run's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.light_station import LightStation, make, undisturbed
from engine.bundle import open_bundle
from engine.config import load_station
from engine.messages import Event, State
from engine.reference import Reference
from engine.store import Store
from engine.subscriber import Subscriber
from engine.supervisor import stage_states

NEAR_S = 0.5
GIVE_UP_S = 30.0
SECONDS_PER_KILL = 5.5
CYCLE_S = 12.0


class Listener:
    """A subscriber that keeps all it got."""

    def __init__(self, station: LightStation) -> None:
        self._station = station
        self.seqs: list[int] = []
        self._bus = Subscriber(station.publish, station.requests, since=1)

    def update(self) -> list[State]:
        messages = self._bus.update(0.05)
        self.seqs += [message.seq for message in messages if isinstance(message, Event)]
        return [message for message in messages if isinstance(message, State)]

    def reconnect(self) -> None:
        self._bus.close()
        last = self.seqs[-1] if self.seqs else 0
        self._bus = Subscriber(self._station.publish, self._station.requests, since=last + 1)

    def close(self) -> None:
        self._bus.close()


class Truth:
    """Where an undisturbed run is at a moment of the stream."""

    def __init__(self, times_s: NDArray[np.float64], positions_s: NDArray[np.float64], length_s: float) -> None:
        self._times_s, self._positions_s, self._length_s = times_s, positions_s, length_s

    def agrees(self, state: State) -> bool:
        around = np.abs(self._times_s - state.time_s) < 0.15
        known = self._positions_s[around]
        if state.status not in ("on_task", "paused"):
            return bool(np.isnan(known).any())
        distance_s = np.abs(known - state.position_s)
        return bool((np.minimum(distance_s, self._length_s - distance_s) <= NEAR_S).any())


def pids(station: str) -> dict[str, int]:
    """Of the stages that run."""
    return {name: how["pid"] for name, how in stage_states(station).items() if how["pid"] and how["state"] == "running"}


def strike(pid: int, how: int) -> None:
    """Whoever has died meanwhile has died."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def kill_as_it_starts(listener: Listener, station: str, stage: str, rng: random.Random) -> int:
    """Kill a stage, and up to two seconds later in one of two cases its stand-by: a pid of who has taken over or is about to."""
    strike(pids(station)[stage], signal.SIGKILL)
    until_s = time.monotonic() + rng.uniform(0.0, 2.0)
    while time.monotonic() < until_s:
        listener.update()
    standby = stage_states(station)[stage]["standby"]
    if standby is not None and rng.random() < 0.5:
        strike(standby, signal.SIGKILL)
    while not (pid := stage_states(station)[stage]["pid"]):
        listener.update()
    return int(pid)


def kill_once(listener: Listener, pid: int, how: int, truth: Truth) -> tuple[float, float]:
    """Seconds to the first state of something captured after the kill, and from there to a right position."""
    strike(pid, how)
    killed_wall_s, killed_s = time.time(), time.monotonic()
    back_s: float | None = None
    while time.monotonic() - killed_s < GIVE_UP_S:
        for state in listener.update():
            if back_s is None and state.wall_s > killed_wall_s + 0.05:
                back_s = time.monotonic()
            if back_s is not None and truth.agrees(state):
                return back_s - killed_s, time.monotonic() - back_s
    return (back_s - killed_s if back_s else GIVE_UP_S), GIVE_UP_S


def run(kills: int, seed: int, bundle_name: str | None, stop: bool, starting: bool) -> dict[str, Any]:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="lockstep-faults-") as name:
        folder = Path(name)
        cycles = int((1 + starting) * kills * SECONDS_PER_KILL / CYCLE_S) + 6
        station = make(folder, open_bundle(bundle_name), cycles=cycles, seed=seed + 1, policy="freshest")
        times_s, positions_s, _ = undisturbed(station)
        truth = Truth(times_s, positions_s, Reference.load(station.reference).duration_s)
        config = load_station(station.yaml)
        command = [sys.executable, "-m", "clients.cli", "stage", "supervise", str(station.yaml)]
        with (folder / "log").open("w") as log:
            supervisor = subprocess.Popen(command, stderr=log)
        listener = Listener(station)
        recovery, regained = [], []
        by_stage: defaultdict[str, list[float]] = defaultdict(list)
        try:
            wait_for_start(listener, supervisor, folder / "log")
            with Progress(transient=True) as progress:
                for number in progress.track(range(kills), description=f"{kills} kills"):
                    pause_until_s = time.monotonic() + rng.uniform(1.5, 3.5)
                    while time.monotonic() < pause_until_s or not pids(config.station):
                        listener.update()
                        if supervisor.poll() is not None:
                            raise SystemExit(f"the supervisor has ended: {(folder / 'log').read_text()[-500:]}")
                    stage, pid = rng.choice(sorted(pids(config.station).items()))
                    if starting:
                        pid = kill_as_it_starts(listener, config.station, stage, rng)
                    how = signal.SIGSTOP if stop and rng.random() < 0.2 else signal.SIGKILL
                    back_s, right_s = kill_once(listener, pid, how, truth)
                    recovery.append(back_s)
                    by_stage[stage].append(round(back_s, 2))
                    regained.append(right_s)
                    if number % 10 == 9:
                        listener.reconnect()
        finally:
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(20)
        lost = events_lost(config.store.url or "", config.station, listener, station)
        listener.close()
    return {
        "kills": len(recovery),
        "events_lost": lost,
        "events": len(listener.seqs),
        "recovery_p50_s": round(float(np.percentile(recovery, 50)), 3),
        "recovery_p95_s": round(float(np.percentile(recovery, 95)), 3),
        "recovery_max_s": round(max(recovery), 3),
        "regained_p50_s": round(float(np.percentile(regained, 50)), 3),
        "regained_p95_s": round(float(np.percentile(regained, 95)), 3),
        "regained_max_s": round(max(regained), 3),
        "recovery_s": dict(by_stage),
        "load_average": os.getloadavg()[0],
        "seed": seed,
    }


def wait_for_start(listener: Listener, supervisor: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + 120
    while not listener.update():
        if supervisor.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit(f"the station did not start: {log.read_text()[-500:]}")


def events_lost(url: str, name: str, listener: Listener, station: LightStation) -> int:
    """Holes in the store, plus what the subscriber lacks or has twice once it has asked a reopened station for the rest."""
    from engine.bus import Publisher
    from engine.journal import Journal

    with Store(url) as store:
        oldest, newest = store.bounds(name)
        stored = len(store.messages(name, 1, 10**6))
        with Publisher(Journal(name, store), station.publish, station.requests):
            deadline_s = time.monotonic() + 10
            while (listener.seqs[-1] if listener.seqs else 0) < newest and time.monotonic() < deadline_s:
                listener.update()
    holes = newest - oldest + 1 - stored + (oldest - 1 if newest else 0)
    return (
        holes
        + sum((Counter(range(1, newest + 1)) - Counter(listener.seqs)).values())
        + len(listener.seqs)
        - len(set(listener.seqs))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", help="shipped bundle or folder (default: the shipped one)")
    parser.add_argument(
        "--stop", action="store_true", help="one in five is stopped (SIGSTOP), so that it hangs, not killed"
    )
    parser.add_argument(
        "--starting",
        action="store_true",
        help="each stage is killed twice, up to 2 s apart, and sometimes its stand-by too: it dies while it starts",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = run(options.kills, options.seed, options.bundle, options.stop, options.starting)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
