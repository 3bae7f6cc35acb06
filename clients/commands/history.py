"""`lockstep history`: what the store holds, filtered, on the screen or as CSV or Parquet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def command(
    station: Annotated[Path | None, typer.Argument(help="STATION.yaml; or use --store.")] = None,
    store: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the store, instead of a station's.")] = None,
    what: Annotated[
        str, typer.Option(help="cycles, phases, events or health (fps, drops and latency, once a minute).")
    ] = "cycles",
    name: Annotated[str | None, typer.Option("--station", help="Only this station.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only events of this kind.")] = None,
    phase: Annotated[str | None, typer.Option(help="Only this phase.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this local time on.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to this local time.")] = None,
    last: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 50,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write all of it to a .csv or .parquet file.")
    ] = None,
) -> None:
    """Without -o the newest rows are shown as a table. Times are local, in a .csv as well; a .parquet has Unix time in seconds."""
    from rich.console import Console

    from clients.history import Filter, export, rows, table
    from engine.config import load_station
    from engine.errors import ConfigError
    from engine.store import Store

    if (station is None) == (store is None):
        raise ConfigError(
            "whose history?", expected="either STATION.yaml or --store URL", found="both" if store else "neither"
        )
    url = store or (load_station(station).store.url if station else None) or ""
    wanted = Filter(
        name,
        kind,
        phase,
        since.timestamp() if since else None,
        until.timestamp() if until else None,
        None if output else last,
    )
    with Store(url, create=False) as opened:
        found = rows(opened, what, wanted)
    if output is None:
        Console().print(table(what, found))
    else:
        export(what, found, output)
        typer.echo(f"written: {output} ({len(found)} rows)")
