"""One piece of work at a time in a thread of its own: for a store that may not answer while its owner has to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """`start` some work, later `take` what came of it. For one owner; not thread-safe.

    The thread is a daemon: work that never ends does not keep the process from ending.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._started_s = 0.0
        self._outcome: list[T | Exception] = []

    @property
    def busy(self) -> bool:
        """There is work under way, or an outcome that nobody has taken."""
        return self._thread is not None

    @property
    def busy_s(self) -> float:
        """Seconds since the work under way was started; 0 without any."""
        return time.monotonic() - self._started_s if self._thread is not None else 0.0

    def start(self, work: Callable[[], T]) -> None:
        """Only while not `busy`."""
        assert self._thread is None, "one piece of work at a time"

        def run() -> None:
            try:
                self._outcome.append(work())
            except Exception as error:  # raised again where it is taken
                self._outcome.append(error)

        self._started_s = time.monotonic()
        self._thread = threading.Thread(target=run, name="background", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float = 0.0) -> T | None:
        """What the work returned, once; None while there is nothing. Raises what the work raised."""
        if self._thread is None:
            return None
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return None
        self._thread = None
        outcome = self._outcome.pop()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
