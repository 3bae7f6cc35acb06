"""Numbers a station's events without gaps and has them stored before anyone hears of them.

drafts ─number→ events ─store→ ready to publish        (a full disk: kept in memory, in order, until it can be)
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable

import msgspec

from engine import wire
from engine.errors import StoreError
from engine.messages import Event
from engine.store import NumberTaken, Store

log = logging.getLogger("lockstep.journal")

BACKLOG = 10_000
"""Events kept while the store cannot be written: hours of work. Beyond it numbering stops rather than losing one."""


class Journal:
    """One station's sequence of events. Thread-safe. Raises StoreError if the store cannot be read at the start.

    `shared`: other processes write events of this station too, so an event's number is final only once it is stored.
    """

    def __init__(self, station: str, store: Store, shared: bool = False) -> None:
        self.station, self.store, self._shared = station, store, shared
        self.trouble = ""
        """Why the store cannot be written just now; empty while it can."""
        _, self._last = store.bounds(station)
        self._stored = self._last
        self._backlog: deque[Event] = deque()
        self._checkpoint: bytes | None = None
        self._turn = threading.RLock()

    @property
    def stored_seq(self) -> int:
        """Number of the newest event that is stored: only up to here may be published."""
        return self._stored

    @property
    def waiting(self) -> int:
        """Events that are numbered but not stored yet."""
        return len(self._backlog)

    def stream_lost(self) -> bool:
        """The last that was told of the stream is its loss. Raises StoreError."""
        newest = self.store.newest_of(self.station, ("stream_lost", "stream_back"))
        return newest is not None and wire.unpack_event(newest).event == "stream_lost"

    def number(self, draft: Event) -> Event:
        """A draft with its number, stored, or waiting for the store in memory (then `stored_seq` is below it)."""
        return self.commit([draft])[0]

    def commit(self, drafts: Iterable[Event], checkpoint: bytes | None = None) -> list[Event]:
        """Number drafts and store them in one transaction with the checkpoint that follows them.

        Raises StoreError only when the store has failed for so long that memory is full.
        """
        with self._turn:
            events = [
                msgspec.structs.replace(draft, station=self.station, seq=self._last + i, log=self.store.identity)
                for i, draft in enumerate(drafts, start=1)
            ]
            if len(self._backlog) + len(events) > BACKLOG:
                raise StoreError(
                    f"{BACKLOG} events wait for the store", found=self.trouble, next_step="Free the store's disk."
                )
            self._last += len(events)
            self._backlog.extend(events)
            self._checkpoint = checkpoint or self._checkpoint
            self.flush()
            return events

    def flush(self) -> bool:
        """Try to store what waits. True if nothing waits any more."""
        with self._turn:
            if not self._backlog and self._checkpoint is None:
                return True
            try:
                self._store()
            except StoreError as error:
                if not self.trouble:
                    log.warning("events wait: %s", error)
                self.trouble = str(error)
                return False
            if self.trouble:
                log.warning("the store works again, what waited is stored")
            self._backlog.clear()
            self._checkpoint = None
            self._stored, self.trouble = self._last, ""
            return True

    def finish(self) -> None:
        """Store what waits, for the last time. Raises StoreError where that cannot be: those events are lost then."""
        if not self.flush():
            raise StoreError(f"the last {self.waiting} events of {self.station!r} are lost: {self.trouble}")

    def catch_up(self) -> int:
        """Number of the newest event stored, by whomever."""
        _, newest = self.store.bounds(self.station)  # may take long: nobody waits for it
        with self._turn:
            if not self._backlog:
                self._stored = self._last = max(self._last, newest)
            return self._stored

    def _store(self) -> None:
        try:
            self.store.append(self.station, list(self._backlog), self._checkpoint)
        except NumberTaken:
            if not self._shared:
                raise
            _, newest = self.store.bounds(self.station)
            waiting = enumerate(self._backlog, start=newest + 1)
            self._backlog = deque(msgspec.structs.replace(event, seq=seq) for seq, event in waiting)
            self._last = newest + len(self._backlog)
            self._store()
