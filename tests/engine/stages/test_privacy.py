"""Privacy mode: no pixel leaves the processes that need it. Frames carry a pattern; it is looked for wherever bytes go.

What is searched: every message of the bus and of the links, HTTP, logs, the store, all files written, named shared memory.
That the search would find it is shown by the same frames without privacy.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
import zmq

from benchmarks.light_station import make
from engine import wire
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError
from engine.links.inlet import Inlet
from engine.messages import GetEvents, GetHello, State
from engine.shared_frames import FOLDER
from engine.sources.rendered import RenderedStation, StationParams

BLOCK = np.random.default_rng(7).integers(0, 256, (1, 16, 3), np.uint8)
"""16 pixels, repeated over every frame's upper part: 48 bytes that nothing else writes by chance."""
FORMS = {
    "BGR": BLOCK.tobytes(),
    "RGB": BLOCK[..., ::-1].tobytes(),
    "a plane": np.ascontiguousarray(BLOCK[..., 0]).tobytes(),
    "float": BLOCK.astype(np.float32).tobytes()[:48],
    "scaled": (BLOCK.astype(np.float32) / 255).tobytes()[:48],
}
PICTURES = {"JPEG": b"\xff\xd8\xff\xe0", "PNG": b"\x89PNG\r\n", "AVI": b"AVI LIST", "MP4": b"ftypisom"}


def found_in(data):
    return [name for name, needle in {**FORMS, **PICTURES}.items() if needle in data]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Four seconds of a rendered worker with the pattern above her head, repeated, as a folder of images."""
    folder = tmp_path_factory.mktemp("film")
    pictures = []
    for frame in RenderedStation(StationParams.random(1, cycles=1)):
        if frame.index == 60:
            break
        image = frame.image.copy()
        image[:40] = np.tile(BLOCK, (40, image.shape[1] // 16, 1))
        pictures.append(cv2.imencode(".png", image)[1].tobytes())
    for i in range(900):
        (folder / f"{i:04}.png").write_bytes(pictures[i % 60])
    return folder


@pytest.fixture
def station(tmp_path, film):
    try:
        bundle = open_bundle()
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")
    work = make(tmp_path, bundle, cycles=1, seed=1, policy="freshest")
    settings = yaml.safe_load(work.yaml.read_text())
    settings["source"]["open"] = f"images:{film},fps=15"
    work.yaml.write_text(yaml.safe_dump({**settings, "privacy": True, "health": {"json_logs": True}}))
    (tmp_path / "temporary").mkdir()
    return work


@pytest.fixture
def runtime():
    """Where socket files lie: their paths must be short."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        yield Path(folder)


class Everything:
    """Whoever may connect, reading whatever is to be had."""

    def __init__(self, station):
        self.data = []
        self.states = []
        self._context = zmq.Context()
        self._bus = self._context.socket(zmq.SUB)
        self._bus.subscribe(b"")
        self._bus.connect(station.publish)
        self._questions = self._context.socket(zmq.DEALER)
        self._questions.connect(station.requests)
        folder = station.yaml.parent
        self._links = [Inlet(f"ipc://{folder}/{link}") for link in ("frames", "poses", "states")]

    def listen(self):
        if self._bus.poll(20):
            message = self._bus.recv()
            self.data.append(message)
            unpacked = wire.unpack(message)
            self.states += [unpacked] if isinstance(unpacked, State) else []
        for request in (GetHello(), GetEvents(1)):
            self._questions.send_multipart([b"", wire.pack_plain(request)])
        while self._questions.poll(0):
            self.data.append(b"".join(self._questions.recv_multipart()))
        for link in self._links:
            received = link.next(0.0)
            if received is not None:
                self.data.append(bytes(received[1]))

    def close(self):
        for link in self._links:
            link.close()
        self._context.destroy(linger=0)


def files(*folders):
    return [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("stage", "supervise"), ("run", "--headless")], ids=["split", "one process"])
def test_of_a_private_station_no_pixel_is_published_stored_or_logged(station, tmp_path, runtime, arguments):
    config = load_station(station.yaml)
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "XDG_RUNTIME_DIR": str(runtime)}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "clients.cli", *arguments, str(station.yaml)],
            stdout=log,
            stderr=log,
            env=environment,
        )
    everything = Everything(station)
    try:
        deadline = time.monotonic() + 120
        while sum(any(c > 0.5 for _, _, c in state.pose or ()) for state in everything.states) < 60:
            assert time.monotonic() < deadline and running.poll() is None, (tmp_path / "log").read_text()
            everything.listen()
        shared = [path.name for path in FOLDER.glob(f"*{config.station}*")]
        written = {path: path.read_bytes() for path in files(tmp_path, runtime)}
    finally:
        everything.close()
        running.send_signal(signal.SIGTERM)
        running.wait(30)
    written |= {path: path.read_bytes() for path in files(tmp_path, runtime)}
    assert shared == [] and not (tmp_path / "frames").exists()
    assert tmp_path / "events.db" in written and tmp_path / "log" in written
    assert {str(path): found_in(data) for path, data in written.items() if found_in(data)} == {}
    assert found_in(b"\n".join(everything.data)) == []


@pytest.mark.slow
def test_the_same_search_finds_the_pixels_of_a_station_without_privacy(station):
    settings = yaml.safe_load(station.yaml.read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = "tcp://127.0.0.1:{1}".format(*probe.getsockname())
    settings |= {"privacy": False, "stages": {**settings["stages"], "frames": where}}
    station.yaml.write_text(yaml.safe_dump(settings))
    running = subprocess.Popen([sys.executable, "-m", "clients.cli", "stage", "capture", str(station.yaml)])
    listening = Inlet(where)
    try:
        deadline = time.monotonic() + 60
        while (received := listening.next(0.5)) is None:
            assert time.monotonic() < deadline and running.poll() is None
        assert found_in(bytes(received[1])) == ["BGR"]
    finally:
        listening.close()
        running.send_signal(signal.SIGKILL)
        running.wait(30)
