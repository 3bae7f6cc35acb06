"""A station of real processes, killed, stopped and shouted at: nothing that happened is lost, and it goes on."""

import os
import random
import signal
import socket
import time

import psutil
import pytest
import zmq

from benchmarks.light_station import undisturbed
from engine.errors import ConfigError
from engine.stages import STAGES
from engine.supervisor import Supervisor

pytestmark = pytest.mark.slow


def essence(events):
    return [(e.event, e.time_s, e.cycle, e.phase) for e in events if not e.event.startswith("stage_")]


def test_a_recording_followed_through_kills_of_every_stage_gives_the_events_of_an_undisturbed_run(start):
    running = start(cycles=10, policy="every")
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


def test_each_stage_that_hangs_is_replaced_and_both_are_events_that_a_subscriber_gets_in_order(live, hear):
    ear = hear(live)
    for count, stage in enumerate(STAGES, start=1):
        ear.follow(1)
        os.kill(live.pid(stage), signal.SIGSTOP)
        ear.until(lambda count=count: len(ear.told("stage_back")) == count, stage)
    ear.follow(1)
    told = [(e.event, e.details) for e in ear.told("stage_down", "stage_back")]
    assert told == [
        what
        for stage in STAGES
        for what in (
            ("stage_down", {"stage": stage, "reason": "hangs"}),
            ("stage_back", {"stage": stage, "reason": "restarted"}),
        )
    ]


BROKEN = """
import os, sys
if "align" in sys.orig_argv and os.path.exists(os.environ["BROKEN"]):
    with open(os.environ["BROKEN"], "a") as attempts:
        attempts.write(".")
    os._exit(1)
"""


def test_a_stage_that_cannot_be_prepared_is_an_event_and_tried_again_until_it_can(start, hear, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    broken = tmp_path / "broken"
    broken.touch()
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    running = start(environment={**os.environ, "PYTHONPATH": path, "BROKEN": str(broken)}, cycles=40, policy="freshest")
    ear = hear(running)
    ear.until(lambda: ear.told("stage_down") and len(broken.read_text()) >= 3, "not told, or not tried again")
    broken.unlink()
    ear.until(lambda: ear.told("stage_back"), "not tried again")
    ear.follow(5)
    assert [(e.event, e.details) for e in ear.told("stage_down", "stage_back")] == [
        ("stage_down", {"stage": "align", "reason": "cannot be prepared: failed (status 1)"}),
        ("stage_back", {"stage": "align", "reason": "restarted"}),
    ]


def test_garbage_on_every_socket_between_the_stages_changes_nothing(live, hear):
    folder = live.station.yaml.parent
    ear = hear(live)
    ear.follow(1)
    before = live.restarts()
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
    ear.follow(20)
    assert live.restarts() == before


def test_a_stage_killed_at_any_moment_of_its_start_with_or_without_its_stand_by_comes_back(start, hear):
    running = start(cycles=40, policy="freshest")
    ear = hear(running)
    ear.follow(1)
    rng = random.Random(0)
    for stage in rng.sample(STAGES * 2, 8):
        killed = [running.pid(stage)]
        os.kill(killed[0], signal.SIGKILL)
        time.sleep(rng.uniform(0.0, 2.0))  # it takes over, and the next stand-by is prepared
        for who in rng.sample(("pid", "standby"), rng.choice((1, 2))):
            pid = running.stages()[stage][who]
            if pid not in (None, *killed):
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
        running.pid(stage, other_than=killed)
        ear.follow(1)
    assert running.process.poll() is None


def ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_stages_of_a_supervisor_that_is_killed_end_and_the_next_one_goes_on(live, hear):
    ear = hear(live)
    ear.follow(1)
    processes = [psutil.Process(how[who]) for how in live.stages().values() for who in ("pid", "standby") if how[who]]
    live.process.kill()
    live.process.wait()
    ear.until(lambda: all(map(ended, processes)), "stages outlive their supervisor")
    assert live.stages() == {}  # nobody runs, whatever it has left behind
    live.supervise()
    known = len(ear.events)
    ear.until(lambda: len(ear.events) > known, "no events any more")
    ear.follow(1)


def test_a_second_supervisor_of_the_same_station_is_refused_and_the_first_one_goes_on(live, hear):
    ear = hear(live)
    ear.follow(1)
    before = live.restarts()
    with pytest.raises(ConfigError, match="has a supervisor already"):
        Supervisor(live.config, live.station.yaml)
    ear.follow(5)
    assert live.restarts() == before
