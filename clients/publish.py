"""Publish a station without a camera, so that a subscriber can be written before the real one stands:

python -m clients.publish [--seed S] [--cycles N] [--deviations N] [--speed X]    a rendered worker, as a station would tell of them
python -m clients.publish --confirm PHASE                                         tell a running station that a phase is done
"""

from __future__ import annotations

import argparse
import time

from engine.bus import PUBLISH, REQUESTS, Publisher
from engine.errors import ConfigError, LockstepError
from engine.journal import Journal
from engine.messages import Event, EventKind, Hello, PhaseInfo, State, Status
from engine.sources.rendered import NOMINAL_S, PHASES, StationParams, Truth, TruthEvent, simulate
from engine.store import Store
from engine.subscriber import Subscriber
from models import skeleton

STATION = "synthetic"

# What the truth knows → what a station tells of it.
_SPANS: dict[str, tuple[EventKind, EventKind]] = {
    "cycle": ("cycle_started", "cycle_finished"),
    "phase": ("phase_started", "phase_finished"),
    "pause": ("paused", "resumed"),
    "turn": ("off_task", "back_on_task"),
    "leave": ("operator_lost", "operator_found"),
}
_MOMENTS: dict[str, EventKind] = {"skip": "phase_skipped", "repeat": "phase_repeated", "swap": "phase_out_of_order"}
_WITHOUT_PHASE = ("resumed", "operator_lost", "operator_found")
_AT_ONCE = {"phase_finished": 0, "cycle_finished": 1, "cycle_started": 2}
"""Which comes first of what happens at the same moment; all others after these."""


def hello(truth: Truth) -> Hello:
    ends = [sum(NOMINAL_S[: i + 1]) for i in range(len(PHASES))]
    phases = [PhaseInfo(name, end - own, end) for name, own, end in zip(PHASES, NOMINAL_S, ends, strict=True)]
    limbs = list(skeleton.layout("body13").limbs)
    return Hello(STATION, phases, ends[-1], "body13", limbs, truth.params.fps, "truth")


def state(truth: Truth, tick: int, wall_s: float) -> State:
    frame = truth.frame(tick)
    status: Status = "lost" if "leave" in frame.deviations else frame.status  # type: ignore[assignment]
    working = status in ("on_task", "paused")
    finished = sum(event.end_s <= frame.time_s for event in truth.events_of("cycle"))
    return State(
        station=STATION,
        tick=tick,
        time_s=frame.time_s,
        wall_s=wall_s,
        status=status,
        cycle=frame.cycle,
        cycles_finished=finished,
        phase=frame.phase if working else None,
        phase_index=frame.phase_index if working else None,
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

    def add(kind: EventKind, time_s: float, about: TruthEvent, **details: float | list[float]) -> None:
        phase = None if kind in _WITHOUT_PHASE else about.phase
        found.append(Event(STATION, 0, kind, time_s, wall_s + time_s, about.cycle, phase, 1.0, time_s, {**details}))

    # Of two phases that have changed places the second comes after its turn.
    swaps = truth.events_of("swap")
    in_turn = set(swaps) - set({event.cycle: event for event in swaps}.values())
    for event in truth.events:
        if event.kind in _MOMENTS and event not in in_turn:
            add(_MOMENTS[event.kind], event.start_s, event)
        elif event.kind in _SPANS:
            begins, ends = _SPANS[event.kind]
            add(begins, event.start_s, event)
            add(ends, event.end_s, event, **_details(truth, event))
    return sorted(found, key=lambda event: (event.time_s, _AT_ONCE.get(event.event, len(_AT_ONCE))))


def _details(truth: Truth, event: TruthEvent) -> dict[str, float | list[float]]:
    if event.kind == "phase":
        return {"duration_s": _at_work_s(truth, event)}
    if event.kind != "cycle":
        return {}
    own = [phase for phase in truth.events_of("phase") if phase.cycle == event.cycle]
    durations_s = [sum(_at_work_s(truth, phase) for phase in own if phase.phase == name) for name in PHASES]
    return {"duration_s": event.end_s - event.start_s, "durations_s": durations_s, "coverage": 1.0}


def _at_work_s(truth: Truth, phase: TruthEvent) -> float:
    stops = [e for e in truth.events_of("pause", "leave", "turn") if phase.start_s <= e.start_s < phase.end_s]
    return phase.end_s - phase.start_s - sum(stop.end_s - stop.start_s for stop in stops)


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
    parser.add_argument("--deviations", type=int, default=2, help="skips, repeats, pauses, …; at most one a cycle")
    parser.add_argument("--speed", type=float, default=1.0, help="1: as it was")
    parser.add_argument("--confirm", metavar="PHASE")
    options = parser.parse_args()
    try:
        if options.confirm:
            with Subscriber(options.address, options.requests) as station:
                station.confirm(options.confirm)
            return
        if not 0.01 <= options.speed <= 1000:
            raise ConfigError("the speed is out of range", expected="0.01 to 1000", found=f"{options.speed:g}")
        deviations = min(options.deviations, options.cycles)
        truth = simulate(StationParams.random(options.seed, cycles=options.cycles, deviations=deviations))
        with Publisher(Journal(STATION, Store("sqlite://")), options.address, options.requests) as bus:
            publish(truth, bus, options.speed)
    except LockstepError as error:
        parser.exit(2, f"publish: {error}\n")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
