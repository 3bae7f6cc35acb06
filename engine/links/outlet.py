"""The earlier stage's end of a link: keeps what was offered until the later stage has it for good."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec
import zmq

from engine import wire
from engine.errors import BusError
from engine.links.items import Item, Mark, Want, encode, read_want
from engine.security import Access

SILENT_S = 0.6
"""Who has not asked for this long is dead, or will soon be: one that waits asks every 0.15 s."""

log = logging.getLogger("lockstep.links")


class Outlet:
    """Binds `address`. Raises BusError as `Publisher` does.

        while (index := outlet.due(beat)) is not None:
            outlet.offer(item(index), payload)

    `keep`: items kept for the later stage. A live stream forgets the oldest beyond that; of a recording (`recording`: the
    name of its stream) no more is due meanwhile. `lead`: of a live stream no more is due while the later stage has more
    than so many still to take (as many as are kept, while it is dead): on a machine that is too slow frames are then
    dropped where they are newest, instead of growing old here, and none is forgotten that nobody has taken. `stay`: an
    acknowledged end is no reason to leave, because the later stage may be restarted and ask again.
    """

    def __init__(
        self,
        address: str,
        keep: int,
        access: Access,
        *,
        recording: str | None = None,
        lead: int | None = None,
        stay: bool = False,
    ) -> None:
        self._keep, self._recording, self._lead, self._stay = keep, recording, lead, stay
        self._items: deque[tuple[Item, list[bytes | memoryview]]] = deque()
        self._next = 0
        self._ended = self._end_arrived = False
        self._want: Want | None = None
        self._heard_s = 0.0
        self._peer: bytes | None = None
        """Who asked and has no answer yet."""
        self._notes: deque[str] = deque(maxlen=100)
        self._turn = threading.Condition()
        self._closing = False
        self._bell_out, self._bell_in = os.pipe()
        self._context = zmq.Context()
        self._guard = access.guard(self._context)
        try:
            self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
            wire.harden(self._socket, wire.MAX_REQUEST)
            access.bind(self._socket, address)
        except BusError:
            self._shut()
            raise
        self._thread = threading.Thread(target=self._serve, name="outlet", daemon=True)
        self._thread.start()

    def due(self, beat: Callable[[], None]) -> int | None:
        """Index of the item to offer next; None once the end has arrived (with `stay`: never). `beat` is called while it waits.

        Live: at once, or when the later stage has caught up. Of a recording: when there is room, and from where the later stage says it is. One that was
        restarted may be anywhere: if it wants what is neither kept nor next, the recording goes on from there, and what
        is kept is forgotten. Waiting for room must not keep that from being noticed, or both would wait for ever.
        """
        with self._turn:
            while (index := self._room()) is None:
                if self._end_arrived and not self._stay:
                    return None
                self._turn.wait(0.1)
                beat()
            return index

    def _room(self) -> int | None:
        if self._recording is None:
            return None if self._ended or self._is_behind() else self._next
        if self._want is None:
            return None
        after = self._want.after
        wanted = after.index + 1 if after is not None and after.stream == self._recording else 0
        first = self._items[0][0].index if self._items else self._next
        if not first <= wanted <= self._next:
            self._items.clear()
            self._ended, self._next = False, wanted
        return None if self._ended or len(self._items) >= self._keep else self._next

    def _is_behind(self) -> bool:
        """The later stage has more to take than it should, or is dead and there is no room to keep more for it."""
        if self._lead is None:
            return False
        taken = 0 if self._want is None else _first_after(self._items, self._want.after)
        dead = self._want is None or time.monotonic() - self._heard_s > SILENT_S
        return len(self._items) - taken > (max(self._lead, self._keep - 1) if dead else self._lead)

    def offer(self, item: Item, payload: bytes | memoryview = b"") -> None:
        """Hand over the item that was due."""
        item = msgspec.structs.replace(item, offered_s=time.monotonic())
        with self._turn:
            while self._recording is None and len(self._items) >= self._keep:
                self._items.popleft()
            self._items.append((item, [encode(item), payload]))
            self._ended, self._next = item.end, item.index + 1
            self._exchange()

    def notes(self) -> list[str]:
        """What came from downstream since the last call."""
        with self._turn:
            return [self._notes.popleft() for _ in range(len(self._notes))]

    def close(self) -> None:
        with self._turn:
            self._closing = True
        os.write(self._bell_in, b".")
        self._thread.join()
        self._shut()

    def _shut(self) -> None:
        if self._guard is not None:
            self._guard.stop()
        self._context.destroy(linger=200)
        os.close(self._bell_in)
        os.close(self._bell_out)

    def _serve(self) -> None:
        """Hears requests while the stage works. Waits on the descriptor, not on the socket: that may be in use meanwhile."""
        poller = select.poll()
        poller.register(int(self._socket.getsockopt(zmq.FD)), select.POLLIN)
        poller.register(self._bell_out, select.POLLIN)
        while not self._closing:
            poller.poll(500)
            with self._turn:
                self._exchange()

    def _exchange(self) -> None:
        """All that can be heard and answered now, by whoever has the turn: an offer goes out on its own stage's thread.

        ZeroMQ's descriptor tells of news only once, so nothing heard may be left over when the turn is given up.
        """
        while not self._closing and self._hear() | self._answer():
            pass

    def _hear(self) -> bool:
        if not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            return False
        parts = self._socket.recv_multipart()
        want = read_want(parts[-1])
        if want is None:
            log.warning("a request that breaks the protocol was ignored")
            return True
        self._peer, self._want, self._heard_s = parts[0], want, time.monotonic()
        self._notes.extend(want.notes)
        safe = _first_after(self._items, want.safe)
        self._end_arrived = self._ended and safe == len(self._items)
        for _ in range(safe - self._end_arrived):  # the end stays: who comes anew has to learn of it
            self._items.popleft()
        self._turn.notify_all()
        return True

    def _answer(self) -> bool:
        if self._peer is None or self._want is None:
            return False
        at = _first_after(self._items, self._want.after)
        if at >= len(self._items):
            return False
        if self._recording is not None and not _follows(self._items[at][0], self._want.after):
            return False  # what is wanted has to be read again first
        peer, self._peer = self._peer, None
        try:
            self._socket.send_multipart([peer, *self._items[at][1]], zmq.DONTWAIT, copy=False)
        except zmq.ZMQError as error:  # it has gone: whoever comes next will ask
            log.debug("an item could not be sent: %s", error)
        return True


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


def _follows(item: Item, mark: Mark | None) -> bool:
    return item.index == (mark.index + 1 if mark is not None and mark.stream == item.stream else 0)
