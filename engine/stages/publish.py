"""The publish stage: states from the align stage and events from the store to all who listen. It also keeps house: metrics
and retention.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing

from engine import wire
from engine.bus import Publisher
from engine.config import StationConfig
from engine.errors import BusError, StoreError
from engine.health import Health
from engine.journal import Journal
from engine.latency import Latency
from engine.links.inlet import Inlet
from engine.logs import log_event
from engine.messages import Hello, State
from engine.retention import Retention
from engine.stages.wiring import Beat, Run, access, address, keys, open_store

LOOK_S = 0.25
"""How often the store is asked for events that no state announces: the supervisor writes some as well."""
SILENT_S = 1.0


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
            if stored > self._published or now_s - looked_s > LOOK_S or ended:
                looked_s = now_s
                self._publish_events()
            for phase in self._publisher.confirmations():
                self._inlet.note(phase)
            self._publisher.health.pop("stages", None)
            if now_s - heard_s > SILENT_S:
                self._publisher.health["stages"] = f"no state for {now_s - heard_s:.0f} s"
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

    def _publish_events(self) -> None:
        """Everything stored since, in order. A store that cannot be read now is read again later."""
        try:
            if self._journal.catch_up() <= self._published:
                return
            for message in self._journal.store.messages(self._journal.station, self._published + 1, 1000):
                event = wire.unpack_event(message)
                self._publisher.event(event)
                log_event(event)
                if self._health is not None:
                    self._health.event(event)
                self._published = event.seq
            self._publisher.health.pop("store", None)
        except StoreError as error:
            self._publisher.health["store"] = str(error)
