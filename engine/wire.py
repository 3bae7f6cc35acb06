"""Bytes of the bus: `topic, one zero byte, MessagePack map` as one ZeroMQ part. Specification: `docs/protocol.md`.

message ─pack→ bytes on the wire ─unpack→ checked message | BusError (too long, no topic, not MessagePack, wrong fields)
"""

from __future__ import annotations

from typing import Any

import msgspec
import zmq

from engine.errors import BusError
from engine.messages import SCHEMA, Event, Heartbeat, Hello, Message, Reply, Request, State

MAX_MESSAGE = 256 * 1024
"""Bytes of one published message or reply: libzmq drops the peer that announces more, before allocating it."""
MAX_REQUEST = 4 * 1024
"""Bytes of one request."""
MAX_TOPIC = 80
REPLAY_LIMIT = 500
"""Events in one answer, at most; and never more bytes than MAX_MESSAGE."""

_KINDS: dict[str, type[Any]] = {"hello": Hello, "state": State, "event": Event, "heartbeat": Heartbeat}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in _KINDS.items()}
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


def _plain(value: Any) -> Any:
    """A NumPy scalar that slipped into a message: a running station does not stop for its type."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent")


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode


def topic(station: str, kind: str) -> bytes:
    return f"{station}/{kind}".encode()


def pack(message: Message) -> bytes:
    return topic(message.station, _NAMES[type(message)]) + b"\0" + _encode(message)


def unpack(part: bytes) -> Message:
    """Raises BusError for anything that is not a message of this schema under its own topic."""
    head, zero, body = part[: MAX_TOPIC + 1].partition(b"\0")
    if not zero or len(part) > MAX_MESSAGE:
        raise BusError(
            "a message without a topic", expected="station/kind, a zero byte, MessagePack", found=repr(part[:40])
        )
    body = part[len(head) + 1 :]
    station, _, kind = head.decode("utf-8", "replace").rpartition("/")
    if kind not in _decoders:
        raise BusError("a message of an unknown kind", expected=", ".join(_decoders), found=repr(head))
    message: Message = _checked(_decoders[kind], body)
    if message.station != station:
        raise BusError("a message under another's topic", expected=repr(station), found=repr(message.station))
    return message


def pack_plain(message: Message | Request | Reply) -> bytes:
    """MessagePack alone: a request, a reply, or an event as it is stored."""
    return _encode(message)


def unpack_request(part: bytes) -> Request:
    """Raises BusError."""
    return _checked(_requests, part)


def unpack_reply(part: bytes) -> Reply:
    """Raises BusError."""
    return _checked(_replies, part)


def unpack_event(part: bytes | msgspec.Raw) -> Event:
    """One event of a replay. Raises BusError."""
    event: Event = _checked(_decoders["event"], bytes(part))
    return event


def _checked(decoder: Any, body: bytes) -> Any:
    try:
        message = decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError) as error:
        raise BusError("a message that breaks the protocol", found=str(error)[:200]) from None
    if message.schema > SCHEMA:
        raise BusError(
            "a message of a newer protocol",
            expected=f"schema {SCHEMA}",
            found=f"schema {message.schema}",
            next_step="Update this client.",
        )
    return message


def harden(socket: zmq.Socket[bytes], max_bytes: int) -> None:
    """Limits that every socket of the bus has, set before it binds or connects."""
    socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)
    socket.setsockopt(zmq.LINGER, 500)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 250)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    # A peer behind a dead network is dropped after some 10 s, with what waits for it. By TCP's own means: ZeroMQ's
    # heartbeats abort the process (libzmq 4.3.5, `_input_stopped`) when one arrives while a queue is full.
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 4)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 2)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    socket.setsockopt(zmq.TCP_MAXRT, 10_000)
