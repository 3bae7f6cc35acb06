"""`lockstep demo`: the main job, seen in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    seed: Annotated[int, typer.Option(min=0, help="Draws both workers: bodies, clothes, cameras, pace.")] = 1,
    cycles: Annotated[int, typer.Option(min=1, max=500, help="Cycles that are followed.")] = 4,
    bundle: Annotated[str | None, typer.Option(help="Bundle to use (default: the shipped one).")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No terminal view, only what is printed.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for timeline.png and report.html.")] = Path(
        "out/demo"
    ),
) -> None:
    """An expert's recordings become a reference; another worker, who pauses once and skips a phase, is followed live.

    Both are drawn, but the pose estimator is the real one and sees real pixels. Takes a minute or two.
    """
    from rich.console import Console
    from rich.table import Table

    from clients.demo import demo_config, ensure_reference
    from clients.results import check_writable, summary, write_json, write_pictures
    from clients.running import follow
    from clients.watch import View
    from engine.bundle import open_bundle
    from engine.opening import open_station
    from engine.timeline import Timeline

    check_writable(json_file)
    check_writable(output / "report.html")
    console = Console()
    opened = open_bundle(bundle)
    reference = ensure_reference(seed, opened, console)
    config = demo_config(seed, cycles, opened).model_copy(update={"bundle": bundle})
    console.print(
        f"reference: {len(reference.info.phases)} phases, {reference.duration_s:.1f} s, from "
        f"{len(reference.info.demonstrations)} recordings of one worker. Now following another one, live.",
        highlight=False,
        soft_wrap=True,
    )
    timeline, view = Timeline(), View()
    with open_station(config, [timeline, view]) as station:
        follow(station, console, None if headless else view)
        figures = summary(station, timeline) | timeline.score()
        shown = {
            "phase accuracy": f"{100 * figures['phase_accuracy']:.1f} %",
            "cycles counted": f"{figures['cycles_counted']} of {figures['cycles_true']}",
            "frames per second": f"{figures['fps']:.1f}",
            "after pose, p95": f"{figures['after_pose_p95_ms']:.2f} ms",
            "pose, p50": f"{figures['latency_ms']['pose']['p50']:.1f} ms",
            "capture to result, p95": f"{figures['latency_ms']['total']['p95']:.0f} ms",
        }
        table = Table(title=f"Truth against result (seed {seed})", title_justify="left", box=None, show_header=False)
        for label, value in shown.items():
            table.add_row(label, f"[bold]{value}")
        console.print(table)
        if json_file is not None:
            write_json(json_file, figures)
        title = "Lockstep demo"
        subtitle = f"Another worker than the expert's, rendered (seed {seed}), found by MediaPipe in real pixels, followed in real time."
        for path in write_pictures(output, title, subtitle, shown, station, timeline):
            console.print(f"written: {path}", highlight=False, soft_wrap=True)
