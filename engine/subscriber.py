"""The listening end of the bus, in the manner of openpilot's SubMaster: newest state, liveness, events without gaps.

PUB ─→ newest state ──────────────────────────────────────────────→ update() → messages, in order
    └→ event: the next number? yes ──────────────────────────────↗
                               no: what is missing is asked of the store, and delivered first
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import zmq

from engine import wire
from engine.bus import PUBLISH, REQUESTS
from engine.errors import BusError
from engine.messages import (
    Confirm,
    Done,
    Event,
    Events,
    GetEvents,
    GetHello,
    Heartbeat,
    Hello,
    Message,
    Reply,
    Request,
    State,
)
from engine.redact import redact
from engine.security import ClientKeys

ALIVE_S = 3.0
"""A station that says nothing for this long is not alive: three heartbeats."""
ASK_AGAIN_S = 0.5
AHEAD = 1000
"""Events that came before a missing one and wait for it; what does not fit comes from the store again."""


class Subscriber:
    """Listens to one station; each event arrives exactly once and in order, across dropped messages and restarts of either side.

        with Subscriber() as bus:
            for message in bus:                    # Hello, Event, Heartbeat, State, as they come
                if isinstance(message, Event):
                    print(message.seq, message.event)

    `since` is the number of the first event wanted: None for those from now on, 1 for all that are stored, `last_seq` + 1
    to go on where an earlier subscriber stopped. Give the `log` of that one too: where the station has a new store by now,
    its numbers began anew, and all of its events are wanted. `keys` where the station has keys. Not thread-safe. Raises BusError for a malformed address.
    """

    def __init__(
        self,
        address: str = PUBLISH,
        requests: str = REQUESTS,
        *,
        since: int | None = None,
        log: str = "",
        keys: ClientKeys | None = None,
    ) -> None:
        self.hello: Hello | None = None
        self.state: State | None = None
        self.heartbeat: Heartbeat | None = None
        self.fresh = False
        """The last `update` brought a new state."""
        self.last_seq = None if since is None else max(since, 1) - 1
        """Number of the last event delivered; None before the station's position is known."""
        self.lost = 0
        """Events that were missed and that the store had already forgotten."""
        self.refused = 0
        """Messages that broke the protocol."""
        self.log = log
        """Identity of the event log that `last_seq` belongs to; empty before it is known."""
        self._log_is_known = not log
        self._newest = 0 if since is None else max(since, 1)  # at least one question, to learn what is stored
        self._heard_s = self._asked_s = -1e9
        self._ahead: dict[int, Event] = {}
        self._news: list[Message] = []
        self._requests, self._keys = requests, keys
        self._context = zmq.Context()
        try:
            self._listen = self._connect(zmq.SUB, address)
            self._listen.subscribe(b"")
            self._ask = self._connect(zmq.DEALER, requests)
        except BusError:
            self._context.destroy(linger=0)
            raise
        self._poller = zmq.Poller()
        for socket in (self._listen, self._ask):
            self._poller.register(socket, zmq.POLLIN)

    def _connect(self, kind: int, where: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        wire.harden(socket, wire.MAX_MESSAGE)
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.IMMEDIATE, 1)  # questions are not kept for a station that is down
            socket.setsockopt(zmq.SNDHWM, 10)
        try:
            if self._keys is not None:
                self._keys.use(socket)
            socket.connect(where)
        except zmq.ZMQError as error:
            raise BusError(
                f"cannot listen at {redact(where)}", expected=f"an address such as {PUBLISH}", found=str(error)
            ) from None
        return socket

    @property
    def alive(self) -> bool:
        """Something was heard in the last three seconds."""
        return time.monotonic() - self._heard_s < ALIVE_S

    def update(self, timeout_s: float = 0.1) -> list[Message]:
        """Wait until something arrives or `timeout_s` is over; all that is new, in order, of states only the newest.

        Never raises for what a peer sends: `refused` counts that.
        """
        deadline_s = time.monotonic() + timeout_s
        self.fresh = False
        while True:
            left_s = deadline_s - time.monotonic()
            self._receive(0 if self._news else max(0.0, min(left_s, ASK_AGAIN_S / 2)))
            self._ask_for_what_is_missing()
            if self._news or self.fresh or left_s <= 0:
                break
        news, self._news = self._news, []
        return [*news, self.state] if self.fresh and self.state else news

    def __iter__(self) -> Iterator[Message]:
        while True:
            yield from self.update(1.0)

    def confirm(self, phase: str, timeout_s: float = 2.0) -> None:
        """Tell the station that a phase is done. Raises BusError: refused, or nobody answers.

        What arrives meanwhile waits for the next `update`.
        """
        deadline_s = time.monotonic() + timeout_s
        # On a socket of its own: answers to other questions are on their way, and none says what it answers.
        with self._connect(zmq.DEALER, self._requests) as socket:
            asked = False
            while (left_s := deadline_s - time.monotonic()) > 0:
                asked = asked or _send(socket, Confirm(phase))
                if not socket.poll(int(1000 * min(left_s, 0.05))):
                    continue
                answer = wire.unpack_reply(socket.recv_multipart()[-1])
                if not isinstance(answer, Done) or not answer.ok:
                    raise BusError(f"the station refused to confirm {phase!r}", found=getattr(answer, "reason", ""))
                return
        raise BusError("the station does not answer", next_step="Is it running? Are addresses and keys right?")

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, timeout_s: float) -> None:
        """Everything that has arrived."""
        for socket, _ in self._poller.poll(int(timeout_s * 1000)):
            for _ in range(10_000):  # a flood does not keep the user from being told
                try:
                    parts = socket.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    break
                try:
                    if socket is self._listen:
                        self._on_message(wire.unpack(b"".join(parts)))
                    else:
                        self._on_reply(wire.unpack_reply(parts[-1]))
                except BusError:
                    self.refused += 1

    def _on_message(self, message: Message) -> None:
        self._heard_s = time.monotonic()
        if isinstance(message, State):
            self.state, self.fresh = message, True
            return
        if isinstance(message, Event):
            self._on_event(message)
            return
        self._on_log(message.log)
        if isinstance(message, Heartbeat):
            self.heartbeat = message
            self._newest = max(self._newest, message.last_seq)
            if self.last_seq is None:
                self.last_seq = message.last_seq
        else:
            self.hello = message
        self._news.append(message)

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, Hello):
            self._on_message(reply)
        elif isinstance(reply, Events):
            self._on_replay(reply)
        # Done: it has none, as yet; asked again soon

    def _on_log(self, log: str) -> None:
        """Another log than before: the store is a new one, and numbers start anew."""
        if self.log and log != self.log:
            self.last_seq, self._newest = 0, 0
            self._ahead.clear()
        self.log, self._log_is_known = log, True

    def _on_event(self, event: Event) -> None:
        if event.log:  # it may be the first that is heard of a new store
            self._on_log(event.log)
        self._newest = max(self._newest, event.seq)
        if self.last_seq is None:
            self.last_seq = event.seq - 1
        if event.seq > self.last_seq and len(self._ahead) < AHEAD:
            self._ahead[event.seq] = event
        self._deliver()

    def _deliver(self) -> None:
        if not self._log_is_known:  # its number may be one of another log
            return
        while self.last_seq is not None and (event := self._ahead.pop(self.last_seq + 1, None)):
            self.last_seq = event.seq
            self._news.append(event)

    def _on_replay(self, replay: Events) -> None:
        self._on_log(replay.log)
        if self.last_seq is None:
            return
        self._newest = max(replay.last_seq, *self._ahead, 0)
        if replay.first_seq > self.last_seq + 1:
            self.lost += replay.first_seq - 1 - self.last_seq
            self.last_seq = replay.first_seq - 1
        for raw in replay.events:
            try:
                event = wire.unpack_event(raw)
            except BusError:
                self.refused += 1
                self.last_seq += 1  # of a newer protocol: it cannot be had, and must not be asked for for ever
                continue
            if event.seq == self.last_seq + 1:
                self._ahead.pop(event.seq, None)
                self.last_seq = event.seq
                self._news.append(event)
        self._deliver()
        self._asked_s = -1e9  # answered: there may be more

    def _ask_for_what_is_missing(self) -> None:
        now_s = time.monotonic()
        if now_s - self._asked_s < ASK_AGAIN_S:
            return
        asked = False
        if self.hello is None:
            asked = _send(self._ask, GetHello())
        if self.last_seq is not None and self.last_seq < self._newest:
            asked = _send(self._ask, GetEvents(self.last_seq + 1)) or asked
        if asked:
            self._asked_s = now_s


def _send(socket: zmq.Socket[bytes], request: Request) -> bool:
    """False where nobody is there yet."""
    try:
        socket.send_multipart([b"", wire.pack_plain(request)], zmq.DONTWAIT)
    except zmq.Again:
        return False
    return True
