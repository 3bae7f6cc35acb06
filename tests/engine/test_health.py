"""What machines ask a station: is it well, and how fast is it?"""

import json
import socket
import sqlite3
import struct
import time
import urllib.error
import urllib.request

import pytest
import sqlalchemy as sa

from engine import tables
from engine.errors import ConfigError, StoreError
from engine.health import Health
from engine.journal import Journal
from engine.latency import Latency
from engine.messages import Event, State
from engine.store import Store


@pytest.fixture
def journal():
    return Journal("bench", Store("sqlite://"))


def state(status="on_task"):
    return State("bench", 1, 0.05, 1.0, status, 1, 2, "pick", 0, 0.5, 0.25, 0.5, 1.1, 0.9, fps=29.5, dropped=3)


def get(health, path):
    try:
        with urllib.request.urlopen(f"http://{health.address}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_hold_latencies_per_stage_and_the_newest_state(journal):
    latency = Latency()
    with Health("127.0.0.1:0", journal, latency) as health:
        latency.add("pose", 18.0)
        health.state(state())
        health.event(Event("bench", 1, "phase_skipped", 0.0, 0.0))
        health.event(Event("bench", 2, "stage_back", 0.0, 0.0, details={"stage": "pose"}))
        status, text = get(health, "/metrics")
    assert status == 200
    for line in (
        'lockstep_stage_seconds_bucket{le="0.02",stage="pose"} 1.0',
        "lockstep_fps 29.5",
        "lockstep_dropped_frames 3.0",
        "lockstep_confidence 0.9",
        'lockstep_events_total{kind="phase_skipped"} 1.0',
        'lockstep_restarts_total{what="pose"} 1.0',
    ):
        assert line in text, line


def test_healthz_is_well_while_ticks_come_and_events_are_stored(journal, monkeypatch):
    with Health("127.0.0.1:0", journal) as health:
        health.state(state())
        assert get(health, "/healthz") == (200, json.dumps({"ok": True, "troubles": {}}))
        health.state(state("no_stream"))
        assert get(health, "/healthz")[0] == 503
        health.state(state())

        def full(*_):
            raise StoreError("cannot write", found="disk full")

        monkeypatch.setattr(journal.store, "append", full)
        journal.number(Event("bench", 0, "slow", 0.0, 0.0))
        status, text = get(health, "/healthz")
        assert status == 503 and "disk full" in text
        assert "lockstep_events_waiting 1.0" in get(health, "/metrics")[1]
        monkeypatch.setattr("engine.health.STALE_S", -1.0)
        assert "ticks" in get(health, "/healthz")[1]


def test_other_paths_are_not_answered(journal):
    with Health("127.0.0.1:0", journal) as health:
        assert get(health, "/../../etc/passwd")[0] == 404


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999999", "127.0.0.1:x", "203.0.113.1:80"])
def test_an_address_that_cannot_be_bound_is_one_clear_line(journal, address):
    with pytest.raises(ConfigError, match=r"health\.address"):
        Health(address, journal)


def test_a_locked_store_holds_up_no_state_and_gets_its_row_once_it_is_free(tmp_path):
    path = tmp_path / "events.db"
    with Store(f"sqlite:///{path}") as store, Health("127.0.0.1:0", Journal("bench", store)) as health:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # for less time than a writer waits: who had waited here would fail
        health.state(state())
        other.execute("ROLLBACK")
        other.close()
        deadline = time.monotonic() + 20
        while not (rows := store.read(sa.select(tables.HEALTH))):
            assert time.monotonic() < deadline, "the row was given up"
            time.sleep(0.02)
        assert rows[0].status == "on_task"


def test_a_client_that_goes_away_leaves_no_traceback(journal, capfd):
    with Health("127.0.0.1:0", journal) as health:
        host, port = health.address.split(":")
        for sent in (b"GET /metrics HTTP/1.1\r\n\r\n", b"GET /met", b"\x00\xff\r\n\r\n", b""):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(sent)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        for _ in range(5):  # meanwhile those were served
            assert get(health, "/healthz")[0] == 200
    assert capfd.readouterr().err == ""


def test_an_ipv6_address_is_served_too(journal):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with Health("[::1]:0", journal) as health:
        assert get(health, "/healthz")[0] == 200
