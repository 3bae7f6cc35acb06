"""Health for machines: Prometheus metrics, `/healthz`, and a row of the store a minute. A sink of a station.

state, event ─→ Health ─→ http://127.0.0.1:9560/metrics   for Prometheus
                      ├─→ http://127.0.0.1:9560/healthz   200 while ticks come and events can be stored, else 503
                      └─→ table `health` of the store
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.background import Background
from engine.errors import ConfigError, StoreError
from engine.journal import Journal
from engine.latency import Latency
from engine.messages import Event, Hello, State

BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
STALE_S = 3.0
"""Without a tick for this long a station is not healthy."""
STORED_EVERY_S = 60.0

log = logging.getLogger("lockstep.health")


class Health:
    """Serves `address` ("127.0.0.1:9560"). Raises ConfigError where that cannot be bound.

    `latency` is where the station notes how long each stage took. Only GET of two paths is answered; nothing that a
    client sends is kept.
    """

    def __init__(self, address: str, journal: Journal, latency: Latency | None = None) -> None:
        self._journal = journal
        self._heard_s = time.monotonic()
        self._stored_s = 0.0
        self._storing: Background[None] = Background()
        self._stream_lost = False
        registry = self._registry = CollectorRegistry()
        self._latency = Histogram(
            "lockstep_stage_seconds", "Time spent per stage.", ["stage"], buckets=BUCKETS_S, registry=registry
        )
        self._events = Counter("lockstep_events", "Events by kind.", ["kind"], registry=registry)
        self._restarts = Counter("lockstep_restarts", "Stages and streams that came back.", ["what"], registry=registry)
        self._ticks = Counter("lockstep_ticks", "Ticks followed.", registry=registry)
        self._gauges = {
            name: Gauge(f"lockstep_{name}", about, registry=registry)
            for name, about in (
                ("fps", "Frames per second through the whole path."),
                ("dropped_frames", "Frames dropped since the start."),
                ("confidence", "Posterior mass around the position."),
                ("rate", "Live speed over reference speed."),
                ("cycles_finished", "Cycles completed since the start."),
                ("last_event_number", "Number of the newest stored event."),
            )
        }
        Gauge("lockstep_tick_age_seconds", "Since the last tick.", registry=registry).set_function(self.age_s)
        Gauge("lockstep_events_waiting", "Events not stored yet.", registry=registry).set_function(
            lambda: journal.waiting
        )
        if latency is not None:
            latency.listeners.append(lambda stage, ms: self._latency.labels(stage).observe(ms / 1000))
        self._server = _serve(address, self)
        host, port = self._server.server_address[:2]
        self.address = f"[{host!s}]:{port}" if self._server.address_family == socket.AF_INET6 else f"{host!s}:{port}"

    def hello(self, hello: Hello) -> None:
        """Nothing of it is a measurement."""

    def state(self, state: State, frame: Any = None) -> None:
        self._heard_s = time.monotonic()
        self._stream_lost = state.status == "no_stream"
        self._ticks.inc()
        values = (
            state.fps,
            state.dropped,
            state.confidence,
            state.rate,
            state.cycles_finished,
            self._journal.stored_seq,
        )
        for gauge, value in zip(self._gauges.values(), values, strict=True):
            gauge.set(value)
        self._store(state)

    def _store(self, state: State) -> None:
        """In the background: whoever passes states on is not to wait for a store that is locked."""
        with suppress(StoreError):  # the journal tells of it
            self._storing.take()
        if self._heard_s - self._stored_s >= STORED_EVERY_S and not self._storing.busy:
            self._stored_s = self._heard_s
            self._storing.start(lambda: self._journal.store.note_health(state))

    def event(self, event: Event) -> None:
        self._events.labels(event.event).inc()
        if event.event in ("stage_back", "stream_back"):
            self._restarts.labels(str(event.details.get("stage", "stream"))).inc()

    def age_s(self) -> float:
        return time.monotonic() - self._heard_s

    def troubles(self) -> dict[str, str]:
        """Part → what is wrong; empty when all is well."""
        troubles = {}
        if self.age_s() > STALE_S:
            troubles["ticks"] = f"none for {self.age_s():.0f} s"
        if self._stream_lost:
            troubles["stream"] = "lost"
        if self._journal.trouble:
            troubles["store"] = self._journal.trouble
        return troubles

    def metrics(self) -> bytes:
        return generate_latest(self._registry)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Health:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(address: str, health: Health) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0
        server_version, sys_version = "lockstep", ""

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._reply(200, CONTENT_TYPE_LATEST, health.metrics())
            elif self.path == "/healthz":
                troubles = health.troubles()
                body = json.dumps({"ok": not troubles, "troubles": troubles}).encode()
                self._reply(503 if troubles else 200, "application/json", body)
            else:
                self._reply(404, "text/plain", b"/metrics or /healthz\n")

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Scrapes are not news."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:
            """That a client went away is no news; the base class prints a traceback for it."""
            if not isinstance(sys.exc_info()[1], OSError):
                log.exception("a request was not answered")

    host, _, port = address.rpartition(":")
    try:
        server = Server((host.strip("[]"), int(port)), Handler)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"cannot serve health at {address!r}",
            expected="host:port that is free, such as 127.0.0.1:9560",
            found=getattr(error, "strerror", None) or str(error),
            next_step="Change health.address.",
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.2,), name="health", daemon=True).start()
    return server
