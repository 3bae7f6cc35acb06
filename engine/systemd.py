"""Word to systemd, where it started this process and asked for it (`Type=notify`, `WatchdogSec=`; sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket


def tell(word: str) -> None:
    """`READY=1`, `WATCHDOG=1`, …; nothing happens without systemd, or where it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(word.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
