"""Memory of a publisher over a million ticks while subscribers come and go, and what a stalled one costs.

    python -m benchmarks.bus_memory [--ticks 1000000] [--json F]

`growth_mb`: resident memory at the end less that after the first tenth. `publish_us`: time of one `state` without and with a
subscriber that never reads.
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


def state(tick: int) -> State:
    pose = [(float(i), float(i), 0.9) for i in range(13)]
    return State("bench", tick, tick / 20, 0.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9, pose=pose)


def publish_us(station: Publisher, ticks: int) -> tuple[float, float]:
    """Median and 95th percentile of publishing one state, microseconds."""
    spent = []
    for tick in range(ticks):
        message = state(tick)
        started_s = time.perf_counter()
        station.state(message)
        spent.append(1e6 * (time.perf_counter() - started_s))
    p50, p95 = np.percentile(spent, (50, 95)).round(1).tolist()
    return p50, p95


def run(ticks: int) -> dict[str, object]:
    process = psutil.Process()
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(f"sqlite:///{folder}/s.db") as store,
        Publisher(Journal("bench", store), "tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as station,
    ):
        early, visitors = 0, 0
        visitor = Subscriber(station.address, station.request_address or "")
        with Progress(transient=True) as progress:
            for tick in progress.track(range(ticks), description="ticks"):
                station.state(state(tick))
                if tick % TICKS_PER_EVENT == 0:
                    station.event(station.journal.number(Event("bench", 0, "slow", tick / 20, 0.0)))
                if tick % TICKS_PER_VISIT == 0:
                    visitor.update(0.0)
                    visitor.close()
                    visitor = Subscriber(station.address, station.request_address or "")
                    visitors += 1
                if tick == ticks // 10:
                    early = process.memory_info().rss
        late = process.memory_info().rss
        visitor.close()
        alone = publish_us(station, 20_000)
        with zmq.Context() as context, context.socket(zmq.SUB) as stalled:
            stalled.setsockopt(zmq.RCVHWM, 1)
            stalled.setsockopt(zmq.LINGER, 0)
            stalled.connect(station.address)
            stalled.subscribe(b"")
            time.sleep(0.5)
            watched = publish_us(station, 20_000)
    return {
        "ticks": ticks,
        "subscribers": visitors,
        "growth_mb": round((late - early) / 2**20, 2),
        "publish_us": {
            "alone_p50": alone[0],
            "alone_p95": alone[1],
            "stalled_p50": watched[0],
            "stalled_p95": watched[1],
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
