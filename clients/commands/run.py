"""`lockstep run`: a station from its YAML, or from a source and a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    station: Annotated[
        Path | None, typer.Argument(help="STATION.yaml; see configs/stations/ and docs/stations.md.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Webcam number, video, rtsp:// URL, folder of images, track (.npz), or synth:… .")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Reference made by `lockstep reference build`.")] = None,
    bundle: Annotated[
        str | None, typer.Option(help="Bundle the reference was made with (default: the shipped one).")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="freshest: live, newest frame wins. every: nothing is dropped. Default: by source."),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No terminal view.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the run's figures here when it ends.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for timeline.png and report.html.")] = None,
    publish: Annotated[
        bool | None,
        typer.Option(
            "--publish/--no-publish", help="Be on the bus. Default: as STATION.yaml says; without one, not at all."
        ),
    ] = None,
) -> None:
    """Ends with the source, or cleanly at Ctrl-C. Exit status 0 on a normal end, 2 on a mistake."""
    from clients.running import run_station
    from engine.config import station_from_options

    config = station_from_options(station, source, reference, bundle, policy, publish)
    run_station(config, headless=headless, json_file=json_file, report=report)
