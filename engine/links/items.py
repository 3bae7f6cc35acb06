"""What travels over a link. An item is known by its stream (one run of one source) and its index, which may have holes
where frames were dropped.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_ITEM = 64 * 1024 * 1024
"""Bytes of a frame, at most: an 8K picture does not fit, a 4K one does."""
BROKEN = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError)
"""All that decoding a stranger's bytes may raise."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A place in the sequence of items."""

    stream: str
    index: int


class Want(msgspec.Struct, frozen=True):
    after: Mark | None
    """The last item received; None: from the oldest kept."""
    safe: Mark | None = None
    """Up to here nothing has to be kept any longer."""
    notes: tuple[str, ...] = ()
    """What goes upstream: phases confirmed from outside."""


class Item(msgspec.Struct, frozen=True):
    """A frame, a pose or a state on its way; which fields matter depends on the link."""

    stream: str
    index: int
    end: bool = False
    """Nothing follows: the source has ended."""
    time_s: float = 0.0
    captured_s: float = 0.0
    """Monotonic capture time, comparable on one machine only."""
    wall_s: float = 0.0
    shape: tuple[int, ...] = ()
    """Of the payload, where that is an array."""
    picture: int | None = None
    """Where the picture is not in the payload but in shared memory: the index it has there."""
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    dropped: int = 0
    layout: str = ""
    offered_s: float = 0.0
    """When the link got it, on the monotonic clock of the earlier stage's machine."""
    notice: tuple[str, str, float] | None = None
    """Kind, reason and time of a StreamNotice."""
    lost: bool = False
    """The stream counts as lost."""
    spent_ms: tuple[tuple[str, float], ...] = ()
    """Stage and milliseconds: what was spent since the item before."""
    seq: int = 0
    """Of a state: number of the newest event stored before it."""
    trouble: str = ""
    """Of a state: why the store cannot be written just now."""


encode = msgspec.msgpack.Encoder().encode
_wants: msgspec.msgpack.Decoder[Want] = msgspec.msgpack.Decoder(Want)
_items: msgspec.msgpack.Decoder[Item] = msgspec.msgpack.Decoder(Item)


def read_want(data: Any) -> Want | None:
    """None for what breaks the protocol."""
    try:
        return _wants.decode(data)
    except BROKEN:
        return None


def read_item(data: Any) -> Item | None:
    """None for what breaks the protocol."""
    try:
        return _items.decode(data)
    except BROKEN:
        return None
