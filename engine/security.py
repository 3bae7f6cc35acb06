"""Who may bind where, and who may talk: CURVE keys with an allow-list; without keys the bus stays on this machine.

A key folder, made by `lockstep keys new`:

    public.key  secret.key          this end's pair, one Z85 line each; the secret one readable by its owner only
    authorized/NAME.key             public keys of those who may connect here (the stages of a station share its pair)

The list is read at every handshake, and a publisher drops all connections when a key leaves it: a revoked client is out
within a second, the others reconnect and miss nothing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket as sockets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator

from engine.errors import BusError
from engine.redact import redact

INSECURE = "anyone on this network may read and send"
"""What `bus.insecure` must say to bind beyond loopback without keys."""
_DOMAIN = "lockstep"
_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


def new_keys(folder: Path) -> str:
    """Make a key folder; returns the public key. Raises BusError if there is one already or it cannot be written."""
    if (folder / "secret.key").exists():
        raise BusError(f"{folder} holds keys already", next_step="Choose another folder; keys are never overwritten.")
    public = "-"
    while public.startswith("-"):  # `lockstep keys authorize` would take it for an option
        public, secret = (key.decode() for key in zmq.curve_keypair())
    try:
        (folder / "authorized").mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(folder / "secret.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret + "\n")
        (folder / "public.key").write_text(public + "\n")
    except OSError as error:
        raise BusError(f"cannot write keys to {folder}", found=error.strerror or str(error)) from None
    return public


def own_key(folder: Path) -> str:
    """The public key of a key folder. Raises BusError where there is none."""
    return _own(folder, "public.key")


def authorize(folder: Path, name: str, key: str) -> None:
    """Let the owner of a public key (Z85 text, or a file that holds it) connect. Raises BusError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise BusError("a bad name for a key", expected="letters, digits, '.', '_' and '-'", found=repr(name))
    own_key(folder)
    public = _public_key(key)
    (folder / "authorized").mkdir(exist_ok=True)
    partial = folder / "authorized" / f".{name}.partial"
    partial.write_text(public + "\n")
    partial.replace(folder / "authorized" / f"{name}.key")


def revoke(folder: Path, name: str) -> None:
    """Raises BusError if nobody of that name was let in."""
    try:
        (folder / "authorized" / f"{Path(name).name}.key").unlink()
    except OSError:
        names = ", ".join(authorized(folder)) or "nobody"
        raise BusError(f"{name!r} is not authorized", expected=f"one of: {names}", found=repr(name)) from None


def authorized(folder: Path) -> dict[str, str]:
    """Name → public key of all who may connect. What cannot be read lets nobody in."""
    try:
        paths = sorted((folder / "authorized").glob("*.key"))
    except OSError:  # a network folder that is away
        return {}
    keys = {path.stem: _read(path) for path in paths}
    return {name: key for name, key in keys.items() if _Z85.fullmatch(key)}


