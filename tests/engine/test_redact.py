"""No way of writing a password into an address brings it into a log or an error."""

import io
import logging

import pytest

from engine.redact import RedactingFilter, redact


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.7/stream",
        "rtsp://admin:p@ss/hunter2@10.0.0.7/stream",
        "cannot open 'postgresql+psycopg://u:hunter2@db/x': refused",
        "http://cam/stream?user=a&password=hunter2&x=1",
        "http://cam/stream?token=hunter2",
        "host=db password=hunter2 dbname=x",
        "password='hunter2'",
        "rtsp://hunter2@host/",
    ],
)
def test_credentials_are_hidden_in_text_and_in_logs(text):
    assert "hunter2" not in redact(text)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.error("trouble with %s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logger.exception("and again")
    assert "trouble" in stream.getvalue() and "hunter2" not in stream.getvalue()


def test_what_holds_no_secret_stays_as_it_is():
    for text in ("tcp://127.0.0.1:5560", "sqlite:///s.db", "rtsp://10.0.0.7:8554/a?x=1", "mail a@b.c"):
        assert redact(text) == text
