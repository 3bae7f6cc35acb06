"""A split station light enough to be killed hundreds of times: exact joints of a rendered worker instead of pixels.

The whole live path after pose runs as it does in earnest; with a `film` also what comes before.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.bundle import Bundle
from engine.pose.track import PoseTrack
from engine.reference import Phase
from engine.reference_building import Demonstration, reference_from_recordings
from engine.sources.rendered import StationParams, Truth, simulate


@dataclass(frozen=True)
class LightStation:
    """Files of a station in a folder."""

    yaml: Path
    publish: str
    requests: str
    track: Path
    reference: Path


def _track(truth: Truth) -> PoseTrack:
    return PoseTrack(truth.joints.astype(np.float32), truth.times_s, "body13", truth.params.size, "rendered truth")


def make(folder: Path, bundle: Bundle, *, cycles: int, seed: int, policy: str, film: str | None = None) -> LightStation:
    """One worker shows the procedure once, then does it `cycles` times. `film`: a source that is watched instead, by MediaPipe."""
    expert = simulate(StationParams.random(seed, cycles=1, idle_s=1.0))
    (cycle,) = expert.events_of("cycle")
    phases = [Phase(name=e.phase or "", start_s=e.start_s, end_s=e.end_s) for e in expert.events_of("phase")]
    reference = reference_from_recordings([Demonstration(_track(expert), cycle.start_s, cycle.end_s)], bundle, phases)
    reference.save(folder / "station.ref")
    _track(simulate(StationParams.random(seed, cycles=cycles))).save(folder / "work.npz")
    publish, requests = f"ipc://{folder}/publish", f"ipc://{folder}/requests"
    settings: dict[str, Any] = {
        "station": f"faults-{uuid.uuid4().hex[:8]}",
        "source": {"open": film or "work.npz", "policy": policy},
        "reference": "station.ref",
        "bundle": str(bundle.folder.resolve()),
        "bus": {"publish": publish, "requests": requests},
        "store": {"url": f"sqlite:///{folder}/events.db"},
        "stages": {link: f"ipc://{folder}/{link}" for link in ("frames", "poses", "states")},
    }
    (folder / "station.yaml").write_text(yaml.safe_dump(settings))
    return LightStation(folder / "station.yaml", publish, requests, folder / "work.npz", folder / "station.ref")


def undisturbed(station: LightStation) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[Any, ...]]]:
    """What the same path says in one process when nothing goes wrong: tick times, positions (NaN off the job), events."""
    from engine.config import load_station
    from engine.opening import open_aligner
    from engine.sources.recorded import RecordedPoses

    aligner = open_aligner(load_station(station.yaml))
    times, positions, events = [], [], []
    with threadpool_limits(1, user_api="blas"):  # as a station does
        for frame in RecordedPoses(station.track):
            assert frame.pose is not None
            for step in aligner.push(frame.time_s, 0.0, frame.pose):
                times.append(step.tick.time_s)
                positions.append(step.match.position_s if step.match.status in ("on_task", "paused") else np.nan)
                events += [(event.event, event.time_s, event.cycle, event.phase) for event in step.events]
    return np.array(times), np.array(positions), events
