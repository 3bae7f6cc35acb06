"""Tables of the store, the rows that an event becomes, and how older stores are lifted to this version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from engine import wire
from engine.messages import Event, State

METADATA = sa.MetaData()
SECONDS = sa.Float(53)


def _numbered(name: str, *columns: Any) -> sa.Table:
    """A table whose rows belong to one event: station and its number are the key."""
    station = sa.Column("station", sa.String(64), primary_key=True)
    seq = sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False)
    return sa.Table(name, METADATA, station, seq, *columns)


META = sa.Table(
    "meta",
    METADATA,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
)
EVENTS = _numbered(
    "events",
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("wall_s", SECONDS, nullable=False),
    sa.Column("time_s", SECONDS, nullable=False),
    sa.Column("cycle", sa.Integer, nullable=False),
    sa.Column("phase", sa.String(200)),
    sa.Column("confidence", SECONDS, nullable=False),
    sa.Column("message", sa.LargeBinary, nullable=False),  # as published: MessagePack
    sa.Index("events_by_time", "station", "wall_s"),
)
CYCLES = _numbered(  # seq: of the event that ended the cycle
    "cycles",
    sa.Column("cycle", sa.Integer, nullable=False),
    sa.Column("ended_wall_s", SECONDS, nullable=False),
    sa.Column("duration_s", SECONDS),
    sa.Column("coverage", SECONDS),
    sa.Column("finished", sa.Boolean, nullable=False),  # False: abandoned
)
PHASES = _numbered(  # seq: of the event that finished the phase
    "phase_durations",
    sa.Column("cycle", sa.Integer, nullable=False),
    sa.Column("phase", sa.String(200), nullable=False),
    sa.Column("ended_wall_s", SECONDS, nullable=False),
    sa.Column("duration_s", SECONDS),
)
CHECKPOINTS = sa.Table(
    "checkpoints",
    METADATA,
    sa.Column("station", sa.String(64), primary_key=True),
    sa.Column("saved_wall_s", SECONDS, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

HEALTH = sa.Table(  # since version 2: one row a minute
    "health",
    METADATA,
    sa.Column("station", sa.String(64), primary_key=True),
    sa.Column("wall_s", SECONDS, primary_key=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("fps", SECONDS, nullable=False),
    sa.Column("dropped", sa.BigInteger, nullable=False),
    sa.Column("confidence", SECONDS, nullable=False),
    sa.Column("total_p50_ms", SECONDS),
    sa.Column("total_p95_ms", SECONDS),
)


def _fill_in_phase_durations(connection: sa.Connection) -> None:
    """Before version 3 `phase_finished` gave its duration as `dwell_s`, and the column stayed empty."""
    finished = sa.select(EVENTS.c.station, EVENTS.c.seq, EVENTS.c.message).where(EVENTS.c.kind == "phase_finished")
    durations = [
        {"of": row.station, "event": row.seq, "seconds": _number(wire.unpack_event(bytes(row.message)), "dwell_s")}
        for row in connection.execute(finished)
    ]
    if durations:
        own = (PHASES.c.station == sa.bindparam("of")) & (PHASES.c.seq == sa.bindparam("event"))
        empty = PHASES.c.duration_s.is_(None)
        connection.execute(sa.update(PHASES).where(own & empty).values(duration_s=sa.bindparam("seconds")), durations)


VERSION = 3
MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {
    2: lambda connection: HEALTH.create(connection),
    3: _fill_in_phase_durations,
}
"""Version → what lifts a store from the version before. A new store is created at VERSION at once."""


def event_row(event: Event) -> dict[str, Any]:
    return {
        "station": event.station,
        "seq": event.seq,
        "kind": event.event,
        "wall_s": event.wall_s,
        "time_s": event.time_s,
        "cycle": event.cycle,
        "phase": event.phase,
        "confidence": event.confidence,
        "message": wire.pack_plain(event),
    }


def cycle_row(event: Event) -> dict[str, Any] | None:
    """The cycle that an event ends, or None."""
    if event.event not in ("cycle_finished", "cycle_abandoned"):
        return None
    return {
        "station": event.station,
        "seq": event.seq,
        "cycle": event.cycle,
        "ended_wall_s": event.wall_s,
        "duration_s": _number(event, "duration_s"),
        "coverage": _number(event, "coverage"),
        "finished": event.event == "cycle_finished",
    }


def phase_rows(event: Event) -> list[dict[str, Any]]:
    """The phase that an event finishes, if it does."""
    if event.event != "phase_finished" or event.phase is None:
        return []
    row = {"station": event.station, "seq": event.seq, "cycle": event.cycle, "phase": event.phase}
    return [{**row, "ended_wall_s": event.wall_s, "duration_s": _number(event, "duration_s")}]


def health_row(state: State) -> dict[str, Any]:
    """How the station was at one moment."""
    p50, p95 = state.latency_ms.get("total", (None, None))
    row = {"station": state.station, "wall_s": state.wall_s, "status": state.status, "fps": state.fps}
    return {**row, "dropped": state.dropped, "confidence": state.confidence, "total_p50_ms": p50, "total_p95_ms": p95}


def _number(event: Event, key: str) -> float | None:
    value = event.details.get(key)
    return float(value) if isinstance(value, int | float) else None
