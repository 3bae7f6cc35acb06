"""`lockstep synth`: a rendered station as a video, with its ground truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PLACE = "PHASE@CYCLE; a phase is a name or a number from 1; several: joined by +."
_LASTING = "PHASE@CYCLE:SECONDS; several: joined by +."


def command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Video to write: .mp4, .avi or .mkv.")],
    seed: Annotated[int, typer.Option(help="What varies from recording to recording.")] = 0,
    worker: Annotated[
        int | None, typer.Option(help="Draws body, clothes, room, camera and habits. Default: seed.")
    ] = None,
    cycles: Annotated[int, typer.Option(help="How often the procedure is done.")] = 3,
    speed: Annotated[float | None, typer.Option(help="Pace; 1 is nominal. Default: the worker's.")] = None,
    idle: Annotated[
        float | None, typer.Option(help="Mean idle time between cycles, seconds. Default: the worker's.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second. Default: 30.")] = None,
    skip: Annotated[str | None, typer.Option(help=f"Phases left out: {_PLACE}")] = None,
    repeat: Annotated[str | None, typer.Option(help=f"Phases done twice: {_PLACE}")] = None,
    swap: Annotated[str | None, typer.Option(help=f"Phases that change places with the next: {_PLACE}")] = None,
    pause: Annotated[str | None, typer.Option(help=f"Standing still: {_LASTING}")] = None,
    leave: Annotated[str | None, typer.Option(help=f"Leaving the picture: {_LASTING}")] = None,
    turn: Annotated[str | None, typer.Option(help=f"Turning away: {_LASTING}")] = None,
    deviations: Annotated[
        int | None, typer.Option(help="So many deviations drawn at random, at most one a cycle.")
    ] = None,
) -> None:
    """Writes VIDEO and its truth as JSON beside it (docs/sources.md has the format). The same options, the same frames."""
    from rich.console import Console

    from clients.progress import progress_bar
    from clients.results import counted
    from engine.sources.rendered import RenderedStation, simulate
    from engine.sources.rendered.options import station_params
    from engine.sources.video_writer import VideoWriter

    asked = {
        "seed": seed,
        "worker": worker,
        "cycles": cycles,
        "speed": speed,
        "idle": idle,
        "fps": fps,
        "skip": skip,
        "repeat": repeat,
        "swap": swap,
        "pause": pause,
        "leave": leave,
        "turn": turn,
        "deviations": deviations,
    }
    params = station_params({name: str(value) for name, value in asked.items() if value is not None})
    truth_path = output.with_suffix(".json")
    station = RenderedStation(params)
    console = Console(stderr=True)
    with (
        VideoWriter(output, station.fps, station.size) as video,
        progress_bar(console, output.name, station.duration_s) as advance_to,
    ):
        for frame in station:
            assert frame.image is not None
            video.write(frame.image)
            advance_to(frame.time_s)
    truth = simulate(params)
    truth.save(truth_path)
    console.print(
        f"{output}  {len(truth)} frames, {station.duration_s:.1f} s, {counted(params.cycles, 'cycle')}", highlight=False
    )
    for event in truth.events_of("skip", "repeat", "swap", "pause", "leave", "turn"):
        when = f"{event.start_s:.1f}" + (f"–{event.end_s:.1f}" if event.end_s > event.start_s else "")
        console.print(f"  {event.kind} {event.phase} in cycle {event.cycle}, at {when} s", highlight=False)
    console.print(f"{truth_path}  ground truth", highlight=False)
