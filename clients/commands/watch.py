"""`lockstep watch`: the terminal view of a station that runs elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.bus import PUBLISH, REQUESTS


def command(
    address: Annotated[str, typer.Argument(help="Where the station publishes.")] = PUBLISH,
    requests: Annotated[str, typer.Option(help="Where it answers requests.")] = REQUESTS,
) -> None:
    """Ends with Ctrl-C."""
    from rich.console import Console

    from clients.watch import watch

    watch(address, requests, Console())
