"""Two recordings in one video, the second one warped in time so that the same moments of work coincide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceError
from models import skeleton

HEIGHT_PX = 480
VIDEO = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"})
_A, _B = (178, 114, 0), (0, 94, 213)
"""Blue, green, red: the colours of the alignment pictures."""


def write_side_by_side(
    output: Path,
    recordings: tuple[str, str],
    poses: tuple[NDArray[np.float32], NDArray[np.float32]],
    times_s: tuple[NDArray[np.float64], NDArray[np.float64]],
    partner: NDArray[np.int64],
    layout: str,
    rate_hz: float,
    step: Callable[[float], None],
) -> None:
    """Tick t of A beside tick `partner[t]` of B, skeletons drawn; tracks without pictures are drawn on white.

    poses (T, K, 3) and (U, K, 3) in pixels at times_s of their recordings; partner (T,) never decreasing. Raises
    SourceError if the video cannot be written.
    """
    sides = [_frames(recording, p, t) for recording, p, t in zip(recordings, poses, times_s, strict=True)]
    writer: cv2.VideoWriter | None = None
    for tick, other in enumerate(partner):
        panels = []
        for frames, at, pose, colour in ((sides[0], tick, poses[0], _A), (sides[1], int(other), poses[1], _B)):
            panels.append(_panel(frames(at), pose[at], layout, colour))
        picture = np.hstack(panels)
        if writer is None:
            size = (picture.shape[1], picture.shape[0])
            writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
            if not writer.isOpened():
                raise SourceError(f"cannot write {output}", expected="a video file name such as aligned.mp4")
        writer.write(picture)
        step(tick / rate_hz)
    if writer is not None:
        writer.release()


def _frames(
    recording: str, poses: NDArray[np.float32], times_s: NDArray[np.float64]
) -> Callable[[int], NDArray[np.uint8]]:
    """A function from tick to picture; ticks must not go back."""
    if Path(recording).suffix.lower() not in VIDEO:
        seen = poses[poses[..., 2] > 0]
        right, bottom = seen[:, :2].max(axis=0) if len(seen) else (640, 480)
        blank = np.full((max(int(bottom * 1.1), 64), max(int(right * 1.1), 64), 3), 250, np.uint8)
        return lambda tick: blank.copy()
    pictures = _video(recording)
    held: list[tuple[float, NDArray[np.uint8]]] = [next(pictures)]

    def at(tick: int) -> NDArray[np.uint8]:
        while held[0][0] < times_s[tick] - 1e-3:
            following = next(pictures, None)
            if following is None:
                break
            held[0] = following
        return held[0][1].copy()

    return at


def _video(recording: str) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    from engine.sources.opening import open_source

    source = open_source(recording)
    try:
        for frame in source:
            if frame.image is not None:
                yield frame.time_s, frame.image
    finally:
        source.close()


def _panel(
    picture: NDArray[np.uint8], pose: NDArray[np.float32], layout: str, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Picture with its skeleton, at the common height and an even width."""
    thickness = max(2, round(picture.shape[0] / 160))
    seen = pose[:, 2] > 0.1
    for a, b in skeleton.layout(layout).limbs:
        if seen[a] and seen[b]:
            ends = [(round(float(x)), round(float(y))) for x, y in pose[[a, b], :2]]
            cv2.line(picture, ends[0], ends[1], colour, thickness, cv2.LINE_AA)
    scale = HEIGHT_PX / picture.shape[0]
    return np.asarray(cv2.resize(picture, (2 * round(picture.shape[1] * scale / 2), HEIGHT_PX)), np.uint8)
