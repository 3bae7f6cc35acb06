"""The later stage's end of a link: asks, one item at a time, and says what need not be kept for it any longer."""

from __future__ import annotations

import logging
import time

import zmq

from engine import wire
from engine.errors import BusError
from engine.links.items import MAX_ITEM, Item, Mark, Want, encode, read_item
from engine.redact import redact
from engine.security import ClientKeys, is_local

ASK_AGAIN_S = 0.15

log = logging.getLogger("lockstep.links")


class Inlet:
    """Connects to `address`. `safe` is to be set by its owner to what has been stored for good. Raises BusError.

    `after`: the last item that its owner has; None: begin with the oldest kept. `contiguous`: indices have no holes
    (recordings), so whatever else comes answers a question that was since taken back. `keeps_nothing`: what is received
    is acknowledged at once, because its owner can ask for it again.
    """

    def __init__(
        self,
        address: str,
        keys: ClientKeys | None = None,
        after: Mark | None = None,
        *,
        contiguous: bool = False,
        keeps_nothing: bool = False,
    ) -> None:
        self.after = after
        self.safe: Mark | None = None
        self.age_ms: tuple[float, ...] = ()
        """How long the last item was on the link; nothing where the stages' machines have no clock in common."""
        self._one_machine = is_local(address)
        self._contiguous, self._keeps_nothing = contiguous, keeps_nothing
        self._notes: list[str] = []
        self._asked_s: float | None = None
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        wire.harden(self._socket, MAX_ITEM)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        try:
            if keys is not None:
                keys.use(self._socket)
            self._socket.connect(address)
        except (zmq.ZMQError, BusError) as error:
            self._context.destroy(linger=0)
            if isinstance(error, BusError):
                raise
            raise BusError(f"cannot connect to {redact(address)}", found=str(error)) from None

    def note(self, text: str) -> None:
        """Goes upstream with the next request."""
        self._notes.append(text)

    def seek(self, mark: Mark) -> None:
        """Go on after `mark`, whatever came last."""
        if mark != self.after:
            self.after, self._asked_s = mark, None

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
            item = read_item(header.buffer)
            if item is None:
                log.warning("an item that breaks the protocol was ignored")
                continue
            had = self.after.index if self.after is not None and item.stream == self.after.stream else -1
            if item.index <= had or (self._contiguous and item.index != had + 1):
                continue  # an answer to a question that was asked twice, or taken back
            self._asked_s = None
            self.after = Mark(item.stream, item.index)
            self.age_ms = (1000 * (time.monotonic() - item.offered_s),) if self._one_machine else ()
            return item, rest[0].buffer if rest else memoryview(b"")

    def acknowledge(self) -> None:
        """Tell upstream now what is safe, without waiting for the next item."""
        self._asked_s = None
        self._ask()

    def close(self) -> None:
        self._context.destroy(linger=200)

    def _ask(self) -> None:
        now_s = time.monotonic()
        if self._asked_s is not None and now_s - self._asked_s < ASK_AGAIN_S:
            return
        want = Want(self.after, self.after if self._keeps_nothing else self.safe, tuple(self._notes))
        try:
            self._socket.send(encode(want), zmq.DONTWAIT)
        except zmq.Again:  # nobody there: poll and try again soon
            self._asked_s = now_s - ASK_AGAIN_S + 0.02
            time.sleep(0.005)
            return
        self._notes.clear()
        self._asked_s = now_s
