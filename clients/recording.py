"""What `lockstep record` and `lockstep replay` do."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from clients.running import follow
from clients.watch import View
from engine import recording
from engine.config import BusConfig, HealthConfig, StationConfig, StoreConfig
from engine.errors import ConfigError, DataError
from engine.logs import log_to_stderr
from engine.messages import Event, Hello, State
from engine.opening import open_station
from engine.redact import redact
from engine.sources.base import Frame
from engine.sources.video_writer import VideoWriter


def record_station(config: StationConfig, output: Path, video: Path | None, *, headless: bool) -> None:
    """Run a station to its end and keep what it saw and said. Raises a LockstepError for what does not fit."""
    if video is not None and config.privacy:
        raise ConfigError("privacy mode keeps no pictures", found=f"--video {video}", next_step="Leave --video out.")
    log_to_stderr(json_lines=config.health.json_logs, level=logging.WARNING)
    console, view, poses = Console(), View(), _Tap()
    with ExitStack() as closing:
        station = closing.enter_context(open_station(config, [poses, view], tap=poses.pose))
        source = station.source
        head = recording.Head(
            config.station,
            station.aligner.reference.info.layout,
            (int(source.size[0]), int(source.size[1])),
            source.fps,
            redact(source.name),
            time.time(),
        )
        poses.recorder = recording.Recorder(output, head)
        closing.callback(poses.recorder.close)
        if video is not None:
            poses.video = closing.enter_context(VideoWriter(video, source.fps, head.size))
        follow(station, console, None if headless else view)
    if poses.recorder.trouble:
        raise DataError(f"{output} is incomplete", found=poses.recorder.trouble, next_step="Free its disk.")
    console.print(f"written: {output}", highlight=False, soft_wrap=True)


class _Tap:
    """Passes all that a station says and sees to the recorder, once there is one."""

    recorder: recording.Recorder | None = None
    video: VideoWriter | None = None

    def pose(self, frame: Frame, pose: NDArray[np.float32]) -> None:
        if self.recorder is not None:
            self.recorder.pose(frame, pose)
        if self.video is not None and frame.image is not None:
            self.video.write_at(frame.time_s, frame.image)

    def hello(self, hello: Hello) -> None:
        if self.recorder is not None:
            self.recorder.hello(hello)

    def state(self, state: State, frame: Frame | None = None) -> None:
        if self.recorder is not None:
            self.recorder.state(state)

    def event(self, event: Event) -> None:
        if self.recorder is not None:
            self.recorder.event(event)


class _Collected:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def hello(self, hello: Hello) -> None:
        """Known already."""

    def state(self, state: State, frame: Frame | None = None) -> None:
        """Only events are compared."""

    def event(self, event: Event) -> None:
        self.events.append(event)


def replay(path: Path, config: StationConfig, speed: float | None, *, publish: bool, headless: bool) -> bool:
    """True if the events are those that were recorded (times of the wall clock and numbers apart)."""
    if speed is not None and not 0 < speed < 1e6:
        raise ConfigError("impossible --speed", expected="a positive number", found=str(speed))
    if not publish:  # the station itself may be running: its addresses are its own
        nowhere = {"bus": BusConfig(publish=None, requests=None), "health": HealthConfig()}
        config = config.model_copy(update=nowhere)
    config = config.model_copy(update={"store": StoreConfig(url="sqlite://")})
    source = recording.Replay(path, speed)
    recorded = [_essence(event) for event in recording.events(path)]
    console, view, collected = Console(), View(), _Collected()
    with open_station(config, [collected, view], source=source) as station:
        follow(station, console, None if headless else view)
    found = [_essence(event) for event in collected.events]
    same = found == recorded
    console.print(
        f"{path.name}: {len(found)} events, {'as recorded' if same else f'{len(recorded)} were recorded'}",
        highlight=False,
    )
    if not same:
        differing = next(
            (i for i, pair in enumerate(zip(found, recorded, strict=False)) if pair[0] != pair[1]),
            min(len(found), len(recorded)),
        )
        for label, events in (("recorded", recorded), ("replayed", found)):
            console.print(
                f"  first difference, {label}: {events[differing] if differing < len(events) else 'nothing'}",
                highlight=False,
            )
    return same


def _essence(event: Event) -> tuple[object, ...]:
    return (
        event.event,
        event.time_s,
        event.cycle,
        event.phase,
        event.confidence,
        event.noticed_s,
        sorted(event.details.items()),
    )
