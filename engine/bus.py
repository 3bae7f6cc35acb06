"""The publishing end of the bus, a sink of a station. The listening end is `subscriber.py`.

state ──────────────────────────────→ PUB      station/state: the newest counts, may be dropped
event (numbered, stored) ───────────→ PUB      station/event: never lost, replayed from the store on request
hello, heartbeat (every second) ────→ PUB
get_hello, get_events, confirm ──→ ROUTER ──→ hello, events, done
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import zmq

from engine import wire
from engine.errors import BusError, StoreError
from engine.journal import Journal
from engine.messages import Confirm, Done, Event, Events, GetEvents, Heartbeat, Hello, Reply, Request, State
from engine.security import Access

if TYPE_CHECKING:
    from engine.sources.base import Frame

PUBLISH = "tcp://127.0.0.1:5560"
REQUESTS = "tcp://127.0.0.1:5561"
HEARTBEAT_S = 1.0
REVOKED_S = 1.0
"""How often the allow-list is looked at for keys that are gone."""
HELLO_EVERY = 5
"""Heartbeats between two repetitions of hello, for late joiners that only listen."""
REBIND_S = 5.0
"""How long an address that was just closed is tried again."""
QUEUE = 1000
"""Messages that wait for a slow subscriber; beyond it that subscriber misses some, and nobody else notices."""

log = logging.getLogger("lockstep.bus")


class Publisher:
    """Publishes one station. Raises BusError: address taken, malformed, or beyond loopback without keys.

    Thread-safe; threads of its own send the heartbeat and answer requests, so a silent station is still heard.

        with Publisher(Journal("bench-1", Store("sqlite://"))) as bus:
            bus.hello(hello)
            event = bus.journal.number(draft)      # stored now
            bus.event(event)                       # heard now
            bus.state(state)
    """

    def __init__(
        self, journal: Journal, publish: str = PUBLISH, requests: str | None = REQUESTS, access: Access | None = None
    ) -> None:
        self.journal = journal
        self.health: dict[str, str] = {}
        """Part → what is wrong with it; sent with every heartbeat."""
        self.refused = 0
        """Requests that broke the protocol."""
        self._access = access or Access()
        self._hello: Hello | None = None
        self._waiting: deque[Event] = deque()
        self._confirmed: deque[str] = deque(maxlen=100)
        self._turn = threading.Lock()  # ZeroMQ sockets may change threads, but not be shared by two at once
        self._context = zmq.Context()
        self._closing = threading.Event()
        self._guard = None
        self._members: set[str] = set()
        """Public keys of those who were let in since the sockets were bound."""
        try:
            self._guard = self._access.guard(self._context, self._members)
            self._publish = self._bind(zmq.PUB, publish)
            self._requests = self._bind(zmq.ROUTER, requests) if requests else None
        except BaseException:
            self._stop_guard()
            self._context.destroy(linger=0)
            raise
        self.address = self._publish.getsockopt_string(zmq.LAST_ENDPOINT)
        self.request_address = self._requests.getsockopt_string(zmq.LAST_ENDPOINT) if self._requests else None
        # Two, because a request for stored events waits for the store, and heartbeats tell of a store that does not answer.
        self._threads = [
            threading.Thread(target=work, name=f"bus {name}", daemon=True)
            for name, work in (("heartbeat", self._beat_on), ("requests", self._serve))
        ]
        for thread in self._threads:
            thread.start()

    def _bind(self, kind: int, address: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        wire.harden(socket, wire.MAX_REQUEST)
        socket.setsockopt(zmq.SNDHWM, QUEUE)
        try:
            self._access.bind(socket, address)
        except BusError:
            socket.close(linger=0)
            raise
        return socket

    def hello(self, hello: Hello) -> None:
        self._hello = msgspec.structs.replace(hello, log=self.journal.store.identity)
        self._send(wire.pack(self._hello))

    def state(self, state: State, frame: Frame | None = None) -> None:
        self._send(wire.pack(state))

    def event(self, event: Event) -> None:
        """Publish a numbered event as soon as it is stored: at once, or when the store works again; in order."""
        self._waiting.append(event)
        self._release()

    def confirmations(self) -> list[str]:
        """Phases confirmed from outside since the last call."""
        return [self._confirmed.popleft() for _ in range(len(self._confirmed))]

    def close(self) -> None:
        """Idempotent; waits at most half a second for what is still being sent."""
        if self._closing.is_set():
            return
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._publish.close()
        if self._requests:
            self._requests.close()
        self._stop_guard()
        self._context.term()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stop_guard(self) -> None:
        if self._guard is not None:
            self._guard.stop()

    def _shut_out_the_revoked(self) -> None:
        """Keys are checked when a connection is made; so when one is revoked, all connections are made anew."""
        members = self._access.members()
        if self._members <= members:
            return
        with self._turn:  # until this is done nothing is sent, so the revoked hear nothing more
            self._publish.close(linger=0)
            self._publish = self._bind_again(zmq.PUB, self.address)
            if self._requests is not None and self.request_address is not None:
                self._requests.close(linger=0)
                self._requests = self._bind_again(zmq.ROUTER, self.request_address)
            self._members &= members
        log.info("a key was revoked: all peers have to connect again")

    def _bind_again(self, kind: int, address: str) -> zmq.Socket[bytes]:
        """As `_bind`, for an address that was ours: ZeroMQ gives a closed one back a moment later."""
        deadline = time.monotonic() + REBIND_S
        while True:
            try:
                return self._bind(kind, address)
            except BusError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _send(self, part: bytes) -> None:
        with self._turn:
            if not self._publish.closed:
                self._publish.send(part)  # PUB never blocks

    def _release(self) -> None:
        with self._turn:
            while self._waiting and self._waiting[0].seq <= self.journal.stored_seq:
                self._publish.send(wire.pack(self._waiting.popleft()))

    def _serve(self) -> None:
        due_s = time.monotonic()
        while not self._closing.is_set():
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + REVOKED_S
                self._shut_out_the_revoked()
            # Wakes up a few times a second to notice that it is to close.
            if self._requests is None:
                self._closing.wait(0.2)
            elif self._requests.poll(200):
                self._answer(self._requests)

    def _beat_on(self) -> None:
        beats = 0
        while True:
            self._beat(beats)
            beats += 1
            if self._closing.wait(HEARTBEAT_S):
                return

    def _beat(self, beats: int) -> None:
        journal = self.journal
        journal.flush()
        self._release()
        health = {**self.health, **({"store": journal.trouble} if journal.trouble else {})}
        self._send(
            wire.pack(Heartbeat(journal.station, time.time(), journal.stored_seq, health, journal.store.identity))
        )
        if self._hello is not None and beats % HELLO_EVERY == 0:
            self._send(wire.pack(self._hello))

    def _answer(self, socket: zmq.Socket[bytes]) -> None:
        peer, *rest = socket.recv_multipart()
        try:
            if len(rest) != 2 or rest[0]:
                raise BusError("a request of the wrong shape", expected="an empty part and one of MessagePack")
            reply = self._reply(wire.unpack_request(rest[1]))
        except BusError as error:
            self.refused += 1
            reply = Done(False, str(error))
        try:
            socket.send_multipart([peer, b"", wire.pack_plain(reply)], zmq.DONTWAIT)
        except zmq.ZMQError as error:  # the peer has gone, or does not read its answers
            log.debug("an answer could not be sent: %s", error)

    def _reply(self, request: Request) -> Reply:
        if isinstance(request, GetEvents):
            return self._replay(request)
        if isinstance(request, Confirm):
            known = self._hello is not None and any(phase.name == request.phase for phase in self._hello.phases)
            if not known:
                return Done(False, "no such phase")
            self._confirmed.append(request.phase)
            return Done(True)
        return self._hello or Done(False, "the station is starting")

    def _replay(self, request: GetEvents) -> Reply:
        journal = self.journal
        first_seq = max(1, min(request.first_seq, 2**62))
        try:
            oldest, newest = journal.store.bounds(journal.station)
            limit = max(0, min(request.limit, wire.REPLAY_LIMIT))
            stored = journal.store.messages(journal.station, first_seq, limit)
        except StoreError as error:
            return Done(False, str(error))
        kept, size = [], 0
        for message in stored:
            size += len(message)
            if size > wire.MAX_MESSAGE - 1024:
                break
            kept.append(msgspec.Raw(message))
        return Events(journal.station, journal.store.identity, oldest, newest, kept)
