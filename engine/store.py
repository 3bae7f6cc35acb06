"""The store: events, cycles, phase durations and checkpoints in SQLite (WAL) or any SQLAlchemy URL such as PostgreSQL.

Tables and their migrations are in `tables.py`; numbering is `journal.py`.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from engine import tables
from engine.errors import StoreError
from engine.messages import Event, State
from engine.redact import redact

PREPARING = 0x10C57E9
"""PostgreSQL's number of the lock that who creates or lifts the tables of a database holds; any that nobody else uses."""


class NumberTaken(StoreError):
    """Another process has stored an event of this number."""


class Store:
    """Opened by its constructor. Raises StoreError: unreachable, unreadable, or written by a newer version.

    `sqlite://` keeps everything in memory. `create` False: a file has to be there, and may be one that can only be read.
    Safe to use from several threads.
    """

    def __init__(self, url: str, create: bool = True) -> None:
        self.url = redact(url)
        try:
            parsed = sa.make_url(url)
            sqlite = parsed.get_backend_name() == "sqlite"
            in_memory = self.in_memory = sqlite and parsed.database in (None, "", ":memory:")
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 5}}
            if sqlite:
                options = {"connect_args": {"check_same_thread": False, "timeout": 5.0}}
            if in_memory:
                options["poolclass"] = StaticPool  # one connection is the database
            if not create and sqlite and not in_memory:
                parsed = _existing(parsed)
            self._engine = sa.create_engine(parsed, **options)
            self._turn: Any = threading.RLock() if in_memory else nullcontext()
            if sqlite:
                sa.event.listen(self._engine, "connect", _tune_sqlite)
                sa.event.listen(self._engine, "begin", _begin)
            with self._engine.connect() as connection:
                meta = _meta(connection)
            if meta.get("version") != str(tables.VERSION):
                with self._engine.execution_options(writes=True).begin() as connection:
                    meta = _prepare(connection, self.url)
            self.identity = str(meta["identity"])
        except (SQLAlchemyError, ArgumentError, OSError, ImportError) as error:
            raise self._refusal("cannot open", error) from None

    def append(self, station: str, events: Sequence[Event], checkpoint: bytes | None = None) -> None:
        """Store numbered events, what follows from them, and the checkpoint after them: all or nothing.

        Raises StoreError; nothing is stored then.
        """
        durations = [row for event in events for row in tables.phase_rows(event)]
        cycles = [row for event in events if (row := tables.cycle_row(event))]
        try:
            with self._turn, self._engine.begin() as connection:
                if events:
                    connection.execute(sa.insert(tables.EVENTS), [tables.event_row(event) for event in events])
                if cycles:
                    connection.execute(sa.insert(tables.CYCLES), cycles)
                if durations:
                    connection.execute(sa.insert(tables.PHASES), durations)
                if checkpoint is not None:
                    own = tables.CHECKPOINTS.c.station == station
                    connection.execute(sa.delete(tables.CHECKPOINTS).where(own))
                    row = {"station": station, "saved_wall_s": time.time(), "data": checkpoint}
                    connection.execute(sa.insert(tables.CHECKPOINTS), [row])
        except IntegrityError:
            if self._holds(station, events):  # committed before, but the connection broke before we were told
                return
            raise NumberTaken(
                f"another process writes events of {station!r} to {self.url}",
                expected="one process per station",
                found=f"event {events[0].seq} is there already" if events else "two checkpoints at once",
                next_step="Stop the other process, or give one of them another name or store.url.",
            ) from None
        except SQLAlchemyError as error:
            raise self._refusal("cannot write to", error) from None

    def _holds(self, station: str, events: Sequence[Event]) -> bool:
        stored = self.messages(station, events[0].seq, len(events)) if events else []
        return bool(events) and stored == [tables.event_row(event)["message"] for event in events]

    def checkpoint(self, station: str) -> bytes | None:
        """The last checkpoint stored, or None."""
        query = sa.select(tables.CHECKPOINTS.c.data).where(tables.CHECKPOINTS.c.station == station)
        rows = self.read(query)
        return bytes(rows[0].data) if rows else None

    def bounds(self, station: str) -> tuple[int, int]:
        """Oldest and newest event number of a station; (1, 0) where there is none yet."""
        own = tables.EVENTS.c.station == station
        seq = tables.EVENTS.c.seq
        (row,) = self.read(sa.select(sa.func.min(seq).label("oldest"), sa.func.max(seq).label("newest")).where(own))
        return (1, 0) if row.newest is None else (int(row.oldest), int(row.newest))

    def messages(self, station: str, first_seq: int, limit: int) -> list[bytes]:
        """Events of a station from `first_seq` on, as MessagePack, oldest first."""
        events = tables.EVENTS.c
        query = sa.select(events.message).where(events.station == station, events.seq >= first_seq)
        return [bytes(row.message) for row in self.read(query.order_by(events.seq).limit(limit))]

    def newest_of(self, station: str, kinds: Collection[str]) -> bytes | None:
        """The newest event of one of these kinds, as MessagePack, or None."""
        events = tables.EVENTS.c
        query = sa.select(events.message).where(events.station == station, events.kind.in_(kinds))
        rows = self.read(query.order_by(events.seq.desc()).limit(1))
        return bytes(rows[0].message) if rows else None

    def note_health(self, state: State) -> None:
        """Keep how the station is at this moment. Raises StoreError."""
        try:
            with self._turn, self._engine.begin() as connection:
                connection.execute(sa.insert(tables.HEALTH), [tables.health_row(state)])
        except SQLAlchemyError as error:
            raise self._refusal("cannot write to", error) from None

    def read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Rows of any query over `tables`. Raises StoreError."""
        try:
            with self._turn, self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise self._refusal("cannot read from", error) from None

    def forget(self, older_than_s: float) -> int:
        """Retention: delete what is older than `older_than_s` seconds; returns how many events went.

        The newest event of each station stays, so that numbering goes on where it was.
        """
        before = time.time() - older_than_s
        events = tables.EVENTS.c
        newest = sa.select(events.station, sa.func.max(events.seq)).group_by(events.station)
        try:
            with self._turn, self._engine.begin() as connection:
                connection.execute(sa.delete(tables.CYCLES).where(tables.CYCLES.c.ended_wall_s < before))
                connection.execute(sa.delete(tables.PHASES).where(tables.PHASES.c.ended_wall_s < before))
                connection.execute(sa.delete(tables.HEALTH).where(tables.HEALTH.c.wall_s < before))
                kept = connection.execute(newest).all()
                gone = 0
                for station, last in kept:
                    # Up to the newest number that is too old: a clock that was set back leaves no hole in the middle.
                    old = sa.select(sa.func.max(events.seq)).where(
                        events.station == station, events.wall_s < before, events.seq < last
                    )
                    limit = connection.execute(old).scalar()
                    if limit is not None:
                        where = (events.station == station) & (events.seq <= limit)
                        gone += connection.execute(sa.delete(tables.EVENTS).where(where)).rowcount
                return gone
        except SQLAlchemyError as error:
            raise self._refusal("cannot write to", error) from None

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refusal(self, problem: str, error: Exception) -> StoreError:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        return StoreError(
            f"{problem} the store {self.url}",
            found=redact(reason[0]) if reason else type(error).__name__,
            next_step="Check store.url, and the free space and the rights of its folder (or the database server).",
        )


def _existing(url: sa.URL) -> sa.URL:
    """SQLite's own way to a file that may only be read. Raises OSError where there is none.

    To read a file in WAL mode SQLite makes two more beside it, unless it is told that nobody changes the file: so it is
    while there is no `-wal` of somebody who has it open.
    """
    path = Path(url.database or "")
    if not path.is_file():
        raise OSError("no such file: nothing was stored here yet")
    writable = all(os.access(part, os.W_OK, effective_ids=True) for part in (path, path.resolve().parent))
    if writable or Path(f"{path.resolve()}-wal").exists():
        return url
    return url.set(database=f"file:{quote(str(path))}").update_query_dict({"immutable": "1", "uri": "true"})


def _tune_sqlite(connection: Any, _: object) -> None:
    """WAL: readers never wait for the writer. FULL: an event that was published survives a power cut.

    The driver leaves transactions to us: by itself it begins none before a CREATE, and half a store could stay.
    """
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: sa.Connection) -> None:
    """Who will write what it has read takes the lock at once: of several processes that make a new store one does."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _meta(connection: sa.Connection) -> dict[str, str]:
    """Empty for a store that is not there yet."""
    if not sa.inspect(connection).has_table(tables.META.name):
        return {}
    return {row.key: row.value for row in connection.execute(sa.select(tables.META))}


