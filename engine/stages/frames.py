"""Where a stage has its frames from: a recording that can be read again, a live source, or the link from the capture stage.

Recording | Live | Received ─(Item, picture or pose)→ relay ─→ Outlet of this stage
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.config import StationConfig
from engine.links.inlet import Inlet
from engine.links.items import Item, Mark
from engine.links.outlet import Outlet
from engine.shared_frames import SharedFrames
from engine.sources.base import Frame, Source
from engine.sources.opening import open_source
from engine.stages.wiring import QUIET_S, Beat, address, epoch_s, keys, recording_stream

Array = NDArray[Any]
"""A picture (H, W, 3) uint8 BGR, or a recorded pose (K, 3) float32."""
Taken = tuple[Item, Array | None]
Payload = bytes | memoryview


class Frames(Protocol):
    def next(self, index: int) -> Taken | None:
        """The frame of that index if this is a recording, else the newest; an item with `end` after the last one.

        None if none came within 0.2 s.
        """
        ...

    def close(self) -> None: ...


def relay(
    frames: Frames, outlet: Outlet, pass_on: Callable[[Item, Array | None], tuple[Item, Payload]], beat: Beat
) -> None:
    """Frames to the outlet, in the order in which the next stage wants them, until their end has arrived there."""
    while (index := outlet.due(beat)) is not None:
        beat()
        taken = frames.next(index)
        if taken is not None:
            item, array = taken
            outlet.offer(*((item, b"") if item.end else pass_on(item, array)))


class Recording:
    """Every frame of a source, from any index on. Raises SourceError where it cannot be opened."""

    def __init__(self, spec: str, stream: str, beat: Beat) -> None:
        self._spec, self._stream, self._beat = spec, stream, beat
        self._open()

    def _open(self) -> None:
        self._source = open_source(self._spec, "every")
        self._frames, self._next = iter(self._source), 0

    def next(self, index: int) -> Taken:
        if index < self._next:
            self.close()
            self._open()
        while (frame := next(self._frames, None)) is not None:
            number, self._next = self._next, self._next + 1
            if number == index:
                return _taken(frame, self._source, self._stream, number)
            self._beat()
        return Item(self._stream, self._next, end=True), None

    def close(self) -> None:
        self._source.close()


class Live:
    """The newest frames of a source; with `memory` their pictures are there. Raises SourceError where it cannot be opened
    the first time.
    """

    def __init__(self, spec: str, stream: str, beat: Beat, memory: int | None = None) -> None:
        self._source, self._stream = open_source(spec, "freshest", epoch_s(), memory, beat), stream
        self._frames, self._count, self._shared = iter(self._source), 0, memory is not None

    def next(self, index: int) -> Taken:
        number, self._count = self._count, self._count + 1
        frame = next(self._frames, None)
        if frame is None:
            return Item(self._stream, number, end=True), None
        item, array = _taken(frame, self._source, self._stream, number)
        if self._shared and frame.image is not None:
            item = msgspec.structs.replace(item, picture=frame.index)
        return item, array

    def close(self) -> None:
        self._source.close()


class Received:
    """Frames of the capture stage, their pixels from shared memory or the message."""

    def __init__(self, config: StationConfig) -> None:
        self._recording = recording_stream(config)
        self._inlet = Inlet(
            address(config, "frames"), keys(config), contiguous=self._recording is not None, keeps_nothing=True
        )
        self._memory: SharedFrames | None = None

    def next(self, index: int) -> Taken | None:
        if self._recording is not None:
            self._inlet.seek(Mark(self._recording, index - 1))
        received = self._inlet.next(QUIET_S)
        if received is None:
            return None
        item, payload = received
        if item.end:
            self._inlet.acknowledge()
        item = msgspec.structs.replace(item, spent_ms=tuple(("to_pose", ms) for ms in self._inlet.age_ms))
        if item.picture is None:
            return item, array_of(item, payload)
        picture = self._picture(item.stream, item.picture)
        if picture is None and item.notice is None:
            return None  # a newer one has taken its place, or that capture stage has gone
        return item, picture

    def _picture(self, name: str, index: int) -> Array | None:
        if self._memory is None or self._memory.name != name:
            self._forget_memory()
            self._memory = SharedFrames.attach(name)
        return self._memory.picture(index) if self._memory is not None else None

    def _forget_memory(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def close(self) -> None:
        self._inlet.close()
        self._forget_memory()


def array_of(item: Item, payload: memoryview) -> Array | None:
    """The payload as the array the item says it is; None where it is not: a stranger's item does no harm."""
    dtype = np.dtype(np.float32 if item.layout else np.uint8)
    plausible = 2 <= len(item.shape) <= 3 and all(0 < n < 20_000 for n in item.shape)
    if not plausible or len(payload) != dtype.itemsize * int(np.prod(item.shape, dtype=np.int64)):
        return None
    return np.frombuffer(payload, dtype).reshape(item.shape)


def _taken(frame: Frame, source: Source, stream: str, number: int) -> Taken:
    array: Array | None = frame.image if frame.pose is None else frame.pose.astype(np.float32)
    notice = frame.notice
    item = Item(
        stream,
        number,
        time_s=frame.time_s,
        captured_s=frame.captured_monotonic_s,
        wall_s=time.time() - (time.monotonic() - frame.captured_monotonic_s),
        shape=() if array is None else array.shape,
        fps=source.fps,
        size=(int(source.size[0]), int(source.size[1])),
        dropped=source.dropped,
        layout=source.layout or "",
        notice=(notice.kind, notice.reason, notice.time_s) if notice else None,
        lost=frame.lost,
    )
    return item, array