@dataclass(frozen=True)
class Access:
    """What protects a publisher: a key folder, or being reachable from this machine only."""

    keys: Path | None = None
    insecure: str = ""

    def check(self, address: str) -> None:
        """Raises BusError if binding `address` would let strangers in."""
        agreed = self.insecure.strip().rstrip(".").lower() == INSECURE
        if self.keys is not None or agreed or is_local(address):
            return
        raise BusError(
            f"binding {redact(address)} without keys would let anyone on the network read and send",
            expected="a loopback or ipc address, or keys",
            found=f"bus.insecure: {self.insecure!r}" if self.insecure else "neither",
            next_step=f"Make keys with `lockstep keys new FOLDER` and set bus.keys, or write bus.insecure: {INSECURE!r}.",
        )

    def bind(self, socket: zmq.Socket[bytes], address: str) -> None:
        """Bind a socket, as a CURVE server where there are keys.

        Raises BusError: address taken, malformed, or open to strangers (see `check`); missing or broken keys.
        """
        self.check(address)
        if self.keys is not None:
            socket.curve_secretkey, socket.curve_publickey = self._pair
            socket.curve_server = True
            socket.zap_domain = _DOMAIN.encode()
        try:
            if _is_served(address):
                raise zmq.ZMQError(zmq.EADDRINUSE)
            socket.bind(address)
        except (zmq.ZMQError, OverflowError) as error:
            raise BusError(
                f"cannot bind {redact(address)}",
                expected="a free address such as tcp://127.0.0.1:5560 or ipc:///run/lockstep/bench-1",
                found=str(error),
                next_step="Does this station, or another one at this address, run already? Choose another (bus, stages).",
            ) from None

    @cached_property
    def _pair(self) -> tuple[bytes, bytes]:
        """Secret and public key, read once: sockets are bound anew when a key is revoked, perhaps while the folder is away."""
        assert self.keys is not None
        return _own(self.keys, "secret.key").encode(), _own(self.keys, "public.key").encode()

    def guard(
        self, context: zmq.Context[zmq.Socket[bytes]], admitted: set[str] | None = None
    ) -> ThreadAuthenticator | None:
        """Start to check who connects to the sockets of a context; stop it before the context ends.

        The public keys of all who were let in are added to `admitted`.
        """
        if self.keys is None:
            return None
        guard = ThreadAuthenticator(context)
        guard.start()
        guard.configure_curve_callback(_DOMAIN, _AllowList(self.keys, admitted if admitted is not None else set()))
        return guard

    def members(self) -> frozenset[str]:
        """The public keys that may connect now."""
        return frozenset(authorized(self.keys).values()) if self.keys is not None else frozenset()


@dataclass(frozen=True)
class ClientKeys:
    """What a subscriber needs: its own key folder, and the public key of the station (Z85 text, or its file)."""

    folder: Path
    server: str

    def use(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket a CURVE client, before it connects. Raises BusError for missing or broken keys."""
        socket.curve_secretkey = _own(self.folder, "secret.key").encode()
        socket.curve_publickey = _own(self.folder, "public.key").encode()
        socket.curve_serverkey = _public_key(self.server).encode()


class _AllowList:
    """What pyzmq's authenticator asks at each handshake; `key` is Z85. An error would end its thread, and with it all access."""

    def __init__(self, folder: Path, admitted: set[str]) -> None:
        self.folder, self._admitted = folder, admitted

    def callback(self, domain: str, key: bytes) -> bool:
        own = _read(self.folder / "public.key")
        if key.decode() not in {own, *authorized(self.folder).values()}:
            return False
        if key.decode() != own:
            self._admitted.add(key.decode())
        return True


def is_local(address: str) -> bool:
    """True for what only this machine can reach: ipc, inproc, and tcp on a loopback address."""
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    if scheme in ("ipc", "inproc") or (scheme == "tcp" and host == "localhost"):
        return True
    try:
        return scheme == "tcp" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_served(address: str) -> bool:
    """Somebody listens at a socket file. A tcp address in use the system refuses; a file libzmq would replace in silence,
    and whoever had it before would not be heard any more.
    """
    scheme, _, path = address.partition("://")
    if scheme != "ipc":
        return False
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # so many wait that one more finds no place
            return True
        except (OSError, ValueError):  # nobody, or no such file, or no path at all
            return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _own(folder: Path, name: str) -> str:
    key = _read(folder / name)
    if not _Z85.fullmatch(key):
        raise BusError(
            f"no usable keys in {folder}",
            expected=f"a readable {name} of 40 characters",
            found=f"{len(key)} characters",
            next_step=f"Make keys with `lockstep keys new {folder}`, and run as their owner.",
        )
    return key


def _public_key(text_or_file: str) -> str:
    path = Path(text_or_file)
    key = _read(path) if path.is_file() else text_or_file.strip()
    if not _Z85.fullmatch(key):
        raise BusError(
            "that is not a public key", expected="40 characters, or a file that holds them", found=repr(text_or_file)
        )
    return key
