"""A split station in peace: the same events as one process, metrics of every stage, logs for machines, an end."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml

from benchmarks.light_station import make, undisturbed
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError, ConfigError
from engine.messages import State
from engine.shared_frames import FOLDER
from engine.stages import prepare, stage_names
from engine.store import Store
from engine.subscriber import Subscriber
from engine.supervisor import Supervisor
from engine.wire import unpack_event


@pytest.fixture
def station(tmp_path):
    try:
        bundle = open_bundle()
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")
    return lambda **how: make(tmp_path, bundle, seed=1, **how)


def change(station, **settings):
    station.yaml.write_text(yaml.safe_dump({**yaml.safe_load(station.yaml.read_text()), **settings}))


def lockstep(*arguments, **how):
    return subprocess.Popen([sys.executable, "-m", "clients.cli", *map(str, arguments)], **how)


def events(station):
    config = load_station(station.yaml)
    with Store(config.store.url) as store:
        stored = [unpack_event(message) for message in store.messages(config.station, 1, 10_000)]
    return [(e.event, e.time_s, e.cycle, e.phase) for e in stored]


@pytest.mark.slow
def test_stages_that_nobody_supervises_end_one_after_another_when_the_recording_does(station):
    work = station(cycles=2, policy="every")
    _, _, expected = undisturbed(work)
    for repeat in (1, 2):  # each run of a recording begins at its start
        stages = [lockstep("stage", stage, work.yaml) for stage in ("publish", "align", "pose", "capture")]
        try:
            assert [stage.wait(120) for stage in stages] == [0, 0, 0, 0]
        finally:
            for stage in stages:
                stage.kill()
        assert events(work) == expected * repeat


@pytest.mark.slow
def test_a_capture_stage_of_ones_own_supervisor_leaves_no_shared_memory_when_it_is_told_to_end(station):
    if not FOLDER.is_dir():
        pytest.skip("no named shared memory here")
    work = station(cycles=1, policy="freshest", film="synth:seed=1,cycles=1")

    def left():
        return list(FOLDER.glob(f"lockstep-*+{load_station(work.yaml).station}+*"))

    capture = lockstep("stage", "capture", work.yaml)
    try:
        deadline = time.monotonic() + 60
        while not (left() and left()[0].stat().st_size > 100_000):  # until frames are in it
            assert time.monotonic() < deadline and capture.poll() is None
            time.sleep(0.02)
        capture.terminate()
        assert capture.wait(30) == 143
        assert left() == []
    finally:
        capture.kill()


@pytest.mark.slow
def test_a_recording_played_live_begins_when_every_stage_is_ready(station):
    work = station(cycles=1, policy="freshest")
    _, _, expected = undisturbed(work)
    assert lockstep("stage", "supervise", work.yaml).wait(120) == 0
    told = events(work)
    assert [(kind, phase) for kind, _, _, phase in told] == [(kind, phase) for kind, _, _, phase in expected]
    assert told[0][1] == pytest.approx(expected[0][1], abs=0.5)  # nothing was over before the models were loaded


@pytest.mark.slow
def test_a_split_station_measures_every_stage_and_logs_json(station, tmp_path):
    work = station(cycles=30, policy="freshest")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    change(work, health={"address": f"127.0.0.1:{port}", "json_logs": True})
    with (tmp_path / "log").open("wb") as log:
        running = lockstep("stage", "supervise", work.yaml, stderr=log)
    try:
        with Subscriber(work.publish, work.requests, since=1) as bus:
            deadline = time.monotonic() + 120
            state = None
            while bus.last_seq < 2 or state is None or "pose" not in state.latency_ms:
                assert time.monotonic() < deadline and running.poll() is None
                state = next((m for m in bus.update(0.2) if isinstance(m, State)), state)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
                metrics = reply.read().decode()
            asked = lockstep("stage", "status", work.yaml, stdout=subprocess.PIPE)
            table = asked.communicate(timeout=60)[0].decode()
            assert asked.returncode == 0
    finally:
        running.terminate()
        running.wait(30)
    assert all(re.search(rf"{stage} .*running", table) for stage in stage_names(load_station(work.yaml))), table
    assert lockstep("stage", "status", work.yaml, stderr=subprocess.DEVNULL).wait(60) == 2  # nobody runs it any more
    links = ("to_pose", "to_align", "to_publish")
    for stage in ("wait", "pose", "embed", "match", "events", "publish", "after_pose", "total", *links):
        counted = next(line for line in metrics.splitlines() if f'seconds_count{{stage="{stage}"}}' in line)
        assert float(counted.split()[-1]) > 0, stage
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert any(
        line["part"] == "lockstep.events" and line["stage"] == "publish" and "seq" in line["event"] for line in lines
    )


def test_one_process_logs_json_too(station):
    work = station(cycles=1, policy="every")
    change(work, health={"json_logs": True}, bus={"publish": None, "requests": None})
    running = lockstep("run", work.yaml, "--headless", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0
    told = [json.loads(line) for line in said.decode().splitlines()]
    assert "cycle_finished" in [line["message"] for line in told if line["part"] == "lockstep.events"]


def test_what_cannot_be_split_is_one_clear_line(station):
    work = station(cycles=1, policy="every")
    change(work, bus={"publish": None})
    with pytest.raises(ConfigError, match="needs a bus"):
        Supervisor(load_station(work.yaml), work.yaml)
    change(work, bus={"publish": work.publish}, store={"url": "sqlite://"})
    with pytest.raises(ConfigError, match="its stages share"):
        Supervisor(load_station(work.yaml), work.yaml)
    with pytest.raises(ConfigError, match="no stage 'dance'"):
        prepare("dance", load_station(work.yaml))


def test_in_privacy_mode_there_is_no_capture_stage(station):
    work = station(cycles=1, policy="every")
    change(work, privacy=True)
    config = load_station(work.yaml)
    assert stage_names(config) == ("pose", "align", "publish")
    with pytest.raises(ConfigError, match="capture runs inside the pose stage"):
        prepare("capture", config)


@pytest.mark.slow
def test_a_supervisor_of_a_recording_that_is_not_there_ends_and_says_so(station, capfd):
    work = station(cycles=1, policy="freshest")
    change(work, source={"open": "gone.mp4"})
    with pytest.raises(ConfigError, match="the capture stage cannot start"):
        Supervisor(load_station(work.yaml), work.yaml).run()
    assert "there is no source 'gone.mp4'" in capfd.readouterr().err
