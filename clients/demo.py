"""The demonstration: one rendered worker shows the procedure, another one does it, live, through the real pose estimator.

    expert's recordings → poses → reference;  other worker → camera process → poses → live phase, compared with the truth
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from engine.bundle import Bundle
from engine.reference import Phase, Reference
from engine.sources.rendered import PHASES, Deviation, RenderedStation, StationParams, Truth, simulate

DEMONSTRATIONS = 3
PAUSE_S = 3.0


def expert(seed: int) -> StationParams:
    """Whoever demonstrates: one worker, one cycle at a time, nothing going wrong."""
    return StationParams.random(2 * seed, cycles=1, idle_s=1.0)


def follower(seed: int, cycles: int) -> StationParams:
    """Another body, other clothes, another camera and pace; one pause and one skipped phase where there is room for them."""
    # The second and third cycle go wrong, so that a first one is seen as it should be.
    deviations = (
        Deviation("pause", phase=2, cycle=2, duration_s=PAUSE_S, at=0.5),
        Deviation("skip", phase=3, cycle=3),
    )
    return StationParams.random(2 * seed + 1, cycles=cycles, deviation_list=tuple(d for d in deviations if d.cycle <= cycles))


def demonstrations(seed: int) -> list[StationParams]:
    """The expert's recordings: the same worker on different days."""
    return [replace(expert(seed), seed=1000 * seed + day) for day in range(DEMONSTRATIONS)]


def phases_of(truth: Truth) -> tuple[float, float, list[Phase]]:
    """Start and end of the only cycle of a demonstration, and its phases as a user would have marked them."""
    (cycle,) = truth.events_of("cycle")
    marks = [
        Phase(name=event.phase or "", start_s=event.start_s - cycle.start_s, end_s=event.end_s - cycle.start_s)
        for event in truth.events_of("phase")
    ]
    return cycle.start_s, cycle.end_s, marks


def cache_path(seed: int, bundle: Bundle) -> Path:
    """Where the demo's reference is kept, so that the second run starts at once. Keyed by all that it is made from."""
    key = json.dumps([[p.as_json() for p in demonstrations(seed)], bundle.sha256, PHASES], sort_keys=True)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lockstep" / f"demo-{hashlib.sha256(key.encode()).hexdigest()[:16]}.ref"
