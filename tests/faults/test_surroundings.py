"""What a station of real processes stands in goes wrong: the camera, the disk, the clock."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import urllib.error
import urllib.request
from contextlib import closing

import pytest

pytestmark = pytest.mark.slow


def test_a_camera_that_stalls_is_told_also_if_its_stage_is_killed_meanwhile_and_it_comes_back(
    start, hear, network_camera
):
    camera = network_camera()
    camera.start()
    running = start(cycles=1, policy="freshest", film=camera.url())
    ear = hear(running)
    ear.follow(5)
    camera.signal(signal.SIGSTOP)
    ear.until(lambda: ear.told("stream_lost"), "not noticed")
    assert set(running.restarts().values()) == {0}  # it is the camera that hangs, not its stage
    ear.until(lambda: ear.bus.state.status == "no_stream")
    camera.signal(signal.SIGCONT)
    ear.until(lambda: ear.told("stream_back"), "not back")
    ear.until(lambda: ear.bus.state.status != "no_stream")

    camera.signal(signal.SIGSTOP)
    ear.until(lambda: len(ear.told("stream_lost")) == 2, "not noticed again")
    os.kill(running.pid("capture"), signal.SIGKILL)  # with it goes who knew of the loss
    ear.until(lambda: ear.told("stage_down"))
    camera.signal(signal.SIGCONT)
    ear.until(lambda: len(ear.told("stream_back")) == 2, "not back again")
    ear.until(lambda: ear.bus.state.status != "no_stream")
    assert [e.event for e in ear.told("stream_lost", "stream_back")] == ["stream_lost", "stream_back"] * 2


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 16 MB: SQLite keeps up to 4 MB of what it has yet to put in its place."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("filling a disk takes the right to mount a small one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_full_disk_the_station_goes_on_says_so_and_catches_up_once_there_is_room(start, hear, small_disk):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"

    def healthz():
        try:
            with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as reply:
                return reply.status, json.load(reply)["troubles"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["troubles"]

    settings = {"store": {"url": f"sqlite:///{small_disk}/s.db"}, "health": {"address": address}}
    running = start(settings, cycles=40, policy="freshest")
    ear = hear(running)
    ear.follow(5)
    assert healthz() == (200, {})
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    ear.until(lambda: "full" in ear.health().get("store", ""), "no word of the disk")
    status, troubles = healthz()
    assert status == 503 and "full" in troubles["store"]
    ear.follow(20)
    filler.unlink()
    ear.until(lambda: not ear.health(), "still in trouble")
    known = len(ear.events)
    ear.until(lambda: len(ear.events) > known, "no events any more")
    assert set(running.restarts().values()) == {0}


def test_a_store_that_does_not_answer_keeps_no_state_back_and_gets_its_events_afterwards(live, hear):
    ear = hear(live)
    ear.follow(5)
    before = live.restarts()
    with closing(sqlite3.connect(live.station.yaml.parent / "events.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # as somebody who copies or repairs it
        ear.until(lambda: ear.health().get("store"), "no word of the store")
        ear.follow(40)
        other.execute("ROLLBACK")
    ear.until(lambda: not ear.health(), "still in trouble")
    known = len(ear.events)
    ear.until(lambda: len(ear.events) > known, "no events any more")
    assert live.restarts() == before


CLOCK = """
import os, time
def shifted(real=time.time):
    with open(os.environ["CLOCK_OFFSET_S"]) as file:
        return real() + float(file.read() or 0)
time.time = shifted
"""
"""As `sitecustomize`, in every process of one station: to set the machine's own clock would be everybody's business."""


def test_a_station_whose_wall_clock_is_set_goes_on_as_if_nothing_had_happened(start, hear, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    offset = tmp_path / "offset"
    offset.write_text("0")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "CLOCK_OFFSET_S": str(offset)}
    running = start(environment=environment, cycles=40, policy="freshest")
    ear = hear(running)
    ear.follow(5)
    before_s = ear.bus.state.wall_s
    for step_s in (3 * 3600, -2 * 3600):
        offset.write_text(str(step_s))
        ear.until(lambda step_s=step_s: abs(ear.bus.state.wall_s - before_s - step_s) < 600, "clock not set")
        ear.follow(20)
    known = len(ear.events)
    ear.until(lambda: len(ear.events) > known, "no events")
    assert [e.time_s for e in ear.events] == sorted(e.time_s for e in ear.events)
    assert set(running.restarts().values()) == {0}
