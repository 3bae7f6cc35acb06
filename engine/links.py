"""What connects two stages: the later one asks for what follows the last item it has, the earlier one keeps what was not
acknowledged. One mechanism for back-pressure (files), for freshest-wins (live), and for going on after either one died.

    Outlet (ROUTER, binds) ←─ want: after item i; safe up to item j; notes ─── Inlet (DEALER, connects)
                           ─── item i + 1, payload ──────────────────────────→

An item is known by its stream (one run of one source) and its index, which may have holes where frames were dropped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec
import zmq

from engine import wire
from engine.errors import BusError
from engine.redact import redact
from engine.security import Access, ClientKeys

MAX_ITEM = 64 * 1024 * 1024
"""Bytes of a frame, at most: an 8K picture does not fit, a 4K one does."""
ASK_AGAIN_S = 0.15

log = logging.getLogger("lockstep.links")


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
    shared: bool = False
    """The picture is not in the payload but in shared memory."""
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    dropped: int = 0
    layout: str = ""
    notice: tuple[str, str, float] | None = None
    """Kind, reason and time of a StreamNotice."""
    stage_ms: dict[str, float] = {}
    """Stage → what this item took there."""
    seq: int = 0
    """Of a state: number of the newest event stored before it."""


_encode = msgspec.msgpack.Encoder().encode
_wants = msgspec.msgpack.Decoder(Want)
_items = msgspec.msgpack.Decoder(Item)


class Outlet:
    """The earlier stage's end. Raises BusError as `Publisher` does.

    `keep`: items kept. When that many are not acknowledged, `offer` waits (`wait`, for files) or forgets the oldest.
    """

    def __init__(self, address: str, keep: int, wait: bool, access: Access) -> None:
        self._keep, self._wait = keep, wait
        self._items: deque[tuple[Item, list[bytes | memoryview]]] = deque()
        self._want: Want | None = None
        self._peer: bytes | None = None
        self._notes: deque[str] = deque(maxlen=100)
        self._turn = threading.Condition()
        self._closing = False
        self._bell_out, self._bell_in = os.pipe()
        for end in (self._bell_out, self._bell_in):
            os.set_blocking(end, False)
        self._context = zmq.Context()
        self._guard = access.guard(self._context)
        try:
            access.check(address)
            self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
            wire.harden(self._socket, wire.MAX_REQUEST)
            access.serve(self._socket)
            self._socket.bind(address)
        except (zmq.ZMQError, BusError) as error:
            self._shut()
            if isinstance(error, BusError):
                raise
            raise BusError(
                f"cannot bind {redact(address)}", found=str(error), next_step="Does this stage run already?"
            ) from None
        self._thread = threading.Thread(target=self._serve, name="outlet", daemon=True)
        self._thread.start()

    def offer(self, item: Item, payload: bytes | memoryview = b"", beat: Callable[[], None] = lambda: None) -> None:
        """Hand over an item; `beat` is called while it waits for room."""
        with self._turn:
            while self._wait and len(self._items) >= self._keep and not self._closing and not item.end:
                self._turn.wait(0.1)
                beat()
            while len(self._items) >= self._keep and not self._wait:
                self._items.popleft()
            self._items.append((item, [_encode(item), payload]))
        self._ring()

    def wanted(self) -> Want | None:
        """The last request; None before the first."""
        with self._turn:
            return self._want

    def notes(self) -> list[str]:
        """What came from downstream since the last call."""
        with self._turn:
            return [self._notes.popleft() for _ in range(len(self._notes))]

    def forget(self) -> None:
        """Drop all that is kept: the stage starts over elsewhere in its source."""
        with self._turn:
            self._items.clear()

    def missing(self, next_index: int) -> int | None:
        """Index that is asked for, where it is neither kept nor among those to come (`next_index` on); else None."""
        with self._turn:
            if self._want is None:
                return None
            wanted = 0 if self._want.after is None else self._want.after.index + 1
            first = self._items[0][0].index if self._items else next_index
            return wanted if wanted < first or (wanted > next_index and not self._items) else None

    def drained(self) -> bool:
        """Everything offered was acknowledged as safe."""
        with self._turn:
            return not self._items

    def close(self) -> None:
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        self._ring()
        self._thread.join()
        self._shut()

    def _shut(self) -> None:
        if self._guard is not None:
            self._guard.stop()
        self._context.destroy(linger=200)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # enough bells are waiting
            os.write(self._bell_in, b".")

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._bell_out, zmq.POLLIN)
        while not self._closing:
            for source, _ in poller.poll(500):
                if source == self._bell_out:
                    os.read(self._bell_out, 65536)
                else:
                    self._hear()
            self._answer()

    def _hear(self) -> None:
        while self._socket.poll(0):
            parts = self._socket.recv_multipart()
            try:
                want = _wants.decode(parts[-1])
            except (msgspec.DecodeError, RecursionError):
                log.warning("a request that breaks the protocol was ignored")
                continue
            with self._turn:
                self._peer, self._want = parts[0], want
                self._notes.extend(want.notes)
                for _ in range(_first_after(self._items, want.safe)):
                    self._items.popleft()
                self._turn.notify_all()

    def _answer(self) -> None:
        with self._turn:
            if self._peer is None or self._want is None:
                return
            at = _first_after(self._items, self._want.after)
            if at >= len(self._items):
                return
            peer, self._peer = self._peer, None
            parts = self._items[at][1]
        try:
            self._socket.send_multipart([peer, *parts], zmq.DONTWAIT, copy=False)
        except zmq.ZMQError as error:  # it has gone: whoever comes next will ask
            log.debug("an item could not be sent: %s", error)


def _first_after(items: deque[tuple[Item, list[bytes | memoryview]]], mark: Mark | None) -> int:
    """Where in `items` that which follows `mark` begins: 0 if nothing of its stream at or before it is kept."""
    if mark is None:
        return 0
    return next(
        (
            i + 1
            for i in range(len(items) - 1, -1, -1)
            if items[i][0].stream == mark.stream and items[i][0].index <= mark.index
        ),
        0,
    )


class Inlet:
    """The later stage's end. `safe` is to be set by its owner to what has been stored for good."""

    def __init__(self, address: str, keys: ClientKeys | None = None, after: Mark | None = None) -> None:
        self.after = after
        self.safe: Mark | None = None
        self.follow_safe = False
        """Acknowledge at once: what is received needs not be kept upstream."""
        self.contiguous = False
        """Indices have no holes (recordings): whatever else comes answers a question that was since taken back."""
        self._notes: list[str] = []
        self._asked_s: float | None = None
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        wire.harden(self._socket, MAX_ITEM)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            if keys is not None:
                keys.use(self._socket)
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise BusError(f"cannot connect to {redact(address)}", found=str(error)) from None

    def note(self, text: str) -> None:
        """Goes upstream with the next request."""
        self._notes.append(text)

    def next(self, timeout_s: float) -> tuple[Item, memoryview] | None:
        """The next item and its payload, or None when none comes in time."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._ask()
            left_s = deadline_s - time.monotonic()
            if not self._socket.poll(int(1000 * max(0.0, min(left_s, 0.03)))):
                if left_s <= 0:
                    return None
                continue
            header, *rest = self._socket.recv_multipart(copy=False)
            try:
                item = _items.decode(header.buffer)
            except (msgspec.DecodeError, RecursionError):
                log.warning("an item that breaks the protocol was ignored")
                continue
            self._asked_s = None
            had = self.after.index if self.after is not None and item.stream == self.after.stream else -1
            if item.index <= had or (self.contiguous and item.index != had + 1):
                continue  # an answer to a question that was asked twice
            self.after = Mark(item.stream, item.index)
            return item, rest[0].buffer if rest else memoryview(b"")

    def acknowledge(self) -> None:
        """Tell upstream now what is safe, without waiting for the next item."""
        self._asked_s = None
        self._ask()

    def close(self) -> None:
        self._context.destroy(linger=0)

    def _ask(self) -> None:
        now_s = time.monotonic()
        if self._asked_s is not None and now_s - self._asked_s < ASK_AGAIN_S:
            return
        want = Want(self.after, self.after if self.follow_safe else self.safe, tuple(self._notes))
        try:
            self._socket.send(_encode(want), zmq.DONTWAIT)
        except zmq.Again:  # nobody there: poll and try again soon
            self._asked_s = now_s - ASK_AGAIN_S + 0.02
            time.sleep(0.005)
            return
        self._notes.clear()
        self._asked_s = now_s
