"""A station as lines of text, where there is no terminal to draw it in: for a pipe or a file.

2026-01-31 14:05:06  nothing heard
2026-01-31 14:05:07  all is well
2026-01-31 14:05:07  on task
2026-01-31 14:05:09  #12 phase_finished  cycle 3  4.2 s  pick
"""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from typing import IO, Any

from clients.watch import STATUS, about, clean
from engine.messages import Event, Hello, State


class Lines:
    """Writes each event, and each change of status or trouble, as soon as it comes; used as `clients.watch.View` is."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._status = ""
        self._trouble = "not heard yet"

    @property
    def trouble(self) -> str:
        return self._trouble

    @trouble.setter
    def trouble(self, trouble: str) -> None:
        # "No state for 5 s" is no news after "no state for 4 s".
        if re.sub(r"\d+", "", trouble) != re.sub(r"\d+", "", self._trouble):
            self._write(time.time(), clean(trouble, 300) or "all is well")
        self._trouble = trouble

    def hello(self, hello: Hello) -> None:
        """Nothing has happened."""

    def state(self, state: State, frame: Any = None) -> None:
        if state.status != self._status:
            self._status = state.status
            self._write(state.wall_s, STATUS[state.status][0])

    def event(self, event: Event) -> None:
        self._write(event.wall_s, "  ".join([f"#{event.seq} {event.event}", *about(event)]))

    def _write(self, wall_s: float, what: str) -> None:
        shown_s = wall_s if math.isfinite(wall_s) and 0 <= wall_s < 1e11 else time.time()  # a peer may say anything
        print(f"{datetime.fromtimestamp(shown_s).isoformat(' ', 'seconds')}  {what}", file=self._out, flush=True)
