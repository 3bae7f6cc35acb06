"""Logs of a station's processes: to stderr, credentials removed, as text for people or as JSON lines for whoever collects them.

{"time": 1767225600.123, "level": "warning", "stage": "capture", "part": "lockstep.events", "message": "stream_lost",
 "event": {"seq": 12, "cycle": 3, "reason": "no frame for 1.6 s"}}
"""

from __future__ import annotations

import json
import logging
import sys

from engine.messages import Event, Hello, State
from engine.redact import RedactingFilter, redact

_BAD_NEWS = ("stream_lost", "stage_down")

_events = logging.getLogger("lockstep.events")


def log_to_stderr(*, json_lines: bool, level: int = logging.INFO, stage: str = "") -> None:
    """Set up logging of this process; `stage` is said in every line where there is one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RedactingFilter())
    who = f"{stage} " if stage else ""
    text = logging.Formatter(f"%(asctime)s {who}%(name)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines(stage) if json_lines else text)
    logging.basicConfig(handlers=[handler], level=level, force=True)


def log_event(event: Event) -> None:
    """A line per event: a warning where the station itself is in trouble."""
    level = logging.WARNING if event.event in _BAD_NEWS else logging.INFO
    about = (event.phase, event.details.get("stage"), event.details.get("reason"))
    what = " ".join([event.event, *(str(word) for word in about if word)])
    facts = {"seq": event.seq, "cycle": event.cycle, "phase": event.phase, **event.details}
    _events.log(
        level, "%s", what, extra={"event": {name: _safe(fact) for name, fact in facts.items() if fact is not None}}
    )


class EventLog:
    """A sink of a station: its events, as log lines."""

    def hello(self, hello: Hello) -> None:
        """Said by who starts the station."""

    def state(self, state: State, frame: object = None) -> None:
        """Twenty a second are no news."""

    def event(self, event: Event) -> None:
        log_event(event)


def _safe(fact: object) -> object:
    return redact(fact) if isinstance(fact, str) else fact


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, stage: str = "") -> None:
        super().__init__()
        self._stage = {"stage": stage} if stage else {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"time": round(record.created, 3), "level": record.levelname.lower(), **self._stage}
        line |= {"part": record.name, "message": record.getMessage()}
        if hasattr(record, "event"):
            line["event"] = record.event
        if record.exc_text or record.exc_info:
            line["error"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return json.dumps(line, ensure_ascii=False)
