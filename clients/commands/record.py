"""`lockstep record`: run a station and keep its poses, states and events, for `lockstep replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    station: Annotated[Path, typer.Argument(help="STATION.yaml.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The recording, some 60 MB an hour at 30 frames per second.")
    ],
    video: Annotated[
        Path | None, typer.Option(help="Keep the pictures too, as a video file; refused in privacy mode.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No terminal view.")] = False,
) -> None:
    """Ends with the source, or cleanly at Ctrl-C."""
    from clients.recording import record_station
    from engine.config import load_station

    record_station(load_station(station), output, video, headless=headless)
