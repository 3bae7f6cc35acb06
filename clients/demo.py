"""The demonstration: one rendered worker shows the procedure, another one does it, live, through the real pose estimator.

expert's recordings → poses → reference;   other worker → camera process → poses → live phase, compared with the truth
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from clients.progress import progress_bar
from engine.bundle import Bundle
from engine.config import BusConfig, SourceConfig, StationConfig, StoreConfig
from engine.errors import BadReference
from engine.reference import Phase, Reference
from engine.reference_building import Demonstration, reference_from_recordings
from engine.sources.rendered import RenderedStation, StationParams, simulate

DEMONSTRATIONS = 3


def demonstrations(seed: int) -> list[StationParams]:
    """The expert's recordings: one worker, one cycle on each of several days, nothing going wrong."""
    worker = StationParams.random(2 * seed, cycles=1, idle_s=1.0)
    return [replace(worker, seed=1000 * (seed + 1) + day) for day in range(DEMONSTRATIONS)]


def follower(seed: int, cycles: int) -> str:
    """The source to follow: another body, clothes, camera and pace, a pause in the second cycle, a phase skipped in the third."""
    wrong = (["pause=3@2"] if cycles >= 2 else []) + (["skip=4@3"] if cycles >= 3 else [])
    return "synth:" + ",".join([f"seed={2 * seed + 1}", f"cycles={cycles}", *wrong])


def demo_config(seed: int, cycles: int, bundle: Bundle) -> StationConfig:
    """The station of the demo: live, nothing kept, nothing published."""
    return StationConfig(
        station="demo",
        source=SourceConfig(open=follower(seed, cycles), policy="freshest"),
        reference=reference_path(seed, bundle),
        bus=BusConfig(publish=None, requests=None),
        store=StoreConfig(url="sqlite://"),
    )


def reference_path(seed: int, bundle: Bundle) -> Path:
    """Where the demo's reference is kept, so that the second run starts at once. Keyed by all that it is made from."""
    key = json.dumps([[params.as_json() for params in demonstrations(seed)], bundle.sha256], sort_keys=True)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lockstep" / f"demo-{hashlib.sha256(key.encode()).hexdigest()[:16]}.ref"


def ensure_reference(seed: int, bundle: Bundle, console: Console) -> Reference:
    """The demo's reference: from the cache, or built from the rendered demonstrations, with progress shown."""
    path = reference_path(seed, bundle)
    try:
        return Reference.load(path)
    except BadReference:
        path.parent.mkdir(parents=True, exist_ok=True)
    days = demonstrations(seed)
    recordings = [RenderedStation(params) for params in days]
    total_s = sum(len(recording) / recording.fps for recording in recordings)
    done_s: dict[str, float] = {}
    with progress_bar(console, f"{DEMONSTRATIONS} recordings of an expert", total_s) as reached:

        def each_frame(name: str, time_s: float) -> None:
            done_s[name] = time_s
            reached(sum(done_s.values()))

        cut = [Demonstration(source, *_cycle(params)) for source, params in zip(recordings, days, strict=True)]
        reference = reference_from_recordings(cut, bundle, _phases(days[0]), each_frame=each_frame)
    reference.save(path)
    return reference


def _cycle(params: StationParams) -> tuple[float, float]:
    """Start and end of the only cycle of a demonstration, as a user would read them off the recording."""
    (cycle,) = simulate(params).events_of("cycle")
    return cycle.start_s, cycle.end_s


def _phases(params: StationParams) -> list[Phase]:
    """Its phases as a user would mark them, in seconds on the recording."""
    return [Phase(name=e.phase or "", start_s=e.start_s, end_s=e.end_s) for e in simulate(params).events_of("phase")]
