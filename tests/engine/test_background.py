"""Work in the background: taken once, its errors too, and nobody waits for what does not end."""

import threading

import pytest

from engine.background import Background


def test_what_the_work_returned_is_taken_once():
    work = Background()
    assert work.take() is None and not work.busy and work.busy_s == 0
    may_end = threading.Event()
    work.start(lambda: may_end.wait(10) and "done")
    assert work.busy and work.take() is None and work.busy_s > 0
    may_end.set()
    assert work.take(10) == "done"
    assert not work.busy and work.take() is None


def test_what_the_work_raised_is_raised_where_it_is_taken_and_more_work_can_follow():
    work = Background()
    work.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        work.take(10)
    work.start(lambda: "again")
    assert work.take(10) == "again"
