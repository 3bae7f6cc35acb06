"""Frames between two processes without locks."""

import multiprocessing
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine.sources.frame_memory import Captured, FrameReader, FrameWriter, anonymous_file


@pytest.fixture
def memory():
    descriptor = anonymous_file()
    yield descriptor
    os.close(descriptor)


def picture(index: int, size: tuple[int, int] = (8, 6)) -> Captured:
    return Captured(index, index / 10, 100 + index / 10, np.full((size[1], size[0], 3), index % 256, np.uint8))


def test_the_newest_frame_wins_and_is_given_once(memory: int) -> None:
    writer, reader = FrameWriter(memory), FrameReader(memory)
    assert reader.newest() is None
    for index in range(5):
        writer.write(picture(index))
    assert reader.has_newer()
    frame = reader.newest()
    assert frame is not None and frame.image is not None
    assert (frame.index, frame.time_s, frame.captured_s) == (4, 0.4, 100.4)
    assert (frame.image == 4).all()
    assert not reader.has_newer()
    assert reader.newest() is None


@examples(30)
@given(sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.none(), min_size=1, max_size=12))
def test_frames_of_any_sizes_arrive_whole(sizes: list[tuple[int, int] | None]) -> None:
    descriptor = anonymous_file()
    try:
        writer, reader = FrameWriter(descriptor), FrameReader(descriptor)
        for index, size in enumerate(sizes):
            sent = Captured(index, 0.0, 0.0, None) if size is None else picture(index, size)
            writer.write(sent)
            received = reader.newest()
            assert received is not None and received.index == index
            assert (received.image is None) == (size is None)
            if size is not None:
                assert np.array_equal(received.image, sent.image)
    finally:
        os.close(descriptor)


def test_a_frame_keeps_its_pixels_when_newer_ones_come(memory: int) -> None:
    writer, reader = FrameWriter(memory), FrameReader(memory)
    writer.write(picture(1))
    kept = reader.newest()
    for index in range(2, 9):
        writer.write(picture(index))
    assert kept is not None and kept.image is not None
    assert (kept.image == 1).all()


def test_a_frame_half_written_is_not_given(memory: int) -> None:
    writer, reader = FrameWriter(memory), FrameReader(memory)
    writer.write(picture(1))
    writer.write(picture(2))
    writer._headers["sequence"][1] = 3  # as a writer leaves it that was killed in the middle of its second frame
    frame = reader.newest()
    assert frame is not None and frame.index == 1


def test_who_writes_after_another_goes_on_counting_and_what_was_there_is_no_news_to_who_reads_from_then_on(
    memory: int,
) -> None:
    first = FrameWriter(memory)
    for index in range(4):
        first.write(picture(index))
    first._headers["sequence"][1] = 9  # killed in the middle of its fifth
    writer, reader = FrameWriter(memory), FrameReader(memory)
    assert reader.newest() is None
    writer.write(picture(10, (30, 20)))
    frame = reader.newest()
    assert frame is not None and frame.image is not None and frame.index == 10
    assert frame.image.shape == (20, 30, 3) and (frame.image == 10).all()


def test_a_frame_is_found_by_its_index_until_newer_ones_have_taken_its_place(memory: int) -> None:
    writer, reader = FrameWriter(memory), FrameReader(memory)
    assert reader.at(0) is None
    for index in range(4):
        writer.write(picture(index))
    assert reader.at(0) is None
    for index in (1, 3, 2, 2):  # as often as is wanted, in any order
        frame = reader.at(index)
        assert frame is not None and frame.image is not None
        assert frame.index == index and (frame.image == index).all()


def test_pixels_that_are_not_copied_stay_where_they_are(memory: int) -> None:
    writer, reader = FrameWriter(memory), FrameReader(memory)
    writer.write(picture(1))
    frame = reader.newest(copy=False)
    assert frame is not None and frame.image is not None and (frame.image == 1).all()
    for index in range(2, 5):
        writer.write(picture(index))
    assert (frame.image == 4).all()


def _write_for_ever(descriptor: int) -> None:
    writer = FrameWriter(descriptor)
    index = 0
    while True:
        writer.write(picture(index, (320, 240)))
        index += 1


def test_no_frame_is_ever_torn_while_another_process_writes_as_fast_as_it_can(memory: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(memory,), daemon=True)
    process.start()
    reader = FrameReader(memory)
    last = -1
    taken = 0
    while taken < 100:
        frame = reader.newest()
        if frame is None:
            continue
        assert frame.image is not None
        assert frame.index > last
        assert (frame.image == frame.index % 256).all()
        last, taken = frame.index, taken + 1
    process.kill()
    process.join()
