"""Two stages joined by a link, either of which may die at any moment: nothing is skipped, nobody waits for ever."""

import threading
import time
from contextlib import closing

import pytest
import zmq

from engine.errors import BusError
from engine.links.inlet import Inlet
from engine.links.items import Item, Mark
from engine.links.outlet import Outlet
from engine.security import Access

END = 40
"""Items of the recording below, its end included."""


@pytest.fixture
def address(tmp_path):
    return f"ipc://{tmp_path}/link"


def outlet(address, **how):
    return closing(Outlet(address, how.pop("keep", 4), Access(), **how))


def inlet(address, last=None, **how):
    after = None if last is None else Mark("film", last)
    return closing(Inlet(address, None, after, **how))


def reading(link, beat=lambda: None):
    """A stage that reads a recording as it is wanted, in a thread; the thread ends when the end has arrived.

    `beat` is called while it waits.
    """

    def read():
        while (index := link.due(beat)) is not None:
            link.offer(Item("film", index, end=index == END - 1), bytes([index]))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def take(link, count, timeout_s=10.0):
    taken, deadline = [], time.monotonic() + timeout_s
    while len(taken) < count:
        assert time.monotonic() < deadline, f"only {taken} came"
        received = link.next(0.1)
        if received is not None:
            taken.append(received[0].index)
    return taken


def heard(link, note, timeout_s=10.0):
    """Wait until an outlet has heard a note, and all that was said before it."""
    deadline = time.monotonic() + timeout_s
    while note not in link.notes():
        assert time.monotonic() < deadline, f"{note!r} was not heard"
        time.sleep(0.005)


def test_a_recording_waits_for_the_later_stage_and_arrives_whole(address):
    with outlet(address, recording="film") as source, inlet(address, contiguous=True, keeps_nothing=True) as sink:
        reader = reading(source)
        assert take(sink, END) == list(range(END))
        assert reader.is_alive()
        sink.acknowledge()
        reader.join(10)
        assert not reader.is_alive()


@pytest.mark.parametrize("last", [None, 0, 3, 7, 12, 30])
def test_a_later_stage_that_is_restarted_goes_on_where_it_says_even_while_all_room_is_taken(address, last):
    with outlet(address, recording="film", stay=True) as source:
        waits = threading.Event()
        reading(source, waits.set)
        with inlet(address, contiguous=True, keeps_nothing=True) as before:
            take(before, 13)
        waits.clear()
        assert waits.wait(10)  # the earlier stage has read ahead and has no more room
        with inlet(address, last, contiguous=True, keeps_nothing=True) as after:
            first = 0 if last is None else last + 1
            assert take(after, END - first) == list(range(first, END))


def test_an_earlier_stage_that_is_restarted_goes_on_after_what_was_received(address):
    with inlet(address, contiguous=True) as sink:
        with outlet(address, recording="film") as source:
            reading(source)
            assert take(sink, 3) == [0, 1, 2]
        with outlet(address, recording="film") as source:
            reading(source)
            assert take(sink, 2) == [3, 4]


def test_a_stage_may_go_back_in_a_recording_by_itself(address):
    with (
        outlet(address, recording="film") as source,
        inlet(address, contiguous=True, keeps_nothing=True) as sink,
    ):
        reading(source)
        take(sink, 20)
        sink.seek(Mark("film", 4))
        assert take(sink, 3) == [5, 6, 7]


def test_what_is_not_stored_downstream_is_kept_for_who_comes_after(address):
    with outlet(address, keep=30, recording="film") as source:
        reading(source)
        with inlet(address, contiguous=True) as before:
            take(before, 20)
            before.safe = Mark("film", 4)
            before.acknowledge()
            take(before, 1)
        with inlet(address, 4, contiguous=True) as after:
            assert take(after, 3) == [5, 6, 7]


@pytest.mark.parametrize("recording", ["film", None])
def test_who_is_restarted_after_the_end_still_learns_of_it(address, recording):
    with outlet(address, recording=recording, stay=True) as source:
        if recording:
            reading(source)
        else:
            source.offer(Item("film", END - 1, end=True))
        for _ in range(2):
            with inlet(address, END - 2, contiguous=bool(recording), keeps_nothing=True) as sink:
                assert take(sink, 1) == [END - 1]
                sink.note("with the acknowledgement")
                sink.acknowledge()
                heard(source, "with the acknowledgement")


