"""What the supervisor does about processes that hang as they start, fail again and again, or never let go; it runs in here,
its stages are real.
"""

import os
import signal
import threading
import time

import pytest
import zmq
from documented import are_as_documented

from benchmarks.light_station import make
from engine import supervisor
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError, ConfigError
from engine.stages import STAGES
from engine.stages.wiring import runtime_folder
from engine.store import Store
from engine.supervisor import Supervisor, stage_states
from engine.wire import unpack_event

pytestmark = pytest.mark.slow

PATIENCE_S = 90.0


def light_station(folder):
    try:
        return make(folder, open_bundle(), cycles=100, seed=1, policy="freshest")
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")


class Supervised:
    def __init__(self, folder):
        made = light_station(folder)
        self.config = load_station(made.yaml)
        self.supervisor = Supervisor(self.config, made.yaml)
        self._thread = threading.Thread(target=self.supervisor.run)
        self._thread.start()

    def until(self, condition):
        """What `condition` makes of a stage's states, once that is something."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition(states := stage_states(self.config.station))):
            assert time.monotonic() < deadline and self._thread.is_alive(), states
            time.sleep(0.002)
        return found

    def all_stand_by(self):
        self.until(lambda s: s and all(how["state"] == "running" and how["standby_ready"] for how in s.values()))

    def told(self, stage):
        with Store(self.config.store.url) as store:
            events = [unpack_event(message) for message in store.messages(self.config.station, 1, 10_000)]
        of_stages = [event for event in events if event.event.startswith("stage_")]
        are_as_documented(of_stages)
        return [event.event for event in of_stages if event.details["stage"] == stage]

    def close(self):
        self.supervisor.stop()
        self._thread.join()


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "PREPARE_S", 3.0)  # doubled each time: a slow machine gets there as well
        running = Supervised(tmp_path_factory.mktemp("supervised"))
        yield running
        running.close()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stand_by_that_hangs_while_it_is_prepared_is_replaced_also_if_its_stage_dies_meanwhile(station, stage):
    station.all_stand_by()
    before = stage_states(station.config.station)[stage]
    os.kill(before["standby"], signal.SIGKILL)
    stuck = station.until(lambda s: s[stage]["standby"] not in (None, before["standby"]) and s[stage]["standby"])
    os.kill(stuck, signal.SIGSTOP)
    os.kill(before["pid"], signal.SIGKILL)
    station.until(lambda s: s[stage]["state"] == "running" and s[stage]["pid"] not in (before["pid"], stuck))
    station.all_stand_by()


def test_a_stage_that_fails_as_soon_as_it_starts_shows_until_when_it_waits_and_what_happened_is_told(station):
    station.all_stand_by()
    told = len(station.told("publish"))
    killed = None
    for _ in range(3):
        killed = station.until(lambda s, last=killed: s["publish"]["pid"] not in (None, last) and s["publish"]["pid"])
        os.kill(killed, signal.SIGKILL)
    begun_s = time.monotonic()
    retry_s = station.until(lambda s: s["publish"]["retry_s"])
    assert retry_s > begun_s
    station.all_stand_by()
    station.until(lambda _: station.told("publish")[told:][-1:] == ["stage_back"])
    kinds = station.told("publish")[told:]
    assert kinds == ["stage_down", "stage_back"] * (len(kinds) // 2)


def test_a_status_that_cannot_be_written_keeps_no_stage_from_being_restarted(station):
    station.all_stand_by()
    before = stage_states(station.config.station)["pose"]
    in_the_way = runtime_folder(station.config.station) / "stages.partial"
    in_the_way.mkdir()  # as good as a full disk
    told = len(station.told("pose"))
    os.kill(before["pid"], signal.SIGKILL)
    station.until(lambda _: station.told("pose")[told:] == ["stage_down", "stage_back"])
    in_the_way.rmdir()
    station.until(lambda s: s["pose"]["pid"] not in (None, before["pid"]))


@pytest.mark.parametrize("address", ["publish", "requests"])
def test_a_station_does_not_start_where_its_address_is_taken_and_says_so_once(address, tmp_path, capfd):
    made = light_station(tmp_path)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as somebody:
        somebody.bind(f"ipc://{tmp_path}/{address}")
        refused = Supervisor(load_station(made.yaml), made.yaml)
        giving_up = threading.Timer(PATIENCE_S, refused.stop)
        giving_up.start()
        with pytest.raises(ConfigError, match="the publish stage cannot start"):
            refused.run()
        giving_up.cancel()
    assert capfd.readouterr().err.count("Address already in use") == 1
