"""What a live stream's frames tell about the stream: lost, back, frozen, another size, another rate."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.sources.base import Frame, StreamNotice

FROZEN_S = 10.0
"""A camera's noise never repeats: pixels that do not change for this long come from a stuck encoder."""
_RATE_WINDOW_S = 3.0
_RATE_CHANGE = 0.25


def told_again(frames: Iterable[Frame], lost: bool) -> Iterator[Frame]:
    """Frames as they come, with the news of a loss or a return added where who had it died before telling.

    `lost`: what was told last, perhaps by another process.
    """
    for frame in frames:
        if frame.notice is None and frame.lost != lost:
            kind: Literal["stream_lost", "stream_back"] = "stream_lost" if frame.lost else "stream_back"
            frame = replace(frame, notice=StreamNotice(kind, "found so after a restart", frame.time_s))
        if frame.notice is None or frame.notice.kind != "stream_changed":
            lost = frame.lost
        yield frame


class StreamWatch:
    """Fed with every frame; says what changed, at most one thing per frame."""

    def __init__(self, fps: float, size: tuple[int, int], *, camera: bool) -> None:
        self.fps, self.size = fps, size
        self.is_silent = False
        """No frames come."""
        self._camera = camera
        """Pixels and rate are judged for cameras only: a recording may stand still, and is paced by us."""
        self._frozen = False
        self._print, self._changed_s = 0, 0.0
        self._window: tuple[int, float] | None = None
        self._suspected = False

    @property
    def is_lost(self) -> bool:
        """No frames come, or always the same one."""
        return self.is_silent or self._frozen

    def lost(self, reason: str, time_s: float) -> StreamNotice | None:
        """No frames any more, since `time_s`. None if that is known."""
        known, self.is_silent = self.is_lost, True
        self._window = None
        return None if known else StreamNotice("stream_lost", reason, time_s)

    def frame(self, frame: Frame) -> StreamNotice | None:
        """A frame has come."""
        if self.is_silent:
            self.is_silent = False
            self._changed_s, self._frozen = frame.time_s, False
            changed = self._measure_size(frame)
            reason = f"frames come again, {changed.reason}" if changed else "frames come again"
            return StreamNotice("stream_back", reason, frame.time_s)
        notice = self._measure_size(frame)
        if self._camera:
            notice = notice or self._measure_change(frame) or self._measure_rate(frame)
        return notice

    def _measure_size(self, frame: Frame) -> StreamNotice | None:
        if frame.image is None:
            return None
        before, now = self.size, (frame.image.shape[1], frame.image.shape[0])
        if now == before:
            return None
        self.size = now
        return StreamNotice(
            "stream_changed", f"resolution {before[0]}x{before[1]} is now {now[0]}x{now[1]}", frame.time_s
        )

    def _measure_change(self, frame: Frame) -> StreamNotice | None:
        if frame.image is None:
            return None
        fingerprint = _fingerprint(frame.image)
        if fingerprint != self._print:
            self._print, self._changed_s = fingerprint, frame.time_s
            if self._frozen:
                self._frozen = False
                return StreamNotice("stream_back", "the picture moves again", frame.time_s)
        elif not self._frozen and frame.time_s - self._changed_s > FROZEN_S:
            self._frozen = True
            return StreamNotice("stream_lost", f"the same picture for {FROZEN_S:.0f} s", self._changed_s)
        return None

    def _measure_rate(self, frame: Frame) -> StreamNotice | None:
        if self._window is None:
            self._window = (frame.index, frame.time_s)
            return None
        index, time_s = self._window
        if frame.time_s - time_s < _RATE_WINDOW_S:
            return None
        rate = (frame.index - index) / (frame.time_s - time_s)
        self._window = (frame.index, frame.time_s)
        differs = abs(rate / self.fps - 1) > _RATE_CHANGE
        # Twice in a row: a stream that starts delivers what it had buffered in one burst.
        confirmed, self._suspected = differs and self._suspected, differs
        if not confirmed or rate <= 0:
            return None
        before, self.fps = self.fps, rate
        return StreamNotice("stream_changed", f"rate {before:.1f} Hz is now {rate:.1f} Hz", frame.time_s)


def _fingerprint(image: NDArray[np.uint8]) -> int:
    """Of every 16th pixel each way: enough to see noise, cheap enough for every frame."""
    return zlib.crc32(image[::16, ::16].tobytes())
