"""One runtime serves many stations, each on its own thread: same embeddings, nobody waits for a slow one, errors stay local."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from engine.embedder import embed_sequence
from engine.embedder.batching import SharedRuntime
from engine.embedder.embedder import StationEmbedder
from engine.embedder.native.runtime import NativeRuntime
from engine.embedder.onnxruntime import OnnxRuntime
from engine.errors import ConfigError


def run_together(jobs) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("runtime", [OnnxRuntime, NativeRuntime])
def test_stations_in_one_batch_get_what_each_would_get_alone(tiny_bundle, walk, runtime) -> None:
    streams = [walk, walk[::-1].copy(), np.roll(walk, 20, axis=0), walk[:31].copy()]
    alone = StationEmbedder(OnnxRuntime(tiny_bundle))
    expected = [embed_sequence(alone, poses) for poses in streams]
    shared = SharedRuntime(runtime(tiny_bundle), capacity=6, wait_s=0.05)
    got: dict[int, np.ndarray] = {}
    stations = [StationEmbedder(shared) for _ in streams]
    run_together(
        [
            lambda i=i, poses=poses: got.update({i: embed_sequence(stations[i], poses)})
            for i, poses in enumerate(streams)
        ]
    )
    for i, embeddings in enumerate(expected):
        np.testing.assert_allclose(got[i], embeddings, atol=1e-5)
    assert shared.batches < sum(map(len, streams)), "nothing was ever batched"
    shared.close()


def test_a_station_that_stops_sending_costs_the_others_no_more_than_the_bound(tiny_bundle, walk) -> None:
    shared = SharedRuntime(OnnxRuntime(tiny_bundle), capacity=2, wait_s=0.01)
    quick, slow = StationEmbedder(shared), StationEmbedder(shared)
    slow.step(walk[0])
    for pose in walk[:20]:
        quick.step(pose)  # would hang, were the slow one waited for
    assert shared.batches == 21
    shared.close()


class Slow:
    """A runtime whose step blocks until it is let go."""

    def __init__(self, runtime: OnnxRuntime) -> None:
        self.bundle, self.name, self.precision = runtime.bundle, "slow", "fp32"
        self.runtime, self.go, self.sizes = runtime, threading.Semaphore(0), []

    def lanes(self, batch: int = 1):
        outer, lanes = self, self.runtime.lanes(batch)

        class Lanes:
            def __getattr__(self, name):
                return getattr(lanes, name)

            def step(self, keypoints, active=None):
                outer.go.acquire()
                outer.sizes.append(int(active.sum()))
                return lanes.step(keypoints, active)

        return Lanes()


def test_whatever_waits_while_a_batch_runs_goes_into_the_next_one(tiny_bundle, walk) -> None:
    slow = Slow(OnnxRuntime(tiny_bundle))
    shared = SharedRuntime(slow, capacity=8, wait_s=0.0)
    stations = [StationEmbedder(shared) for _ in range(8)]
    threads = [threading.Thread(target=station.step, args=(walk[0],)) for station in stations]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(shared._last_s) < 8 and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    for _ in range(2):  # what the worker took first, then all others at once
        slow.go.release()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert sum(slow.sizes) == 8 and len(slow.sizes) <= 2
    shared.close()


def test_seats_are_given_back_and_too_many_stations_are_refused(tiny_bundle, walk) -> None:
    shared = SharedRuntime(OnnxRuntime(tiny_bundle), capacity=1)
    station = StationEmbedder(shared)
    station.step(walk[0])
    with pytest.raises(ConfigError, match="no seat left"):
        StationEmbedder(shared)
    fresh = StationEmbedder(OnnxRuntime(tiny_bundle)).step(walk[3])
    del station
    np.testing.assert_allclose(StationEmbedder(shared).step(walk[3]), fresh, atol=1e-5)
    shared.close()


def test_a_failing_runtime_fails_every_station_that_waits_and_none_hangs(tiny_bundle, walk) -> None:
    class Broken(OnnxRuntime):
        def lanes(self, batch: int = 1):
            lanes = super().lanes(batch)
            lanes.step = lambda keypoints, active=None: (_ for _ in ()).throw(RuntimeError("the GPU fell off the bus"))
            return lanes

    shared = SharedRuntime(Broken(tiny_bundle), capacity=2)
    broken = StationEmbedder(shared)
    with pytest.raises(RuntimeError, match="fell off the bus"):
        broken.step(walk[0])
    saved = StationEmbedder(shared, fallback=lambda: OnnxRuntime(tiny_bundle))
    assert np.linalg.norm(saved.step(walk[0])) == pytest.approx(1, abs=1e-5)
    shared.close()
    with pytest.raises(RuntimeError, match="closed"):
        broken.step(walk[0])
