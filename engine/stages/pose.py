"""The pose stage: the operator's pose in each frame to the align stage. In privacy mode it captures as well."""

from __future__ import annotations

import time
from contextlib import closing

import msgspec
import numpy as np

from engine.bundle import open_bundle
from engine.config import StationConfig
from engine.links.items import Item
from engine.links.outlet import Outlet
from engine.pose.locating import Locator
from engine.pose.opening import open_estimator
from engine.pose.selection import region
from engine.sources.base import Frame
from engine.stages.capture import captured, check_source
from engine.stages.frames import Array, Payload, Received, relay
from engine.stages.wiring import Beat, Run, access, address, recording_stream, supervised

POSES = 1024
"""Kept until the align stage has stored what follows from them: of a live stream half a minute at 30 fps."""
LEAD = 1
"""Poses of a live stream that may wait for the align stage: one, so that both work at the same time."""


def prepare(config: StationConfig) -> Run:
    if config.privacy:
        check_source(config)
    layout = open_bundle(config.bundle).info.layout
    area = region(config.pose.region) if config.pose.region is not None else None
    # A track brings its poses along: nothing to load.
    track = config.source.open.lower().endswith(".npz")
    estimator = None if track else open_estimator(config.pose.estimator, model=config.pose.model)
    estimating = None if estimator is None else Locator(estimator, layout=layout, area=area)
    if estimating is not None:
        estimating(Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8)))  # models load on their first picture
        estimating.reset()

    def run(beat: Beat) -> None:
        recording = recording_stream(config)
        where = address(config, "poses")
        locate, last = estimating, -1

        def pass_on(item: Item, array: Array | None) -> tuple[Item, Payload]:
            nonlocal locate, last
            if locate is None:
                locate = Locator(None, item.layout, layout, area)
            if recording is not None and item.index != last + 1:  # what a tracker remembers is of another place
                locate.reset()
            last = item.index
            started_s = time.perf_counter()
            image, pose = (None, array) if item.layout else (array, None)
            found = locate(Frame(item.index, item.time_s, image, pose))
            spent = (*item.spent_ms, ("pose", 1000 * (time.perf_counter() - started_s)))
            item = msgspec.structs.replace(item, shape=found.shape, layout=layout, picture=None, spent_ms=spent)
            return item, found.astype(np.float32).tobytes()

        with (
            closing(Outlet(where, POSES, access(config), recording=recording, lead=LEAD, stay=supervised())) as outlet,
            closing(captured(config, beat) if config.privacy else Received(config)) as frames,
        ):
            relay(frames, outlet, pass_on, beat)

    return run
