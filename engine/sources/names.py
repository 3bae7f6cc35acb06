"""What a source is called in logs, errors and on the bus: never with credentials in it."""

from __future__ import annotations

import re

# Greedy up to the last @: a raw password may itself contain '/' or '@'.
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)
_SECRET_QUERY = re.compile(r"([?&;](?:user|usr|login|pass|pwd|token|key|auth|secret)[^=&\s]*=)[^&;\s]+", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """`rtsp://admin:secret@cam/1?token=abc` → `rtsp://***@cam/1?token=***`. Other text is unchanged."""
    return _SECRET_QUERY.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))
