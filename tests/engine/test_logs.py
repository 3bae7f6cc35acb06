"""Logs for people and for machines: no credentials in either."""

import json
import logging

from engine.logs import JsonLines, log_event
from engine.messages import Event
from engine.redact import RedactingFilter


def test_json_logs_are_one_object_a_line_without_credentials():
    record = logging.LogRecord("lockstep.x", logging.WARNING, "", 0, "lost %s\nagain", ("rtsp://u:hunter2@c/1",), None)
    assert RedactingFilter().filter(record)
    line = JsonLines("capture").format(record)
    assert "\n" not in line and "hunter2" not in line
    assert {"level": "warning", "stage": "capture", "part": "lockstep.x"}.items() <= json.loads(line).items()


def test_an_exception_is_part_of_its_line():
    try:
        raise ValueError("no such rtsp://u:hunter2@c/1")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (type(error), error, error.__traceback__))
    assert RedactingFilter().filter(record)
    line = JsonLines().format(record)
    assert "hunter2" not in line and "ValueError" in json.loads(line)["error"]


def test_an_event_is_a_line_with_its_facts_and_trouble_is_a_warning(caplog):
    caplog.set_level(logging.INFO)
    log_event(Event("bench", 7, "phase_skipped", 0.0, 0.0, 2, "pick", details={"reason": "not confirmed"}))
    log_event(Event("bench", 8, "stream_lost", 0.0, 0.0, details={"reason": "rtsp://u:hunter2@c/1 is gone"}))
    skipped, lost = caplog.records
    assert (skipped.levelname, lost.levelname) == ("INFO", "WARNING")
    assert json.loads(JsonLines().format(skipped))["event"] == {
        "seq": 7,
        "cycle": 2,
        "phase": "pick",
        "reason": "not confirmed",
    }
    assert RedactingFilter().filter(lost)
    assert "hunter2" not in JsonLines().format(lost)
