"""Running a station from the command line: terminal view or silence, Ctrl-C, and what is left behind at the end."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from clients.results import check_writable, summary, write_json, write_pictures
from clients.watch import View
from engine.config import StationConfig
from engine.logs import EventLog, log_to_stderr
from engine.opening import open_station
from engine.station import Station
from engine.timeline import Timeline

REFRESH_HZ = 8


def run_station(config: StationConfig, *, headless: bool, json_file: Path | None, report: Path | None) -> None:
    """Until the source ends or Ctrl-C; then a line of result, the JSON and the report that were asked for."""
    check_writable(json_file)
    check_writable(report / "report.html" if report else None)
    console = Console()
    timeline, view = Timeline(), View()
    # A line per event would scroll the terminal view away: beside it only what is wrong is said.
    log_to_stderr(json_lines=config.health.json_logs, level=logging.INFO if headless else logging.WARNING)
    with open_station(config, [timeline, view, EventLog()]) as station:
        follow(station, console, None if headless else view)
        figures = summary(station, timeline)
        console.print(
            f"{config.station}: {figures['cycles_counted']} cycles, {figures['ticks']} ticks, {figures['frames']} frames "
            f"at {figures['fps']:.1f} fps ({figures['dropped']} dropped)",
            highlight=False,
            soft_wrap=True,
        )
        if report is not None:
            shown = {
                "cycles": str(figures["cycles_counted"]),
                "frames per second": f"{figures['fps']:.1f}",
                "after pose, p95": f"{figures['after_pose_p95_ms']:.1f} ms",
            }
            for path in write_pictures(
                report, f"Station {config.station}", station.source.name, shown, station, timeline
            ):
                console.print(f"written: {path}", highlight=False, soft_wrap=True)
        if json_file is not None:
            write_json(json_file, figures)


def follow(station: Station, console: Console, view: View | None) -> None:
    """Run the station to its end, with the live view if there is one; Ctrl-C and SIGTERM stop it cleanly."""
    with _stopping_on_signals(station):
        if view is None:
            station.run()
            return
        with Live(view, console=console, refresh_per_second=REFRESH_HZ, screen=False):
            station.run()


@contextmanager
def _stopping_on_signals(station: Station) -> Iterator[None]:
    """The first Ctrl-C ends the run after the frame in hand; a second one ends the program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: Any) -> None:
        station.stop()
        signal.signal(number, signal.default_int_handler)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
