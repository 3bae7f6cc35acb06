"""The capture stage: the source's frames to the pose stage; live and on one machine through shared memory."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, closing

import cv2  # noqa: F401  (slow to import: before the stage's turn)
import msgspec
import numpy as np

from engine.config import StationConfig
from engine.links.items import Item
from engine.links.outlet import Outlet
from engine.shared_frames import SharedFrames
from engine.stages.frames import Array, Frames, Live, Payload, Recording, relay
from engine.stages.wiring import Beat, Run, access, address, recording_stream, supervised

RECORDED_FRAMES = 8
"""Kept for the pose stage; it can ask for earlier ones, so there need not be many."""


def prepare(config: StationConfig) -> Run:
    def run(beat: Beat) -> None:
        where, recording = address(config, "frames"), recording_stream(config)
        with ExitStack() as stack:
            memory = None
            if recording is None and where.startswith("ipc:"):
                memory = SharedFrames.create(config.station)
            if memory is not None:
                stack.callback(memory.remove)
            keep = 1 if recording is None else RECORDED_FRAMES
            outlet = Outlet(where, keep, access(config), recording=recording, stay=supervised())
            stack.enter_context(closing(outlet))
            frames = stack.enter_context(closing(captured(config, beat, memory.name if memory else None)))

            def pass_on(item: Item, array: Array | None) -> tuple[Item, Payload]:
                if array is None:
                    return item, b""
                if memory is not None and not item.layout:
                    memory.write(item, array)
                    return msgspec.structs.replace(item, shared=True), b""
                return item, np.ascontiguousarray(array).data.cast("B")

            relay(frames, outlet, pass_on, beat)

    return run


def captured(config: StationConfig, beat: Beat, stream: str | None = None) -> Frames:
    """The configured source; `stream` is the name of a live one. Raises SourceError."""
    recording = recording_stream(config)
    if recording is not None:
        return Recording(config.source.open, recording, beat)
    return Live(config.source.open, stream or uuid.uuid4().hex[:12])
