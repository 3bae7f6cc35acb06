"""A live source: capture in its own process, the newest frame wins, and whatever is lost comes back.

capture process ─frame→ shared memory ─newest→ LiveSource ─Frame→ station
                ─bell (one byte per frame), JSON lines→
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from engine.errors import SourceError
from engine.sources.backoff import Backoff
from engine.sources.base import Frame, StreamNotice
from engine.sources.capture_child import CaptureChild
from engine.sources.frame_memory import Captured
from engine.sources.opening import is_live
from engine.sources.rendered.options import parse_options, station_params
from engine.sources.rendered.parameters import StationParams
from engine.sources.rendered.performance import TruthByFrame
from engine.sources.watch import StreamWatch

STALL_S = 1.5
"""Without a frame for this long a stream is lost: its process is killed and started again."""
OPEN_S = 20.0
"""Without a first frame for this long after the start likewise: a driver may hang while it opens."""
_HEARTBEAT_S = 0.25
"""While a stream is lost, an empty frame this often."""


class LiveSource:
    """A `Source` (see engine.sources.base) under the policy `freshest`.

        for frame in LiveSource("rtsp://user:secret@camera/1"):
            if frame.notice:
                print(frame.notice.kind, frame.notice.reason)

    Raises SourceError where the source cannot be opened the first time. After that it never raises: a camera that is
    unplugged, a server that restarts or a driver that hangs gives a `stream_lost` notice within 2 s, empty frames
    meanwhile, and `stream_back`. Iteration ends at the end of a recording, or after `close`; a recording begins with the iteration.

    `epoch_s`: monotonic time of stream time 0, where another process began the stream. `memory`: a file in memory where
    other processes find the pictures by their index (`FrameReader.at`); frames then carry views into it, not copies.
    `beat` is called while it waits for a frame, four times a second at least.
    """

    live = True
    layout = None
    duration_s = None

    def __init__(
        self,
        spec: str | StationParams,
        epoch_s: float | None = None,
        memory: int | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        if isinstance(spec, str) and spec.startswith("synth:"):
            spec = station_params(parse_options(spec.removeprefix("synth:")))
        self._order: dict[str, Any]
        self._truth: TruthByFrame | None
        if isinstance(spec, StationParams):
            self._order, self._truth, self._recording = {"params": spec.as_json()}, TruthByFrame(spec), True
        else:
            self._order, self._truth, self._recording = {"spec": spec}, None, not is_live(spec)
        self.dropped = 0
        self.restarts = 0
        self._epoch_s, self._memory, self._beat = epoch_s, memory, beat
        self._taking_over = epoch_s is not None
        """Frames before the first one were another process's: they were not dropped here."""
        self._next_index = 0
        """Of the frame that comes next if nothing is dropped."""
        self._closed = False
        self._child: CaptureChild | None = self._start()
        opened = self._child.wait_until_open(OPEN_S)
        if "opened" not in opened:
            self.close()
            raise SourceError(**opened["failed"])
        self.name, self.fps = str(opened["opened"]["name"]), float(opened["opened"]["fps"])
        width, height = opened["opened"]["size"]
        self.size = (int(width), int(height))

    @property
    def capture_pid(self) -> int | None:
        """Process id of the capture process; None while it is down."""
        return self._child.pid if self._child is not None else None

    def _start(self) -> CaptureChild:
        return CaptureChild({**self._order, "epoch_s": self._epoch_s, "first_index": self._next_index}, self._memory)

    def __iter__(self) -> Iterator[Frame]:
        watch = StreamWatch(self.fps, self.size, camera=not self._recording)
        backoff = Backoff()
        alive_s = time.monotonic()  # the last sign of life
        restart_at_s = 0.0
        beat_s = 0.0  # the last empty frame
        told_s = -1.0  # stream time of the last frame given: it never goes back
        if self._child is not None:
            self._child.play()
        while not self._closed:
            self._beat()
            captured = self._child.newest() if self._child is not None else None
            now_s = time.monotonic()
            if captured is not None:
                alive_s = captured.captured_s
                backoff.reset()
                frame = self._frame(captured)
                if frame.time_s <= told_s:  # taken just before an empty frame that was given for want of it
                    self.dropped += 1
                    continue
                told_s = frame.time_s
                notice = watch.frame(frame)
                self.size, self.fps = watch.size, watch.fps
                yield replace(frame, notice=notice, lost=watch.is_lost)
            elif self._child is None:
                if now_s >= restart_at_s:
                    self.restarts += 1
                    self._child, alive_s = self._start(), now_s
                    self._child.play()
                else:
                    time.sleep(min(_HEARTBEAT_S, restart_at_s - now_s))
            elif (over := self._over(self._child, now_s - alive_s)) is None:
                self._child.wait(_HEARTBEAT_S)
            elif over == "ended":
                return
            else:
                self._child.kill()
                self._child = None
                restart_at_s = now_s + backoff.next_s()
                notice = watch.lost(over, self._stream_s(alive_s))
                if notice is not None:
                    beat_s, told_s = now_s, max(told_s, self._stream_s(now_s))
                    yield self._empty(told_s, notice)
            if watch.is_silent and time.monotonic() - beat_s >= _HEARTBEAT_S:
                beat_s = time.monotonic()
                told_s = max(told_s, self._stream_s(beat_s))
                yield self._empty(told_s, None)

    def _over(self, child: CaptureChild, silent_s: float) -> str | None:
        """`ended`, or why the stream counts as lost; None while all is well."""
        said = child.said()
        if said is not None:
            return "ended" if "ended" in said else str(said["failed"]["problem"])
        patience_s = max(STALL_S, 3 / self.fps) if child.delivering else OPEN_S
        return f"no frame for {silent_s:.1f} s" if silent_s > patience_s else None

    def _stream_s(self, monotonic_s: float) -> float:
        return 0.0 if self._epoch_s is None else max(0.0, monotonic_s - self._epoch_s)

    def _frame(self, captured: Captured) -> Frame:
        index = captured.index
        if self._taking_over:
            self._next_index, self._taking_over = index, False
        if self._epoch_s is None:
            self._epoch_s = captured.captured_s - captured.time_s
        self.dropped += index - self._next_index
        self._next_index = index + 1
        truth = self._truth[index] if self._truth is not None else None
        return Frame(index, captured.time_s, captured.image, None, captured.captured_s, truth)

    def _empty(self, time_s: float, notice: StreamNotice | None) -> Frame:
        return Frame(max(0, self._next_index - 1), time_s, None, None, time.monotonic(), None, notice, lost=True)

    def close(self) -> None:
        """Ends the capture process and the iteration. Safe to call twice."""
        self._closed = True
        child, self._child = self._child, None
        if child is not None:
            child.kill()
