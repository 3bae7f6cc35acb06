"""The capture stage: the source's frames to the pose stage; live and on one machine through shared memory."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, closing

import cv2  # noqa: F401  (slow to import: before the stage's turn)
import numpy as np

from engine.config import StationConfig
from engine.links.items import Item
from engine.links.outlet import Outlet
from engine.shared_frames import SharedFrames
from engine.sources.opening import is_live, open_reader
from engine.stages.frames import Array, Frames, Live, Payload, Recording, relay
from engine.stages.wiring import Beat, Run, access, address, recording_stream, supervised

RECORDED_FRAMES = 8
"""Kept for the pose stage; it can ask for earlier ones, so there need not be many."""


def prepare(config: StationConfig) -> Run:
    check_source(config)

    def run(beat: Beat) -> None:
        where, recording = address(config, "frames"), recording_stream(config)
        with ExitStack() as stack:
            memory = None
            if recording is None and where.startswith("ipc:"):
                memory = SharedFrames.create(config.station)
            if memory is not None:
                stack.callback(memory.close)
                stack.callback(memory.remove)
            # Live, a frame is taken from the camera only when the last one was taken from here: what the camera has to
            # tell of itself (lost, back) goes with a frame, and no frame that is on its way may be dropped.
            keep, lead = (1, 0) if recording is None else (RECORDED_FRAMES, None)
            outlet = Outlet(where, keep, access(config), recording=recording, lead=lead, stay=supervised())
            stack.enter_context(closing(outlet))
            frames = stack.enter_context(closing(captured(config, beat, memory)))

            def pass_on(item: Item, array: Array | None) -> tuple[Item, Payload]:
                elsewhere = array is None or item.picture is not None
                return item, b"" if elsewhere else np.ascontiguousarray(array).data.cast("B")

            relay(frames, outlet, pass_on, beat)

    return run


def check_source(config: StationConfig) -> None:
    """Raises SourceError for a recording that cannot be read. A camera may come later; a file that is not there will not."""
    if not is_live(config.source.open):
        open_reader(config.source.open).close()


def captured(config: StationConfig, beat: Beat, memory: SharedFrames | None = None) -> Frames:
    """The configured source; pictures of a live one go into `memory`, which then names its stream. Raises SourceError."""
    recording = recording_stream(config)
    if recording is not None:
        return Recording(config.source.open, recording, beat)
    if memory is None:
        return Live(config.source.open, uuid.uuid4().hex[:12], beat)
    return Live(config.source.open, memory.name, beat, memory.descriptor)
