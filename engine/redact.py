"""Credentials never reach a log, an error or the screen: every address is passed through here before it is shown."""

from __future__ import annotations

import logging
import re

_SECRETS = (
    # scheme://user:password@host, also where the password itself holds an @ or a /: up to the last @ of the word
    (re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"<>]*@"), r"\g<scheme>***@"),
    # ?password=…, &token=…, password='…' in a connection string
    (
        re.compile(
            r"(?i)(?P<key>\b(?:password|passwd|pwd|token|secret|api_?key|access_?key|auth)\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)"
        ),
        r"\g<key>***",
    ),
)


def redact(text: str) -> str:
    """`text` with user names, passwords and tokens in addresses and connection strings replaced by ***."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFilter(logging.Filter):
    """Put on a log handler: whatever is logged, from any library, is redacted first."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True