def _prepare(connection: sa.Connection, url: str) -> dict[str, str]:
    """Create the tables, or lift them to this version; `identity` is made once."""
    if connection.dialect.name == "postgresql":  # as _begin does for SQLite: one of several processes at a time
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(PREPARING)))
    meta = _meta(connection)
    if not meta:
        tables.METADATA.create_all(connection)
        meta = {"version": str(tables.VERSION), "identity": uuid.uuid4().hex}
        connection.execute(sa.insert(tables.META), [{"key": key, "value": value} for key, value in meta.items()])
    if not {"version", "identity"} <= meta.keys():
        raise StoreError(
            f"{url} is not a store of Lockstep",
            expected="its own file or database",
            found="a table `meta` of something else",
            next_step="Configure another store.url.",
        )
    version = int(meta["version"])
    if version > tables.VERSION:
        raise StoreError(
            f"the store {url} was written by a newer Lockstep",
            expected=f"version {tables.VERSION} or older",
            found=f"version {version}",
            next_step="Update Lockstep, or configure another store.url.",
        )
    for step in range(version + 1, tables.VERSION + 1):
        tables.MIGRATIONS[step](connection)
    if version < tables.VERSION:
        connection.execute(
            sa.update(tables.META).where(tables.META.c.key == "version").values(value=str(tables.VERSION))
        )
    return meta
