"""What frames tell about their stream, and how long to wait before trying again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sources.backoff import Backoff
from engine.sources.base import Frame, StreamNotice
from engine.sources.names import without_credentials
from engine.sources.watch import FROZEN_S, StreamWatch, told_again

RNG = np.random.default_rng(0)
NOISE = [RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(16)]


def stream(watch: StreamWatch, start_s: float, seconds: float, fps: float, *, image=None, first: int = 0) -> list:
    """Feeds frames; gives the notices."""
    notices = []
    for i in range(int(seconds * fps)):
        picture = NOISE[i % len(NOISE)] if image is None else image
        notices.append(watch.frame(Frame(first + i, start_s + i / fps, picture)))
    return [notice for notice in notices if notice is not None]


def test_a_steady_stream_says_nothing() -> None:
    assert stream(StreamWatch(30, (64, 48), camera=True), 0, 60, 30) == []


def test_lost_is_said_once_and_back_once() -> None:
    watch = StreamWatch(30, (64, 48), camera=True)
    stream(watch, 0, 1, 30)
    notice = watch.lost("no frame for 1.6 s", 0.97)
    assert notice is not None
    assert (notice.kind, notice.time_s) == ("stream_lost", 0.97)
    assert watch.lost("connection refused", 2.0) is None
    assert [n.kind for n in stream(watch, 5, 10, 30, first=30)] == ["stream_back"]


def test_a_new_resolution_is_told() -> None:
    watch = StreamWatch(30, (64, 48), camera=True)
    notices = stream(watch, 0, 1, 30, image=np.zeros((96, 128, 3), np.uint8))
    assert [n.kind for n in notices] == ["stream_changed"]
    assert "64x48" in notices[0].reason and "128x96" in notices[0].reason
    assert watch.size == (128, 96)


def test_a_camera_that_comes_back_with_another_resolution_says_both() -> None:
    watch = StreamWatch(30, (64, 48), camera=True)
    watch.lost("no frame for 1.6 s", 0.97)
    (notice,) = stream(watch, 5, 1, 30, image=np.zeros((96, 128, 3), np.uint8))
    assert (notice.kind, notice.reason) == ("stream_back", "frames come again, resolution 64x48 is now 128x96")


def test_a_new_rate_is_told_but_not_a_burst_at_the_start() -> None:
    watch = StreamWatch(30, (64, 48), camera=True)
    for i in range(40):  # what a server had buffered
        assert watch.frame(Frame(i, 0.001 * i, NOISE[i % 16])) is None
    assert stream(watch, 0.05, 20, 30, first=40) == []
    notices = stream(watch, 20.05, 20, 10, first=640)
    assert [n.kind for n in notices] == ["stream_changed"]
    assert watch.fps == pytest.approx(10, rel=0.2)


def test_a_frozen_picture_is_a_lost_stream_until_it_moves() -> None:
    watch = StreamWatch(30, (64, 48), camera=True)
    stream(watch, 0, 2, 30)
    frozen = stream(watch, 2, FROZEN_S + 3, 30, image=NOISE[0], first=60)
    assert [(n.kind, n.time_s) for n in frozen] == [("stream_lost", pytest.approx(2, abs=0.1))]
    assert [n.kind for n in stream(watch, 2 + FROZEN_S + 3, 1, 30, first=450)] == ["stream_back"]


def test_frames_that_stop_while_the_picture_is_frozen_are_no_second_loss() -> None:
    watch = StreamWatch(30, (64, 48), camera=True)
    assert [n.kind for n in stream(watch, 0, FROZEN_S + 3, 30, image=NOISE[0])] == ["stream_lost"]
    assert watch.lost("no frame for 1.6 s", FROZEN_S + 3) is None
    assert [n.kind for n in stream(watch, FROZEN_S + 6, 2, 30, first=450)] == ["stream_back"]
    assert not watch.is_lost


@pytest.mark.parametrize(
    ("before", "lost", "told"),
    [
        (False, [False, True, True, False], {1: "stream_lost", 3: "stream_back"}),
        (True, [True, False, False], {1: "stream_back"}),
        (True, [False, False], {0: "stream_back"}),
        (False, [True, True], {0: "stream_lost"}),
    ],
)
def test_a_loss_or_return_is_told_though_who_saw_it_happen_has_died(before, lost, told) -> None:
    frames = list(told_again([Frame(i, i / 30, None, lost=is_lost) for i, is_lost in enumerate(lost)], before))
    assert {i: frame.notice.kind for i, frame in enumerate(frames) if frame.notice} == told


def test_a_loss_that_was_told_is_not_told_again() -> None:
    frames = [
        Frame(0, 0.0, None),
        Frame(1, 0.1, None, notice=StreamNotice("stream_lost", "unplugged", 0.1), lost=True),
        Frame(2, 0.2, None, notice=StreamNotice("stream_changed", "rate", 0.2)),
        Frame(3, 0.3, None),
    ]
    told = [frame.notice.kind for frame in told_again(frames, False) if frame.notice]
    assert told == ["stream_lost", "stream_changed", "stream_back"]


def test_a_recording_may_stand_still_and_stutter() -> None:
    watch = StreamWatch(30, (64, 48), camera=False)
    assert stream(watch, 0, FROZEN_S + 5, 5, image=NOISE[0]) == []


@given(st.integers(1, 60))
def test_waits_grow_to_a_cap_and_are_never_the_same_for_all(attempts: int) -> None:
    backoff = Backoff(first_s=0.2, cap_s=8)
    for attempt in range(attempts):
        full = min(8, 0.2 * 2**attempt)
        assert full / 2 <= backoff.next_s() <= full
    backoff.reset()
    assert backoff.next_s() <= 0.2


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.5:554/ch1", "rtsp://***@10.0.0.5:554/ch1"),
        ("rtsp://admin:se/cr@et@10.0.0.5/ch1", "rtsp://***@10.0.0.5/ch1"),
        ("http://cam/video?user=admin&pwd=secret&size=vga", "http://cam/video?user=***&pwd=***&size=vga"),
        ("cannot open rtsp://a:b@c/d: refused", "cannot open rtsp://***@c/d: refused"),
        ("rtsp://10.0.0.5/ch1", "rtsp://10.0.0.5/ch1"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_credentials_are_never_shown(written: str, shown: str) -> None:
    assert without_credentials(written) == shown


@given(
    user=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=5, max_size=20),
)
def test_no_password_survives(user: str, password: str) -> None:
    assert password not in without_credentials(f"rtsp://{user}:{password}@cam/1").replace("rtsp://***@cam/1", "")
