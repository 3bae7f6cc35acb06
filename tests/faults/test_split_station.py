"""A station of real processes, killed, stopped and shouted at: nothing that happened is lost, and it goes on."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
import zmq

from benchmarks.light_station import make, undisturbed
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError
from engine.messages import Event, State
from engine.stages.wiring import runtime_folder
from engine.store import Store
from engine.subscriber import Subscriber
from engine.wire import unpack_event


@pytest.fixture(scope="module")
def bundle():
    try:
        return open_bundle()
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")


class Running:
    """A supervised station."""

    def __init__(self, station):
        self.config = load_station(station.yaml)
        self.station = station
        command = [sys.executable, "-m", "clients.cli", "stage", "supervise", str(station.yaml)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stages(self):
        try:
            return json.loads((runtime_folder(self.config.station) / "stages.json").read_text())
        except (OSError, ValueError):
            return {}

    def pid(self, stage, other_than=()):
        """Of the stage, once it runs."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            known = self.stages().get(stage, {})
            if known.get("state") == "running" and known["pid"] not in other_than:
                return known["pid"]
            time.sleep(0.02)
        raise AssertionError(f"{stage} does not run: {self.stages()}, supervisor {self.process.poll()}")

    def events(self):
        with Store(self.config.store.url) as store:
            return [unpack_event(message) for message in store.messages(self.config.station, 1, 10_000)]

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture
def start(bundle, tmp_path):
    running = []

    def begin(**how):
        running.append(Running(make(tmp_path, bundle, seed=1, **how)))
        return running[-1]

    yield begin
    for each in running:
        each.close()


def essence(events):
    return [(e.event, e.time_s, e.cycle, e.phase) for e in events if not e.event.startswith("stage_")]


@pytest.mark.slow
def test_a_recording_followed_through_kills_of_every_stage_gives_the_events_of_an_undisturbed_run(start):
    running = start(cycles=20, policy="every")
    rng = random.Random(0)
    killed = []
    for stage in ("align", "pose", "capture", "publish", "pose", "align"):
        killed.append(running.pid(stage, other_than=killed))
        os.kill(killed[-1], rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        time.sleep(rng.uniform(0.0, 0.3))
    assert running.process.wait(200) == 0
    events = running.events()
    _, _, expected = undisturbed(running.station)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert essence(events) == expected


@pytest.mark.slow
def test_a_stage_that_hangs_is_replaced_and_both_are_events_that_a_subscriber_gets_in_order(start):
    running = start(cycles=20, policy="freshest")
    with Subscriber(running.station.publish, running.station.requests, since=1) as bus:
        os.kill(running.pid("align"), signal.SIGSTOP)
        told, deadline = [], time.monotonic() + 60
        while [e.event for e in told if e.event.startswith("stage_")] != ["stage_down", "stage_back"]:
            assert time.monotonic() < deadline
            told += [message for message in bus.update(0.2) if isinstance(message, Event)]
        stopped = next(e for e in told if e.event == "stage_down")
        assert stopped.details == {"stage": "align", "reason": "hangs"}
        while not any(isinstance(message, State) for message in bus.update(0.2)):
            assert time.monotonic() < deadline
    assert [e.seq for e in told] == list(range(1, len(told) + 1))


@pytest.mark.slow
def test_garbage_on_every_socket_between_the_stages_changes_nothing(start):
    running = start(cycles=20, policy="freshest")
    folder = running.station.yaml.parent
    with Subscriber(running.station.publish, running.station.requests) as bus:
        follow(bus, 1)
        with zmq.Context() as context:
            for link in ("frames", "poses", "states", "requests", "publish"):
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.connect(str(folder / link))
                    raw.sendall(bytes(range(256)) * 20)
                with context.socket(zmq.DEALER) as shouting:
                    shouting.setsockopt(zmq.LINGER, 300)
                    shouting.connect(f"ipc://{folder / link}")
                    for part in (b"", b"\xc1", b"\x81\xa5after\xa1x", b"\x81\xa5after\x92\xa1\xff\x01", bytes(3000)):
                        shouting.send(part)
                    shouting.send(b"z" * 100_000)
        follow(bus, 20)
    assert all(stage["restarts"] == 0 for stage in running.stages().values())


def follow(bus, ticks):
    """Wait until a station has said that many more."""
    seen, deadline = set(), time.monotonic() + 60
    while len(seen) < ticks:
        assert time.monotonic() < deadline
        seen |= {message.tick for message in bus.update(0.2) if isinstance(message, State)}
