"""A supervised station of real processes, for the tests that do something to it."""

import signal
import subprocess
import sys
import time

import pytest
import yaml

from benchmarks.light_station import make
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError
from engine.messages import Event, State
from engine.store import Store
from engine.subscriber import Subscriber
from engine.supervisor import stage_states
from engine.wire import unpack_event

PATIENCE_S = 60.0


class Running:
    """A station under its supervisor. `settings` replace parts of its YAML; `environment`: of all its processes."""

    def __init__(self, station, settings, environment):
        self.station = station
        station.yaml.write_text(yaml.safe_dump({**yaml.safe_load(station.yaml.read_text()), **settings}))
        self.config = load_station(station.yaml)
        self._environment = environment
        self.supervise()

    def supervise(self):
        command = [sys.executable, "-m", "clients.cli", "stage", "supervise", str(self.station.yaml)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=self._environment)

    def stages(self):
        return stage_states(self.config.station)

    def restarts(self):
        return {stage: how["restarts"] for stage, how in self.stages().items()}

    def pid(self, stage, other_than=()):
        """Of the stage, once it runs."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            known = self.stages().get(stage, {})
            if known.get("state") == "running" and known["pid"] not in other_than:
                return known["pid"]
            time.sleep(0.02)
        raise AssertionError(f"{stage} does not run: {self.stages()}, supervisor {self.process.poll()}")

    def events(self):
        """All that are stored."""
        with Store(self.config.store.url) as store:
            return [unpack_event(message) for message in store.messages(self.config.station, 1, 10_000)]

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture(scope="session")
def bundle():
    try:
        return open_bundle()
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")


@pytest.fixture
def start(bundle, tmp_path):
    running = []

    def begin(settings=(), environment=None, **how):
        running.append(Running(make(tmp_path, bundle, seed=1, **how), dict(settings), environment))
        return running[-1]

    yield begin
    for each in running:
        each.close()


@pytest.fixture(scope="session")
def live(bundle, tmp_path_factory):
    """A live station for all tests that leave one as they found it: running, every stage."""
    running = Running(make(tmp_path_factory.mktemp("live"), bundle, cycles=200, seed=1, policy="freshest"), {}, None)
    yield running
    running.close()


class Ear:
    """What a subscriber hears from now on, kept; waits for what is to come."""

    def __init__(self, running):
        self.first_seq = len(running.events()) + 1
        self.bus = Subscriber(running.station.publish, running.station.requests, since=self.first_seq)
        self.events = []
        self.ticks = set()

    def until(self, condition, what=""):
        """Listen until `condition()` holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what} {[e.event for e in self.events[-8:]]} {self.bus.heartbeat}"
            for message in self.bus.update(0.1):
                if isinstance(message, Event):
                    self.events.append(message)
                elif isinstance(message, State):
                    self.ticks.add(message.tick)
        assert [e.seq for e in self.events] == list(range(self.first_seq, self.first_seq + len(self.events)))

    def follow(self, ticks):
        """Until the station has said that many more."""
        enough = len(self.ticks) + ticks
        self.until(lambda: len(self.ticks) >= enough, "no states")

    def health(self):
        """Part → trouble, as the last heartbeat has it."""
        return self.bus.heartbeat.health if self.bus.heartbeat else {}

    def told(self, *kinds):
        """Events of these kinds so far."""
        return [event for event in self.events if event.event in kinds]


@pytest.fixture
def hear():
    """An ear on a running station."""
    ears = []

    def begin(running):
        ears.append(Ear(running))
        return ears[-1]

    yield begin
    for ear in ears:
        ear.bus.close()
