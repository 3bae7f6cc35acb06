"""Damaged recordings: what can be read is read."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from engine.sources.opening import open_source
from engine.sources.video import _PresentationClock
from engine.sources.video_writer import VideoWriter

FRAMES = 60


def recording(path: Path) -> bytes:
    rng = np.random.default_rng(0)
    with VideoWriter(path, 25, (160, 120)) as writer:
        for i in range(FRAMES):
            image = np.full((120, 160, 3), 4 * i, np.uint8)
            image[:60] = rng.integers(0, 255, (60, 160, 3))
            writer.write(image)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_garbage_in_the_middle_does_not_end_a_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    data = bytearray(recording(path))
    middle = len(data) // 2
    data[middle : middle + 6000] = np.random.default_rng(1).integers(0, 255, 6000, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    frames = list(open_source(str(path)))
    assert FRAMES - 3 <= len(frames) <= FRAMES
    assert frames[-1].time_s == pytest.approx((FRAMES - 1) / 25, abs=0.13)
    assert all(a.time_s < b.time_s and b.index == a.index + 1 for a, b in itertools.pairwise(frames))
    last = next(frame.image for frame in reversed(frames) if frame.image is not None)
    assert last[80:].mean() == pytest.approx(4 * (FRAMES - 1), abs=12)  # the end of the video was reached


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_that_was_cut_off_ends_where_its_frames_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    data = recording(path)
    path.write_bytes(data[: int(0.6 * len(data))])
    frames = list(open_source(str(path)))
    assert 10 < len(frames) < FRAMES
    assert frames[-1].image is not None


def test_times_increase_whatever_a_container_says() -> None:
    clock = _PresentationClock(fps=10, first_index=0)
    stamps = [5.0, 5.1, 5.1, 5.3, 4.0, 4.1, 3600.0, 3600.1, None, 3600.3]
    times = [clock.at(stamp) for stamp in stamps]
    assert times[:2] == pytest.approx([0.0, 0.1])
    assert all(0 < later - earlier < 0.35 for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(0.9, abs=0.15)
