"""Caches of a batch of streams in the memory of a GPU: two sets that are read and written in turn, so nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Tensor
from engine.embedder.base import Arrays
from engine.embedder.cuda import Cuda
from engine.errors import EngineBuildError


class DeviceCaches:
    """`sets[now]` is read by the next tick, the other one written: addresses by name of tensor, zero at first."""

    def __init__(self, cuda: Cuda, tensors: Sequence[Tensor], batch: int, stream: int) -> None:
        self._cuda, self._stream = cuda, stream
        self.shapes = {tensor.name: tensor.shape for tensor in tensors}
        self._sizes = {name: 4 * int(np.prod(shape)) for name, shape in self.shapes.items()}
        self._owned: list[int] = []
        self.sets = [{name: self.allocate(batch * size) for name, size in self._sizes.items()} for _ in range(2)]
        self.now = 0

    def allocate(self, size: int) -> int:
        """Address of `size` zeroed bytes that are freed together with the caches."""
        self._owned.append(self._cuda.allocate(size))
        return self._owned[-1]

    def turn(self, active: NDArray[np.bool_] | None) -> None:
        """After a tick, and after all work on the stream: what was written is read next. Lanes at rest keep what they had."""
        before, after = self.sets[self.now], self.sets[1 - self.now]
        if active is not None:
            for lane in np.flatnonzero(~active).tolist():
                for name, size in self._sizes.items():
                    self._cuda.copy(after[name] + lane * size, before[name] + lane * size, size, self._stream)
        self._cuda.synchronize(self._stream)
        self.now = 1 - self.now

    def reset(self, lane: int) -> None:
        self.restore(lane, {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()})

    def state(self, lane: int) -> Arrays:
        self._cuda.use()
        out = {name: np.empty(shape, np.float32) for name, shape in self.shapes.items()}
        for name, array in out.items():
            self._cuda.to_host(array, self.sets[self.now][name] + lane * self._sizes[name], self._stream)
        self._cuda.synchronize(self._stream)
        return out

    def restore(self, lane: int, state: Arrays) -> None:
        self._cuda.use()
        arrays = {name: np.ascontiguousarray(state[name], np.float32) for name in self.shapes}
        for name, array in arrays.items():
            self._cuda.to_device(self.sets[self.now][name] + lane * self._sizes[name], array, self._stream)
        self._cuda.synchronize(self._stream)

    def __del__(self) -> None:
        for address in getattr(self, "_owned", ()):
            with suppress(EngineBuildError):  # at exit the driver goes first, and its memory with it
                self._cuda.free(address)
