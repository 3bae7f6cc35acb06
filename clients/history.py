"""Rows of the store for people: filtered, as a table, CSV or Parquet.

On the screen and in CSV times are local, in a form that spreadsheets take for dates; Parquet keeps Unix time in seconds.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import sqlalchemy as sa
from rich.table import Table
from rich.text import Text

from clients.watch import clean
from engine import tables, wire
from engine.errors import ConfigError, DataError
from engine.messages import EventKind
from engine.store import Store

_TABLES = {"events": tables.EVENTS, "cycles": tables.CYCLES, "phases": tables.PHASES, "health": tables.HEALTH}


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
    """Oldest first; an event has its details as a mapping.

    Raises ConfigError for an unknown `what` or kind, or a filter that `what` does not have; StoreError.
    """
    if what not in _TABLES:
        raise ConfigError("no such history", expected=", ".join(_TABLES), found=what)
    if wanted.kind not in (None, *get_args(EventKind)):
        raise ConfigError("no such kind of event", expected=", ".join(get_args(EventKind)), found=str(wanted.kind))
    table = _TABLES[what]
    when = table.c["wall_s" if "wall_s" in table.c else "ended_wall_s"]
    query = sa.select(table)
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
    return [_with_details(dict(row._mapping)) for row in reversed(store.read(query))]


def _with_details(row: dict[str, Any]) -> dict[str, Any]:
    """The details of an event instead of its whole message."""
    message = row.pop("message", None)
    return row if message is None else {**row, "details": wire.unpack_event(bytes(message)).details}


def table(what: str, found: list[dict[str, Any]]) -> Table:
    """The rows for a terminal, without details, for which it is too narrow; nothing in them is taken for markup."""
    stations = {row["station"] for row in found}
    left_out = {"details", "station"} if len(stations) == 1 else {"details"}
    found = [{name: value for name, value in row.items() if name not in left_out} for row in found]
    title = f"{clean(stations.pop())}: " if len(stations) == 1 else ""
    title += f"{len(found)} {what.removesuffix('s') if len(found) == 1 else what}"
    shown = Table(title=Text(title), header_style="bold", box=None, pad_edge=False, title_justify="left")
    if not found:
        shown.add_column("nothing found", style="grey62")
        return shown
    for name, value in found[0].items():
        shown.add_column(
            _heading(name),
            justify="right" if isinstance(value, int | float) else "left",
            no_wrap=name != "phase",  # in a narrow terminal names are folded: half a number or kind says nothing
            overflow="fold" if name == "phase" else "ellipsis",
        )
    for row in found:
        shown.add_row(*(Text(_shown(name, value)) for name, value in row.items()))
    return shown


def _heading(name: str) -> str:
    return name.removesuffix("_wall_s").replace("wall_s", "time")


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("wall_s"):
        return _local(value, "seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else clean(str(value))


def _local(wall_s: float, precision: str) -> str:
    return datetime.fromtimestamp(wall_s).isoformat(" ", precision)


def _columns(what: str) -> list[str]:
    """Of every row of that table, as `rows` gives it."""
    names = _TABLES[what].c.keys()
    return [name for name in names if name != "message"] + (["details"] if "message" in names else [])


def export(what: str, found: list[dict[str, Any]], path: Path) -> None:
    """Rows of `what`; without any, the file has its columns all the same.

    Raises ConfigError for another kind of file, DataError where it cannot be written.
    """
    columns = _columns(what)
    try:
        if path.suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(map(_heading, columns))
                writer.writerows([_for_csv(name, row[name]) for name in columns] for row in found)
        elif path.suffix == ".parquet":
            try:
                import pyarrow
                import pyarrow.parquet
            except ImportError:
                raise ConfigError(
                    "Parquet needs pyarrow", next_step="pip install 'lockstep[parquet]', or write a .csv."
                ) from None
            plain = {name: [_as_text(row[name]) for row in found] for name in columns}
            pyarrow.parquet.write_table(pyarrow.Table.from_pydict(plain), path)
        else:
            raise ConfigError("what kind of file?", expected="a name ending in .csv or .parquet", found=path.name)
    except OSError as error:
        raise DataError(f"cannot write {path}", found=error.strerror or str(error)) from None


def _as_text(value: Any) -> Any:
    """Details, whose keys depend on the kind of event, are one column of JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _for_csv(name: str, value: Any) -> Any:
    """A spreadsheet runs text that begins like a formula: a quote stops it."""
    if name.endswith("wall_s"):
        return _local(value, "milliseconds")
    value = _as_text(value)
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
