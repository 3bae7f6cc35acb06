"""Memory of a publisher over a million ticks while subscribers come and go, and what a stalled one costs.

    python -m benchmarks.bus_memory [--ticks 1000000] [--json F]

Every 500 ticks a subscriber that has heard something leaves and another connects; ticks go on until it, too, hears.
`growth_mb`: resident memory at the end less that after the first tenth. `publish_us`: time of one `state` without anybody
and with a subscriber that never reads, in turn; `stalled_ratio` is the median over the pairs of their medians' ratios, with the
least and the most.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import zmq
from rich.progress import Progress

from engine.bus import Publisher
from engine.journal import Journal
from engine.messages import Event, State
from engine.store import Store
from engine.subscriber import Subscriber

TICKS_PER_VISIT = 500
"""Ticks after which one subscriber leaves and another comes."""
TICKS_PER_EVENT = 200
PAIRS, PAIR_TICKS = 15, 20_000


def state(tick: int) -> State:
    pose = [(float(i), float(i), 0.9) for i in range(13)]
    return State("bench", tick, tick / 20, 0.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9, pose=pose)


def publish_us(station: Publisher) -> tuple[float, float]:
    """Median and 95th percentile of publishing one state, microseconds."""
    spent = []
    for tick in range(PAIR_TICKS):
        message = state(tick)
        started_s = time.perf_counter()
        station.state(message)
        spent.append(1e6 * (time.perf_counter() - started_s))
    p50, p95 = np.percentile(spent, (50, 95)).tolist()
    return p50, p95


def stalled_us(station: Publisher) -> tuple[float, float]:
    """The same while a subscriber is connected that never reads, and whose queue is full."""
    with zmq.Context() as context, context.socket(zmq.SUB) as stalled:
        stalled.setsockopt(zmq.RCVHWM, 1)
        stalled.setsockopt(zmq.LINGER, 0)
        stalled.subscribe(b"")
        stalled.connect(station.address)
        while not stalled.poll(10):
            station.state(state(0))
        for tick in range(PAIR_TICKS):  # until its queue and the kernel's buffers are full
            station.state(state(tick))
        return publish_us(station)


def visit(station: Publisher, tick: int) -> tuple[Subscriber, int]:
    """A new subscriber, and the tick up to which was published until it had heard a state."""
    visitor = Subscriber(station.address, station.request_address or "")
    while visitor.state is None:
        station.state(state(tick))
        tick += 1
        visitor.update(0.002)
    return visitor, tick


def run(ticks: int) -> dict[str, object]:
    process = psutil.Process()
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(f"sqlite:///{folder}/s.db") as store,
        Publisher(Journal("bench", store), "tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as station,
    ):
        early = 0
        visitor, tick = visit(station, 0)
        visitors, due, event_due = 1, TICKS_PER_VISIT, 0
        with Progress(transient=True) as progress:
            bar = progress.add_task("ticks", total=ticks)
            while tick < ticks:
                station.state(state(tick))
                tick += 1
                if tick >= event_due:
                    station.event(station.journal.number(Event("bench", 0, "slow", tick / 20, 0.0)))
                    event_due += TICKS_PER_EVENT
                if tick >= due:
                    visitor.close()
                    visitor, tick = visit(station, tick)
                    visitors, due = visitors + 1, due + TICKS_PER_VISIT
                    progress.update(bar, completed=tick)
                if not early and tick >= ticks // 10:
                    early = process.memory_info().rss
        late = process.memory_info().rss
        visitor.close()
        pairs = [(publish_us(station), stalled_us(station)) for _ in range(PAIRS)]
    ratios = sorted(stalled[0] / alone[0] for alone, stalled in pairs)
    middle = np.median(pairs, axis=0).round(2).tolist()
    return {
        "ticks": tick,
        "subscribers": visitors,
        "growth_mb": round((late - early) / 2**20, 2),
        "publish_us": {
            "alone_p50": middle[0][0],
            "alone_p95": middle[0][1],
            "stalled_p50": middle[1][0],
            "stalled_p95": middle[1][1],
        },
        "stalled_ratio": {
            "median": round(float(np.median(ratios)), 3),
            "least": round(ratios[0], 3),
            "most": round(ratios[-1], 3),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = run(options.ticks)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
