"""Publish a station without a camera, so that a subscriber can be written before the real one stands:

python -m clients.publish [--seed S] [--cycles N] [--speed X]      the truth of a rendered worker, as a station would say it
python -m clients.publish --confirm PHASE                          tell a running station that a phase is done
"""

from __future__ import annotations

import argparse
import time

from engine.bus import PUBLISH, REQUESTS, Publisher
from engine.errors import LockstepError
from engine.journal import Journal
from engine.messages import Event, EventKind, Hello, PhaseInfo, State, Status
from engine.sources.rendered import NOMINAL_S, PHASES, StationParams, Truth, simulate
from engine.store import Store
from engine.subscriber import Subscriber
from models import skeleton

STATION = "synthetic"


def hello(truth: Truth) -> Hello:
    ends = [sum(NOMINAL_S[: i + 1]) for i in range(len(PHASES))]
    phases = [PhaseInfo(name, end - own, end) for name, own, end in zip(PHASES, NOMINAL_S, ends, strict=True)]
    limbs = list(skeleton.layout("body13").limbs)
    return Hello(STATION, phases, ends[-1], "body13", limbs, truth.params.fps, "truth")


def state(truth: Truth, tick: int, wall_s: float) -> State:
    frame = truth.frame(tick)
    status: Status = frame.status  # type: ignore[assignment]
    finished = sum(event.end_s <= frame.time_s for event in truth.events_of("cycle"))
    return State(
        station=STATION,
        tick=tick,
        time_s=frame.time_s,
        wall_s=wall_s,
        status=status,
        cycle=frame.cycle,
        cycles_finished=finished,
        phase=frame.phase,
        phase_index=frame.phase_index,
        phase_progress=frame.phase_progress,
        cycle_progress=frame.cycle_progress,
        position_s=frame.cycle_progress * sum(NOMINAL_S),
        rate=1.0 if status == "on_task" else 0.0,
        confidence=1.0,
        fps=truth.params.fps,
        image_size=truth.params.size,
        pose=[(float(x), float(y), float(c)) for x, y, c in frame.joints],
    )


def drafts(truth: Truth, wall_s: float) -> list[Event]:
    """What a station would report of this performance, in order of time."""
    found: list[Event] = []

    def add(
        kind: EventKind, time_s: float, cycle: int, phase: str | None, details: dict[str, float] | None = None
    ) -> None:
        found.append(Event(STATION, 0, kind, time_s, wall_s + time_s, cycle, phase, 1.0, time_s, {**(details or {})}))

    for event in truth.events:
        duration = {"duration_s": event.end_s - event.start_s}
        if event.kind in ("cycle", "phase"):
            add(f"{event.kind}_started", event.start_s, event.cycle, event.phase)  # type: ignore[arg-type]
            add(f"{event.kind}_finished", event.end_s, event.cycle, event.phase, duration)  # type: ignore[arg-type]
        elif event.kind == "pause":
            add("paused", event.start_s, event.cycle, event.phase)
            add("resumed", event.end_s, event.cycle, event.phase)
        elif event.kind in ("skip", "repeat"):
            add("phase_skipped" if event.kind == "skip" else "phase_repeated", event.start_s, event.cycle, event.phase)
    return sorted(found, key=lambda event: event.time_s)


def publish(truth: Truth, bus: Publisher, speed: float) -> None:
    """The whole performance, `speed` times as fast as it was."""
    started_s, wall_s = time.monotonic(), time.time()
    waiting = drafts(truth, wall_s)
    bus.hello(hello(truth))
    for tick, time_s in enumerate(truth.times_s):
        time.sleep(max(0.0, started_s + time_s / speed - time.monotonic()))
        while waiting and waiting[0].time_s <= time_s:
            bus.event(bus.journal.number(waiting.pop(0)))
        bus.state(state(truth, tick, wall_s + time_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default=PUBLISH)
    parser.add_argument("--requests", default=REQUESTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--confirm", metavar="PHASE")
    options = parser.parse_args()
    try:
        if options.confirm:
            with Subscriber(options.address, options.requests) as station:
                station.confirm(options.confirm)
            return
        truth = simulate(StationParams.random(options.seed, cycles=options.cycles))
        with Publisher(Journal(STATION, Store("sqlite://")), options.address, options.requests) as bus:
            publish(truth, bus, options.speed)
    except LockstepError as error:
        parser.exit(2, f"publish: {error}\n")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
