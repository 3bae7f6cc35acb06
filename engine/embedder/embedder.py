"""One station's embedder: pose in pixels → crop → step graph → embedding. Its memory is the crop and one lane of caches."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays, Lanes, StepRuntime
from engine.errors import BundleError
from models import skeleton
from models.causal_crop import CausalCrop

log = logging.getLogger("lockstep.embedder")

_CROP_MEMORY = 60
"""Poses beyond the window that a new model is shown, so that its crop has settled when its window begins."""
_CATCH_UP = 2
"""Poses that a tick may wait for while models are exchanged."""


class StationEmbedder:
    """Follows one stream. Its model can be exchanged while it runs: see `swap`.

    `fallback` opens another runtime of the same bundle; it takes over, with the tick in hand, from a runtime that fails
    or gives values that are not numbers (half precision can overflow).
    """

    def __init__(self, runtime: StepRuntime, fallback: Callable[[], StepRuntime] | None = None) -> None:
        self._fallback = fallback
        self._lock = threading.Lock()
        self._install(runtime, runtime.lanes(1), _crop_of(runtime.bundle))
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=self.bundle.info.window + _CROP_MEMORY)
        self._pushed = 0  # poses since the last jump
        self._jumps = 0  # resets and restores, after which what was shown to a successor is worth nothing

    def _install(self, runtime: StepRuntime, lanes: Lanes, crop: CausalCrop) -> None:
        self.runtime, self._lanes, self._crop = runtime, lanes, crop
        self.bundle: Bundle = runtime.bundle

    def reset(self) -> None:
        with self._lock:
            self._crop.reset()
            self._lanes.reset(0)
            self._jump([])

    def step(self, pose: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pose (K, 3) in pixels, any value that is not a number counts as not seen → embedding (D,), unit length."""
        pose = skeleton.clean(pose)
        with self._lock:
            self._recent.append(pose)
            self._pushed += 1
            keypoints = self._crop.step(pose)[None]
            if self._fallback is None:
                return self._lanes.step(keypoints)[0]
            try:
                embedding = self._lanes.step(keypoints)[0]
                if np.isfinite(embedding).all():
                    return embedding
                problem = "it gave values that are not numbers"
            except Exception as error:  # drivers fail in many ways, and none of them may stop a station
                problem = str(error)
            return self._fall_back(keypoints, problem)

    def _fall_back(self, keypoints: NDArray[np.float32], problem: str) -> NDArray[np.float32]:
        """The tick in hand from another runtime, whose caches are filled from the poses of the last window."""
        assert self._fallback is not None
        failed, runtime = self.runtime.name, self._fallback()
        log.error("%s failed: %s; %s goes on", failed, problem, runtime.name)
        lanes = runtime.lanes(1)
        _show(list(self._recent)[:-1], _crop_of(runtime.bundle), lanes)
        self._install(runtime, lanes, self._crop)
        self._fallback = None
        return lanes.step(keypoints)[0]

    def state(self) -> Arrays:
        with self._lock:
            recent = np.stack(self._recent) if self._recent else np.zeros((0, 0, 3), np.float32)
            caches = {f"cache/{name}": array for name, array in self._lanes.state(0).items()}
            return {"crop": np.asarray(self._crop.state()), "recent": recent, **caches}

    def restore(self, state: Arrays) -> None:
        """Raises BundleError if the state belongs to another bundle's graph."""
        caches = {name.removeprefix("cache/"): a for name, a in state.items() if name.startswith("cache/")}
        wanted = {tensor.name: tensor.shape for tensor in self.bundle.info.state}
        if {name: array.shape for name, array in caches.items()} != wanted:
            raise BundleError(
                f"the saved state is not of bundle {self.bundle.info.name}",
                expected=", ".join(f"{name} {shape}" for name, shape in wanted.items()),
                found=", ".join(f"{name} {array.shape}" for name, array in caches.items()) or "no caches",
                next_step="Start the station anew.",
            )
        with self._lock:
            self._crop.restore(state["crop"])
            self._lanes.restore(0, caches)
            self._jump(state["recent"])

    def _jump(self, recent: Iterable[NDArray[np.float32]]) -> None:
        self._recent.clear()
        self._recent.extend(recent)
        self._pushed = len(self._recent)
        self._jumps += 1

    def swap(self, runtime: StepRuntime) -> None:
        """Goes on with another runtime from the next tick. Call it from another thread than `step`: no tick is lost.

        Same bundle (a TensorRT engine is ready at last): the caches move over and the embeddings go on as they were.
        Another bundle of the same layout and rate: the new model is first shown the poses of the last window.
        Raises BundleError if the new bundle cannot follow this stream.
        """
        lanes, crop = runtime.lanes(1), _crop_of(runtime.bundle)
        old, new = self.bundle.info, runtime.bundle.info
        if runtime.bundle.sha256 == self.bundle.sha256:
            with self._lock:
                lanes.restore(0, self._lanes.state(0))
                self._install(runtime, lanes, self._crop)
            return
        if (old.layout, old.rate_hz) != (new.layout, new.rate_hz):
            raise BundleError(
                f"bundle {new.name} cannot take over from {old.name} while it runs",
                expected=f"layout {old.layout} at {old.rate_hz:g} Hz",
                found=f"layout {new.layout} at {new.rate_hz:g} Hz",
                next_step="Stop the station and start it with the other bundle.",
            )
        shown, jumps = 0, self._jumps
        while True:
            with self._lock:
                if self._jumps != jumps:
                    shown, jumps = 0, self._jumps
                    lanes.reset(0)
                    crop.reset()
                missed = list(self._recent)[-(self._pushed - shown) :] if self._pushed > shown else []
                shown = self._pushed
                if len(missed) <= _CATCH_UP:
                    _show(missed, crop, lanes)
                    self._install(runtime, lanes, crop)
                    self._recent = deque(self._recent, maxlen=new.window + _CROP_MEMORY)
                    return
            _show(missed, crop, lanes)


def _show(poses: Iterable[NDArray[np.float32]], crop: CausalCrop, lanes: Lanes) -> None:
    for pose in poses:
        lanes.step(crop.step(pose)[None])


def _crop_of(bundle: Bundle) -> CausalCrop:
    if not bundle.info.live:
        raise BundleError(
            f"bundle {bundle.info.name} cannot follow a stream",
            expected="crop policy causal",
            found=f"crop policy {bundle.info.crop['policy']}",
            next_step="Leave --bundle out to use the shipped one; this one serves `lockstep align` and `lockstep evaluate offline`.",
        )
    return CausalCrop(bundle.info.layout, **{k: v for k, v in bundle.info.crop.items() if k != "policy"})
