"""What is older than `store.keep_days` goes: when a station starts, and every hour while it runs."""

from __future__ import annotations

import logging
import threading

from engine.errors import StoreError
from engine.store import Store

EVERY_S = 3600.0

log = logging.getLogger("lockstep.retention")


class Retention:
    """Deletes from a store until closed, in a thread of its own: deleting must not keep the next event waiting.

    A store that cannot be written now is tried again at the next turn.
    """

    def __init__(self, store: Store, keep_days: float, every_s: float = EVERY_S) -> None:
        self._store, self._keep_s, self._every_s = store, 86400 * keep_days, every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                gone = self._store.forget(self._keep_s)
                if gone:
                    log.info("%d events older than %g days were deleted", gone, self._keep_s / 86400)
            except StoreError as error:
                log.warning("old events could not be deleted: %s", error)
            if self._closing.wait(self._every_s):
                return

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Retention:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
