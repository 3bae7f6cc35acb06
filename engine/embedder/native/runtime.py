"""The compiled step as a runtime: weights once, and lanes whose memory is rings that nothing is ever shifted in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays
from engine.embedder.native.compiling import forget, mark
from engine.embedder.native.products import LANES, ROWS, STRIP, padded
from engine.embedder.native.weights import Weights, load_weights
from engine.errors import EngineBuildError
from models import skeleton


class NativeRuntime:
    """Compiles on first use (ten seconds; kept on disk: see `compiling`).

    Raises EngineBuildError: a network that it does not run, weights that are not its own, no compiler, nowhere to write.
    """

    precision = "fp32"

    def __init__(self, bundle: Bundle) -> None:
        import numba
        from llvmlite import binding

        self.bundle = bundle
        self.weights = load_weights(bundle)
        self.name = f"native (numba {numba.__version__}, {binding.get_host_cpu_name()})"
        compiled = mark()
        try:
            lanes = self.lanes(1)
            lanes.step(np.zeros(lanes.keypoints_shape, np.float32))
        except Exception as error:  # a processor that LLVM does not know, a full disk, damaged code on disk, …
            forget()
            raise EngineBuildError(
                "Numba could not compile the step on this machine",
                found=(str(error).strip().splitlines() or [type(error).__name__])[0][:300],
                next_step="Try again, or use the onnxruntime runtime.",
            ) from error
        with suppress(OSError):  # then the next start compiles again
            compiled.touch()
        kept = {name: array.shape for name, array in lanes.state(0).items()}
        described = {tensor.name: tensor.shape for tensor in bundle.info.state}
        if kept != described:
            raise EngineBuildError(
                f"the network of bundle {bundle.info.name} is not the one that its state belongs to",
                expected=str(kept),
                found=str(described),
                next_step="Use the onnxruntime runtime, or export the bundle again.",
            )

    def lanes(self, batch: int = 1) -> NativeLanes:
        return NativeLanes(self, batch)


class NativeLanes:
    """Rings of `batch` streams: heatmaps of the last ticks, and per layer keys and values of the last W."""

    def __init__(self, runtime: NativeRuntime, batch: int) -> None:
        from engine.embedder.native.step import step

        self.batch, self._step = batch, step
        self.keypoints_shape = (batch, skeleton.layout(runtime.bundle.info.layout).size, 3)
        w = self._weights = runtime.weights
        self._channels, self._patches = len(w.starts), len(w.places)
        self._memory = int(w.delays.max(initial=0))
        layers, slots, columns = len(w.temporal[0]), self._memory + 1, padded(w.grid)
        self._maps = np.zeros((batch, slots, self._channels, w.grid, columns), np.float32)
        self._spans = np.zeros((batch, slots, self._channels, w.grid, 2), np.int64)
        self._bands = np.zeros((batch, slots, self._channels, 2), np.int64)
        self._is_drawn = np.zeros((batch, slots, self._channels), np.float32)
        self._keys = np.zeros((batch, layers, w.width, padded(w.window)), np.float32)
        self._values = np.zeros((batch, layers, w.window + 1, padded(w.width)), np.float32)
        self._clock = np.zeros((batch, 2), np.int64)
        self._embeddings = np.zeros((batch, w.embedding_dim), np.float32)
        self._all = np.arange(batch)
        self._sizes = w.width, w.heads, w.hidden, w.window, w.patch, w.embedding_dim
        self._fixed = (
            self._sizes, w.delays, (w.starts, w.ends), w.scale,
            (w.embed, w.places, w.by_slot, *w.token, *w.feature, *w.centre, *w.head), w.spatial, w.temporal,
            (self._maps, self._spans, self._bands, self._is_drawn, self._keys, self._values), self._clock, _scratch(w, batch),
        )  # fmt: skip

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        if keypoints.shape != self.keypoints_shape:  # machine code does not ask
            raise ValueError(f"expected keypoints {self.keypoints_shape}, found {keypoints.shape}")
        lanes = self._all if active is None else np.flatnonzero(active)
        self._step(np.ascontiguousarray(keypoints, np.float32), lanes, *self._fixed, self._embeddings)
        return self._embeddings.copy()

    def reset(self, lane: int) -> None:
        for array in (self._maps, self._spans, self._bands, self._is_drawn, self._keys, self._values, self._clock):
            array[lane] = 0

    def state(self, lane: int) -> Arrays:
        w, heads = self._weights, self._weights.heads
        ticks, seen = self._clock[lane]
        past = np.arange(w.window - 1, 0, -1)  # ticks ago, oldest first
        state: Arrays = {"valid": (past <= seen).astype(np.float32)}
        if self._memory:
            slots = (ticks - np.arange(self._memory, 0, -1)) % (self._memory + 1)
            is_row = self._spans[lane, slots, ..., :1] < self._spans[lane, slots, ..., 1:]
            maps = np.where(is_row, self._maps[lane, slots], 0)[..., : w.grid]
            side = w.grid // w.patch
            maps = maps.reshape(self._memory, self._channels, side, w.patch, side, w.patch).transpose(0, 2, 4, 1, 3, 5)
            state["drawn"] = maps.reshape(self._memory, self._patches, -1)
            state["is_drawn"] = self._is_drawn[lane, slots]
        slots = (ticks - past) % w.window
        for layer in range(self._keys.shape[1]):
            keys, values = self._keys[lane, layer][:, slots].T, self._values[lane, layer][slots, : w.width]
            for name, array in (("keys", keys), ("values", values)):
                state[f"{name}_{layer}"] = array.reshape(len(past), heads, -1).swapaxes(0, 1).copy()
        return state

    def restore(self, lane: int, state: Arrays) -> None:
        w = self._weights
        self.reset(lane)
        past = np.arange(w.window - 1, 0, -1)
        self._clock[lane] = 0, int(np.asarray(state["valid"]).sum())
        if self._memory:
            slots = -np.arange(self._memory, 0, -1) % (self._memory + 1)
            side = w.grid // w.patch
            drawn = np.asarray(state["drawn"]).reshape(self._memory, side, side, self._channels, w.patch, w.patch)
            drawn = drawn.transpose(0, 3, 1, 4, 2, 5).reshape(self._memory, self._channels, w.grid, w.grid)
            self._maps[lane, slots, ..., : w.grid] = drawn
            self._spans[lane, slots, ..., 1] = self._bands[lane, slots, ..., 1] = w.grid
            self._is_drawn[lane, slots] = state["is_drawn"]
        slots = -past % w.window
        for layer in range(self._keys.shape[1]):
            keys, values = (
                np.asarray(state[f"{name}_{layer}"]).swapaxes(0, 1).reshape(len(past), w.width)
                for name in ("keys", "values")
            )
            self._keys[lane, layer][:, slots] = keys.T
            self._values[lane, layer][slots, : w.width] = values


def _scratch(w: Weights, batch: int) -> tuple[Any, ...]:
    """Flat buffers, in the order in which the step takes them. Tiles may hang over the last row."""
    patches = len(w.places)
    rows, stride = batch * patches + ROWS, padded(w.width) + LANES
    scores = max((w.heads * patches + ROWS) * padded(patches), w.heads * padded(w.window))
    shapes = {
        "x": rows * stride,
        "token": (batch + ROWS) * stride,
        "added": rows * stride,
        "normed": rows * stride,
        "qkv": rows * (padded(3 * w.width) + LANES),
        "mixed": rows * stride,
        "up": rows * padded(w.hidden),
        "turned": w.width // w.heads * padded(patches),
        "scores": scores,
    }
    bias = np.zeros((batch, w.heads, padded(w.window)), np.float32)
    flat = np.zeros((batch + ROWS) * padded(w.embedding_dim), np.float32)
    zeros = np.zeros(max(STRIP, padded(w.width), padded(patches)), np.float32)
    moved = np.zeros((w.grid, padded(w.grid)), np.float32), np.zeros((w.grid, 2), np.int64)
    return (*(np.zeros(size, np.float32) for size in shapes.values()), moved, bias, zeros, flat)
