"""Subscribers that stall or die, disks that fill and networks that break: the publisher goes on, nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
import zmq

from engine import wire
from engine.bus import Publisher
from engine.journal import Journal
from engine.messages import Event, State
from engine.store import Store
from engine.subscriber import Subscriber

ANY = "tcp://127.0.0.1:*"


def draft(i):
    return Event("bench", 0, "slow", float(i), float(i), details={"why": "x" * 500})


def state(tick):
    return State("bench", tick, tick / 20, 0.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9)


def until(condition, bus, timeout_s=20.0):
    messages, deadline = [], time.monotonic() + timeout_s
    while not condition(messages):
        assert time.monotonic() < deadline
        messages += bus.update(0.1)
    return messages


def test_a_subscriber_that_never_reads_keeps_nobody_waiting():
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as station, zmq.Context() as context:
        stalled = context.socket(zmq.SUB)
        stalled.setsockopt(zmq.RCVHWM, 10)
        stalled.connect(station.address)
        stalled.subscribe(b"")
        with Subscriber(station.address, station.request_address) as awake:
            until(lambda m: awake.heartbeat, awake)
            for tick in range(30_000):
                station.state(state(tick))
                if tick % 200 == 0:
                    awake.update(0)
            station.state(state(99_999))
            deadline = time.monotonic() + 20
            while awake.state is None or awake.state.tick != 99_999:
                assert time.monotonic() < deadline
                station.state(state(99_999))
                awake.update(0.05)
        stalled.close(linger=0)


SUBSCRIBER = """
import sys
from engine.messages import Event
from engine.subscriber import Subscriber
with Subscriber(sys.argv[1], sys.argv[2], since=1) as bus:
    for message in bus:
        if isinstance(message, Event):
            print(message.seq, flush=True)
"""


def test_of_real_subscribers_one_stopped_and_one_killed_the_rest_notice_nothing_and_the_stopped_one_catches_up():
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as station:
        command = [sys.executable, "-c", SUBSCRIBER, station.address, station.request_address]
        dead, stopped = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
        try:
            station.event(station.journal.number(draft(0)))
            assert dead.stdout.readline() == stopped.stdout.readline() == "1\n"
            dead.kill()
            stopped.send_signal(signal.SIGSTOP)
            with Subscriber(station.address, station.request_address, since=1) as awake:
                for i in range(1, 2000):
                    station.event(station.journal.number(draft(i)))
                heard = until(lambda m: awake.last_seq == 2000, awake)
            assert [m.seq for m in heard if isinstance(m, Event)] == list(range(1, 2001))
            stopped.send_signal(signal.SIGCONT)
            assert [int(stopped.stdout.readline()) for _ in range(1999)] == list(range(2, 2001))
        finally:
            for process in (dead, stopped):
                process.kill()
                process.wait()
                process.stdout.close()


def test_when_the_disk_is_full_events_wait_and_are_told_once_there_is_room(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/s.db")
    journal = Journal("bench", store)

    def pages(limit):
        """SQLite's own limit: from here on it fails exactly as on a full disk."""
        store._engine.dispose()
        sa.event.listen(store._engine, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count={limit}"))

    with Publisher(journal, ANY, ANY) as station, Subscriber(station.address, station.request_address, since=1) as bus:
        station.event(journal.number(draft(0)))
        pages(20)
        for i in range(1, 200):
            station.event(journal.number(draft(i)))
        assert "full" in journal.trouble and journal.stored_seq < 200
        until(lambda m: bus.heartbeat and "full" in bus.heartbeat.health.get("store", ""), bus)
        assert bus.last_seq == journal.stored_seq  # nothing was heard that is not stored
        pages(1_000_000)
        until(lambda m: bus.last_seq == 200, bus)
    assert journal.trouble == "" and store.bounds("bench") == (1, 200)


PUBLISHER = """
import sys, time
from engine.bus import Publisher
from engine.journal import Journal
from engine.messages import Event
from engine.security import INSECURE, Access
from engine.store import Store
with Publisher(Journal("bench", Store("sqlite://")), "tcp://10.77.0.2:5560", "tcp://10.77.0.2:5561", Access(insecure=INSECURE)) as station:
    print("ready", flush=True)
    while sys.stdin.readline():
        station.event(station.journal.number(Event("bench", 0, "slow", 0.0, 0.0)))
"""


def test_what_happened_while_the_network_was_cut_arrives_afterwards():
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("cutting a network takes root and iproute2")
    name = f"lockstep{os.getpid()}"

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True).returncode == 0

    try:
        made = ip("netns", "add", name) and ip(
            "link", "add", "lsv0", "type", "veth", "peer", "name", "lsv1", "netns", name
        )
        if not made:
            pytest.skip("this kernel lets nobody make network namespaces or veth pairs")
        ip("addr", "add", "10.77.0.1/24", "dev", "lsv0")
        ip("link", "set", "lsv0", "up")
        ip("-n", name, "addr", "add", "10.77.0.2/24", "dev", "lsv1")
        ip("-n", name, "link", "set", "lsv1", "up")
        command = ["ip", "netns", "exec", name, sys.executable, "-c", PUBLISHER]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as station:
            assert station.stdout.readline() == "ready\n"

            def happen(count):
                station.stdin.write("\n" * count)
                station.stdin.flush()

            with Subscriber("tcp://10.77.0.2:5560", "tcp://10.77.0.2:5561", since=1) as bus:
                happen(3)
                until(lambda m: bus.last_seq == 3, bus)
                ip("link", "set", "lsv0", "down")
                happen(5)
                deadline = time.monotonic() + 15
                while bus.alive:
                    assert time.monotonic() < deadline
                    bus.update(0.2)
                assert bus.last_seq == 3
                ip("link", "set", "lsv0", "up")
                until(lambda m: bus.last_seq == 8, bus, timeout_s=60)
            station.stdin.close()
    finally:
        ip("link", "del", "lsv0")
        ip("netns", "del", name)


def test_limits_hold_before_anything_is_allocated():
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as station, zmq.Context() as context:
        huge = context.socket(zmq.DEALER)
        huge.setsockopt(zmq.LINGER, 0)
        huge.connect(station.request_address)
        huge.send_multipart([b"", b"x" * (wire.MAX_REQUEST + 1)])
        assert not huge.poll(500)  # the connection is dropped, not answered
        huge.close()
        with Subscriber(station.address, station.request_address) as bus:
            until(lambda m: bus.heartbeat, bus)
