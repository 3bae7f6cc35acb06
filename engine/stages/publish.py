"""The publish stage: states from the align stage and events from the store to all who listen. It also keeps house: metrics
and retention.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing

from engine import wire
from engine.background import Background
from engine.bus import Publisher
from engine.config import StationConfig
from engine.errors import BusError, StoreError
from engine.health import Health
from engine.journal import Journal
from engine.latency import Latency
from engine.links.inlet import Inlet
from engine.logs import log_event
from engine.messages import Event, Hello, State
from engine.retention import Retention
from engine.stages.wiring import Beat, Run, access, address, keys, open_store

LOOK_S = 0.25
"""How often the store is asked for events that no state announces: the supervisor writes some as well."""
READ_S = 0.02
"""How long states wait for events from the store: a few times what reading them takes."""
SILENT_S = 1.0
"""Of the align stage, or of the store."""


def prepare(config: StationConfig) -> Run:
    def run(beat: Beat) -> None:
        bus = config.bus
        with ExitStack() as stack:
            store = stack.enter_context(closing(open_store(config)))
            stack.enter_context(Retention(store, config.store.keep_days))
            journal = Journal(config.station, store)
            inlet = stack.enter_context(closing(Inlet(address(config, "states"), keys(config), keeps_nothing=True)))
            publisher = stack.enter_context(Publisher(journal, bus.publish or "", bus.requests, access(config)))
            latency = Latency()
            health = None
            if config.health.address is not None:
                health = stack.enter_context(Health(config.health.address, journal, latency))
            _Outward(publisher, health, latency, journal, inlet).run(beat)

    return run


class _Outward:
    def __init__(
        self, publisher: Publisher, health: Health | None, latency: Latency, journal: Journal, inlet: Inlet
    ) -> None:
        self._publisher, self._health, self._latency = publisher, health, latency
        self._journal, self._inlet = journal, inlet
        self._published = journal.stored_seq
        """Number of the newest event that was published, or that subscribers have to ask for because nobody was here."""
        self._reading: Background[list[Event]] = Background()
        self._hello: Hello | None = None

    def run(self, beat: Beat) -> None:
        """Until the align stage says that this was all."""
        looked_s, heard_s, ended = 0.0, time.monotonic(), False
        while not ended:
            beat()
            received = self._inlet.next(0.1)
            now_s = time.monotonic()
            stored = 0
            if received is not None:
                item, payload = received
                heard_s, stored, ended = now_s, item.seq, item.end
                self._journal.trouble = item.trouble  # theirs who write it: said here with every heartbeat
                for stage, ms in (*item.spent_ms, *(("to_publish", ms) for ms in self._inlet.age_ms)):
                    self._latency.add(stage, ms)
                self._pass_on(bytes(payload))
            if stored > self._published or now_s - looked_s > LOOK_S:
                looked_s = now_s
                self._publish_events()
            for phase in self._publisher.confirmations():
                self._inlet.note(phase)
            self._publisher.health.pop("stages", None)
            if now_s - heard_s > SILENT_S:
                self._publisher.health["stages"] = f"no state for {now_s - heard_s:.0f} s"
        all_told = False
        while not all_told:  # by a look at the store that began after the end
            begun_before = self._reading.busy
            all_told = not self._publish_events() and not begun_before
            beat()
            time.sleep(0.01)
        self._inlet.acknowledge()

    def _pass_on(self, packed: bytes) -> None:
        if not packed:
            return
        try:
            message = wire.unpack(packed)
        except BusError:  # not from our align stage
            return
        if isinstance(message, Hello) and message != self._hello:
            self._hello = message
            self._publisher.hello(message)
        elif isinstance(message, State):
            self._publisher.state(message)
            if self._health is not None:
                self._health.state(message)

    def _publish_events(self) -> bool:
        """Everything stored since, in order; False if that was nothing. States do not wait for a store that does not answer,
        and one that cannot be read now is read again later.
        """
        if not self._reading.busy:
            self._reading.start(self._read)
        try:
            events = self._reading.take(READ_S)
        except StoreError as error:
            self._publisher.health["store"] = str(error)
            return True
        if events is None:
            if self._reading.busy_s > SILENT_S:
                self._publisher.health["store"] = f"no answer for {self._reading.busy_s:.0f} s"
            return True
        self._publisher.health.pop("store", None)
        for event in events:
            self._publisher.event(event)
            log_event(event)
            if self._health is not None:
                self._health.event(event)
            self._published = event.seq
        return bool(events)

    def _read(self) -> list[Event]:
        if self._journal.catch_up() <= self._published:
            return []
        stored = self._journal.store.messages(self._journal.station, self._published + 1, 1000)
        return [wire.unpack_event(message) for message in stored]
