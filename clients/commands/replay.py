"""`lockstep replay`: a recording through the pipeline again, at any speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    recording: Annotated[Path, typer.Argument(help="Made by `lockstep record`.")],
    station: Annotated[Path, typer.Argument(help="STATION.yaml: which reference and bundle.")],
    speed: Annotated[
        float | None, typer.Option(help="1: as fast as it was; 2: twice as fast. Default: as fast as can be.")
    ] = None,
    publish: Annotated[bool, typer.Option(help="Publish on the station's bus meanwhile.")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="No terminal view.")] = False,
) -> None:
    """Events go to a store in memory, never to the station's own. Ends with status 1 if they differ from those recorded."""
    from clients.recording import replay
    from engine.config import load_station

    if not replay(recording, load_station(station), speed, publish=publish, headless=headless):
        raise typer.Exit(1)
