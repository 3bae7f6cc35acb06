"""`lockstep watch`: the terminal view of a station that runs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.bus import PUBLISH, REQUESTS


def command(
    address: Annotated[str, typer.Argument(help="Where the station publishes.")] = PUBLISH,
    requests: Annotated[str, typer.Option(help="Where it answers requests.")] = REQUESTS,
    keys: Annotated[Path | None, typer.Option(help="This client's key folder (`lockstep keys new`).")] = None,
    server: Annotated[str, typer.Option(help="The station's public key, or a file that holds it.")] = "",
) -> None:
    """Ends with Ctrl-C. Where the output is no terminal it is a line for each event and each change."""
    import os
    import signal
    import sys

    from rich.console import Console

    from clients.watch import watch
    from engine.security import ClientKeys

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # in order: the cursor is shown again
    try:
        watch(address, requests, Console(), ClientKeys(keys, server) if keys else None)
    except BrokenPipeError:  # who read it has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
