"""One runtime for many stations: the poses of a tick are gathered into one batch.

    station A ─pose─┐
    station B ─pose─┼─ gathered for at most `wait_s` ─► one step ─► each its own embedding
    station C ─pose─┘

Every seat has at most one pose waiting and everything that waits goes into the next batch, so it is fair; a batch starts
when all stations that work at present have handed in theirs, or `wait_s` after the first, so no station delays another
by more than that.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays, StepRuntime
from engine.errors import ConfigError

WAIT_S = 0.002
"""Far below a tick (50 ms at 20 Hz), far above the spread of a thread's waking."""
AT_WORK_S = 1.0
"""A station that handed in nothing for so long is not waited for."""


class SharedRuntime:
    """A runtime whose lanes are seats at one batch of `capacity`; use as any other, from as many threads as stations."""

    def __init__(self, runtime: StepRuntime, capacity: int, wait_s: float = WAIT_S) -> None:
        self.bundle: Bundle = runtime.bundle
        self.name = f"{runtime.name}, {capacity} stations in one batch"
        self.precision = runtime.precision
        self.batches = 0
        """Steps run so far."""
        self._wait_s = wait_s
        self._lanes = runtime.lanes(capacity)
        self._using_lanes = threading.Lock()
        self._changed = threading.Condition()
        self._free = list(range(capacity))
        self._waiting: dict[int, _Request] = {}
        self._last_s: dict[int, float] = {}
        self._closed = False
        self._keypoints: NDArray[np.float32] | None = None
        self._worker = threading.Thread(target=self._serve, name="lockstep-batches", daemon=True)
        self._worker.start()

    def lanes(self, batch: int = 1) -> Seat:
        """A seat for one station. Raises ConfigError if all are taken."""
        with self._changed:
            if batch != 1 or not self._free:
                raise ConfigError(
                    "no seat left for another station",
                    expected=f"at most {self._lanes.batch} stations, one seat each",
                    next_step="Open the shared runtime with a larger capacity.",
                )
            lane = self._free.pop(0)
        return Seat(self, lane)

    def close(self) -> None:
        """Ends the worker; poses that still wait get an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join()

    def submit(self, lane: int, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keypoints (K, 3) of one lane → its embedding (D,), when the batch is done. Raises what the runtime raises."""
        request = _Request(keypoints)
        with self._changed:
            if self._closed:
                raise RuntimeError("the shared runtime is closed")
            self._waiting[lane] = request
            self._last_s[lane] = time.monotonic()
            self._changed.notify_all()
        request.done.wait()
        if request.error is not None:
            raise request.error
        assert request.embedding is not None
        return request.embedding

    def _serve(self) -> None:
        while batch := self._gather():
            try:
                if self._keypoints is None:
                    shape = next(iter(batch.values())).keypoints.shape
                    self._keypoints = np.zeros((self._lanes.batch, *shape), np.float32)
                active = np.zeros(self._lanes.batch, bool)
                for lane, request in batch.items():
                    self._keypoints[lane] = request.keypoints
                    active[lane] = True
                with self._using_lanes:
                    embeddings = self._lanes.step(self._keypoints, active)
                self.batches += 1
                for lane, request in batch.items():
                    request.embedding = embeddings[lane]
            except Exception as error:  # every station decides for itself what to do about it
                for request in batch.values():
                    request.error = error
            for request in batch.values():
                request.done.set()

    def _gather(self) -> dict[int, _Request]:
        """The next batch; empty when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            until_s = time.monotonic() + self._wait_s
            while not self._closed and not self._complete() and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            batch, self._waiting = self._waiting, {}
        if self._closed:
            for request in batch.values():
                request.error = RuntimeError("the shared runtime is closed")
                request.done.set()
            return {}
        return batch

    def _complete(self) -> bool:
        now_s = time.monotonic()
        return all(lane in self._waiting for lane, last_s in self._last_s.items() if now_s - last_s < AT_WORK_S)

    def release(self, lane: int) -> None:
        with self._changed:
            self._last_s.pop(lane, None)
            self._free.append(lane)
            self._changed.notify_all()

    def reset(self, lane: int) -> None:
        with self._using_lanes:
            self._lanes.reset(lane)

    def state(self, lane: int) -> Arrays:
        with self._using_lanes:
            return self._lanes.state(lane)

    def restore(self, lane: int, state: Arrays) -> None:
        with self._using_lanes:
            self._lanes.restore(lane, state)


class Seat:
    """One station's place in the batch, as lanes of one. Given back when it is no longer referred to."""

    batch = 1

    def __init__(self, shared: SharedRuntime, lane: int) -> None:
        self._shared, self._lane = shared, lane
        shared.reset(lane)

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        if active is not None and not active[0]:
            return np.zeros((1, self._shared.bundle.info.embedding_dim), np.float32)
        return self._shared.submit(self._lane, keypoints[0])[None]

    def reset(self, lane: int) -> None:
        self._shared.reset(self._lane)

    def state(self, lane: int) -> Arrays:
        return self._shared.state(self._lane)

    def restore(self, lane: int, state: Arrays) -> None:
        self._shared.restore(self._lane, state)

    def __del__(self) -> None:
        self._shared.release(self._lane)


class _Request:
    def __init__(self, keypoints: NDArray[np.float32]) -> None:
        self.keypoints = np.array(keypoints, np.float32)
        self.embedding: NDArray[np.float32] | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
