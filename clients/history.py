"""Rows of the store for people: filtered, as a table, CSV or Parquet."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.table import Table
from rich.text import Text

from clients.watch import clean
from engine import tables
from engine.errors import ConfigError, DataError
from engine.store import Store

_TABLES = {"events": tables.EVENTS, "cycles": tables.CYCLES, "phases": tables.PHASES, "health": tables.HEALTH}
_HIDDEN = {"message"}


@dataclass(frozen=True)
class Filter:
    station: str | None = None
    kind: str | None = None
    phase: str | None = None
    since_s: float | None = None
    """Unix time."""
    until_s: float | None = None
    last: int | None = None


def rows(store: Store, what: str, wanted: Filter) -> list[dict[str, Any]]:
    """Oldest first. Raises ConfigError for an unknown `what` or a filter that it does not have, StoreError."""
    if what not in _TABLES:
        raise ConfigError("no such history", expected=", ".join(_TABLES), found=what)
    table = _TABLES[what]
    when = table.c["wall_s" if "wall_s" in table.c else "ended_wall_s"]
    query = sa.select(*(column for column in table.c if column.name not in _HIDDEN))
    for name in ("station", "kind", "phase"):
        value = getattr(wanted, name)
        if value is None:
            continue
        if name not in table.c:
            raise ConfigError(
                f"{what} have no {name}", expected="--what " + ("events" if name == "kind" else "events or phases")
            )
        query = query.where(table.c[name] == value)
    if wanted.since_s is not None:
        query = query.where(when >= wanted.since_s)
    if wanted.until_s is not None:
        query = query.where(when <= wanted.until_s)
    query = query.order_by(when.desc(), *(table.c[name].desc() for name in ("seq",) if name in table.c))
    if wanted.last is not None:
        query = query.limit(wanted.last)
    return [dict(row._mapping) for row in reversed(store.read(query))]


def table(what: str, found: list[dict[str, Any]]) -> Table:
    """The rows for a terminal; nothing in them is taken for markup."""
    shown = Table(title=f"{len(found)} {what}", header_style="bold", box=None, pad_edge=False, title_justify="left")
    if not found:
        shown.add_column("nothing found", style="grey62")
        return shown
    for name, value in found[0].items():
        shown.add_column(
            name.removesuffix("_wall_s").replace("wall_s", "time"),
            justify="right" if isinstance(value, int | float) else "left",
        )
    for row in found:
        shown.add_row(*(Text(_shown(name, value)) for name, value in row.items()))
    return shown


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("wall_s"):
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else clean(str(value))


def export(found: list[dict[str, Any]], path: Path) -> None:
    """Raises ConfigError for another kind of file, DataError where it cannot be written."""
    try:
        if path.suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(found[0]) if found else [])
                writer.writeheader()
                writer.writerows({name: _for_csv(value) for name, value in row.items()} for row in found)
        elif path.suffix == ".parquet":
            try:
                import pyarrow
                import pyarrow.parquet
            except ImportError:
                raise ConfigError(
                    "Parquet needs pyarrow", next_step="pip install 'lockstep[parquet]', or write a .csv."
                ) from None
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found), path)
        else:
            raise ConfigError("what kind of file?", expected="a name ending in .csv or .parquet", found=path.name)
    except OSError as error:
        raise DataError(f"cannot write {path}", found=error.strerror or str(error)) from None


def _for_csv(value: Any) -> Any:
    """A spreadsheet runs text that begins like a formula: a quote stops it."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