def test_of_a_live_stream_the_newest_counts_and_nobody_waits(address):
    with outlet(address, keep=1) as source, inlet(address) as sink:
        for index in range(100):
            assert source.due(lambda: None) == index
            source.offer(Item("camera", index))
        assert take(sink, 1) == [99]


def test_a_live_stage_does_not_run_away_from_the_next_one_unless_that_is_dead(address):
    with outlet(address, keep=100, lead=1) as source:
        waits = threading.Event()

        def produce():
            for _ in range(29):
                source.offer(Item("camera", source.due(waits.set)))

        with inlet(address) as sink:
            source.offer(Item("camera", 0))
            assert take(sink, 1) == [0]
            producer = threading.Thread(target=produce, daemon=True)
            producer.start()
            assert take(sink, 2) == [1, 2]
            waits.clear()
            sink.acknowledge()
            assert waits.wait(10) and producer.is_alive()
        producer.join(10)  # nobody asks any more: everything is kept for who comes
        assert not producer.is_alive()
        with closing(Inlet(address, None, Mark("camera", 2))) as sink:
            assert take(sink, 27) == list(range(3, 30))


def test_what_a_camera_tells_of_itself_waits_for_a_stage_that_is_busy_or_dead(address):
    """With room for one item, the next is due only when that one was taken: nothing offered is forgotten."""
    with outlet(address, keep=1, lead=0) as source:
        waits = threading.Event()

        def produce():
            for _ in range(3):
                index = source.due(waits.set)
                waits.clear()
                source.offer(Item("camera", index, notice=("stream_lost", str(index), 0.0)))

        producer = threading.Thread(target=produce, daemon=True)
        producer.start()
        assert waits.wait(10)  # nobody has asked yet
        for index in range(3):
            after = Mark("camera", index - 1) if index else None
            with closing(Inlet(address, None, after)) as sink:  # who took the one before has died
                assert take(sink, 1) == [index]
        producer.join(10)
        assert not producer.is_alive()


def test_a_link_on_one_machine_says_how_long_an_item_was_on_its_way(address):
    with outlet(address) as source:
        before_s = time.monotonic()
        source.offer(Item("camera", 0))
        offered_s = time.monotonic()
        with inlet(address) as sink:
            opened_s = time.monotonic()
            assert take(sink, 1) == [0]
            (age_ms,) = sink.age_ms
        assert opened_s - offered_s <= age_ms / 1000 <= time.monotonic() - before_s


def test_a_camera_that_starts_anew_is_followed_from_its_first_frame(address):
    with outlet(address) as source, inlet(address, 41) as sink:
        source.offer(Item("camera again", 0))
        assert take(sink, 1) == [0]


def test_notes_go_upstream(address):
    with outlet(address, recording="film") as source, inlet(address) as sink:
        reading(source)
        sink.note("pick")
        take(sink, 2)
        assert source.notes() == ["pick"]


GARBAGE = (
    b"",
    b"\xc1",
    b"\x91" * 3000,
    b"\x81\xa5after\x92\xa2\xff\xff\x01",
    b"\x81\xa5after\x92\xa1a\xcb\x7f\xf0\0\0\0\0\0\0",
)
"""Among them a name that is not UTF-8, and a number that is not finite."""


def test_garbage_from_a_stranger_changes_nothing(address):
    with outlet(address, recording="film") as source, inlet(address, contiguous=True) as sink, zmq.Context() as context:
        reading(source)
        with context.socket(zmq.DEALER) as stranger:
            stranger.connect(address)
            for part in GARBAGE:
                stranger.send(part)
            assert take(sink, 3) == [0, 1, 2]


def test_garbage_from_upstream_is_passed_over(address):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as upstream:
        upstream.bind(address)
        with inlet(address) as sink:
            sink.next(0.5)
            assert upstream.poll(5000)
            peer, _ = upstream.recv_multipart()
            for part in GARBAGE:
                upstream.send_multipart([peer, part])
            assert sink.next(0.3) is None


def test_an_address_that_cannot_be_used_is_one_clear_line(address):
    with pytest.raises(BusError, match="cannot bind"):
        Outlet("ipc:///nowhere/link", 1, Access())
    with pytest.raises(BusError, match="without keys"):
        Outlet("tcp://0.0.0.0:5999", 1, Access())
    with outlet(address), pytest.raises(BusError, match="in use"):
        Outlet(address, 1, Access())
    with pytest.raises(BusError, match="cannot connect"):
        Inlet("nonsense")
