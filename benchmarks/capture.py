"""What capture in its own process costs, and how fast a lost stream is noticed and comes back.

    python -m benchmarks.capture [--losses 10] [--seed 0] [--json F]

A rendered station at 640×480 and 30 Hz is played live. Its capture process is killed (SIGKILL) and hung (SIGSTOP) in turn
at random moments. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from engine.sources.live import LiveSource
from engine.sources.rendered import StationParams


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    source = LiveSource(StationParams.random(options.seed, cycles=1000))
    figures: dict[str, list[float]] = {
        **{f"{what}, {kind}": [] for kind in ("killed", "hung") for what in ("unnoticed s", "back after s")},
        "capture to station ms": [],
    }
    struck_s, kind, losses = 0.0, "", 0
    strike_at_s = time.monotonic() + rng.uniform(1, 2)
    for frame in source:
        now_s = time.monotonic()
        if frame.notice is not None and frame.notice.kind == "stream_lost":
            figures[f"unnoticed s, {kind}"].append(now_s - struck_s)
        elif frame.notice is not None and frame.notice.kind == "stream_back":
            figures[f"back after s, {kind}"].append(now_s - struck_s)
            losses += 1
            strike_at_s = now_s + rng.uniform(1, 2)
            if losses == options.losses:
                break
        elif frame.image is not None:
            figures["capture to station ms"].append(1000 * (now_s - frame.captured_monotonic_s))
        if now_s > strike_at_s and source.capture_pid is not None:
            kind = ("killed", "hung")[losses % 2]
            struck_s, strike_at_s = now_s, float("inf")
            os.kill(source.capture_pid, signal.SIGKILL if kind == "killed" else signal.SIGSTOP)
    source.close()

    table = Table("figure", "n", "p50", "p95", "max", title=f"Live capture, {losses} losses")
    summary = {}
    for name, values in figures.items():
        if values:
            p50, p95 = np.percentile(values, (50, 95))
            table.add_row(name, str(len(values)), f"{p50:.2f}", f"{p95:.2f}", f"{max(values):.2f}")
            summary[name] = {"n": len(values), "p50": float(p50), "p95": float(p95), "max": max(values)}
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
