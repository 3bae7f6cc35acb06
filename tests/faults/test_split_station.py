"""A station of real processes, killed, stopped and shouted at: nothing that happened is lost, and it goes on."""

import os
import random
import signal
import socket
import time

import pytest
import zmq

from benchmarks.light_station import undisturbed
from engine.stages import STAGES

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


def test_each_stage_that_hangs_is_replaced_and_both_are_events_that_a_subscriber_gets_in_order(start, hear):
    running = start(cycles=40, policy="freshest")
    ear = hear(running)
    for count, stage in enumerate(STAGES, start=1):
        ear.follow(1)
        os.kill(running.pid(stage), signal.SIGSTOP)
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


def test_garbage_on_every_socket_between_the_stages_changes_nothing(start, hear):
    running = start(cycles=20, policy="freshest")
    folder = running.station.yaml.parent
    ear = hear(running)
    ear.follow(1)
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
    assert set(running.restarts().values()) == {0}
