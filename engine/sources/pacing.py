"""A recording played as if it were live: every frame when it is due, by the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from engine.sources.base import Frame, Source

LATE_S = 0.4
"""A player that is later than this goes on where a camera would be by now, like a camera nobody had time to read."""
BEAT_S = 0.2
"""How long a player that waits for a frame says nothing."""


class Seekable(Protocol):
    """A recording that can be read from any time on."""

    def frames(self, start_s: float = 0.0) -> Iterator[Frame]: ...


def in_real_time(recording: Seekable, epoch_s: float) -> Iterator[Frame]:
    """Frames when they are due; `epoch_s` is the monotonic time of stream time 0 and may lie in the past."""
    frames = recording.frames(max(0.0, time.monotonic() - epoch_s))
    while (frame := next(frames, None)) is not None:
        yield _when_due(frame, epoch_s, lambda: None)
        late_s = time.monotonic() - epoch_s - frame.time_s
        if late_s > LATE_S:
            frames = recording.frames(frame.time_s + late_s)


def _when_due(frame: Frame, epoch_s: float, beat: Callable[[], None]) -> Frame:
    while (wait_s := epoch_s + frame.time_s - time.monotonic()) > 0:
        beat()
        time.sleep(min(wait_s, BEAT_S))
    return replace(frame, captured_monotonic_s=time.monotonic())


class Paced:
    """A recording as a live source within this process: frames that are overdue when asked for are dropped and counted.

    For recorded poses, which no driver can hang and which cost nothing to read. `beat` is called while it waits for a frame
    to be due, four times a second at least.
    """

    live = True

    def __init__(self, source: Source, epoch_s: float | None = None, beat: Callable[[], None] = lambda: None) -> None:
        self._source, self._epoch_s, self._beat = source, epoch_s, beat
        self.name, self.fps, self.size, self.layout = source.name, source.fps, source.size, source.layout
        self.duration_s = source.duration_s
        self.dropped = 0

    def __iter__(self) -> Iterator[Frame]:
        epoch_s = time.monotonic() if self._epoch_s is None else self._epoch_s
        waiting: Frame | None = None
        for frame in self._source:
            # The frame before is overdue once this one is due: then it is dropped.
            if waiting is not None:
                if epoch_s + frame.time_s <= time.monotonic():
                    self.dropped += 1
                else:
                    yield _when_due(waiting, epoch_s, self._beat)
            waiting = frame
        if waiting is not None:
            yield _when_due(waiting, epoch_s, self._beat)

    def close(self) -> None:
        self._source.close()
