"""The bus between real sockets: what a subscriber hears, misses, asks for again and is refused."""

import time

import msgpack
import pytest
import zmq

from engine.bus import Publisher
from engine.errors import BusError, StoreError
from engine.journal import Journal
from engine.messages import Event, Hello, PhaseInfo, State
from engine.store import Store
from engine.subscriber import Subscriber

ANY = "tcp://127.0.0.1:*"
HELLO = Hello("bench", [PhaseInfo("pick", 0, 1), PhaseInfo("place", 1, 2)], 2.0, "body13", [(0, 1)], 20.0, "tiny")


def draft(i, kind="paused"):
    return Event("bench", 0, kind, time_s=float(i), wall_s=1000.0 + i, cycle=1, phase="pick", confidence=0.5)


def state(tick):
    return State("bench", tick, tick / 20, 0.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9)


def heard(bus, enough, timeout_s=10.0):
    """All messages until `enough(messages)`; fails loudly if that never comes."""
    messages, deadline = [], time.monotonic() + timeout_s
    while not enough(messages):
        assert time.monotonic() < deadline, f"waited in vain after {messages[-3:]}"
        messages += bus.update(0.1)
    return messages


def seqs(messages):
    return [message.seq for message in messages if isinstance(message, Event)]


@pytest.fixture
def station():
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as bus:
        bus.hello(HELLO)
        yield bus


def listen(station, **options):
    return Subscriber(station.address, station.request_address, **options)


def tell(station, count, kind="paused"):
    for i in range(count):
        station.event(station.journal.number(draft(i, kind)))


def test_a_late_joiner_gets_hello_and_all_stored_events_in_order(station):
    tell(station, 1200)
    with listen(station, since=1) as bus:
        messages = heard(bus, lambda m: len(seqs(m)) >= 1200 and bus.hello)
    assert seqs(messages) == list(range(1, 1201))
    assert bus.hello.phases == HELLO.phases and bus.hello.log == station.journal.store.identity


def test_a_subscriber_without_a_wish_hears_only_what_happens_from_now_on(station):
    tell(station, 5)
    with listen(station) as bus:
        heard(bus, lambda m: bus.heartbeat)
        tell(station, 3)
        assert seqs(heard(bus, lambda m: len(seqs(m)) >= 3)) == [6, 7, 8]


def test_a_subscriber_that_slept_through_a_flood_ends_with_exactly_the_stores_sequence(station):
    with listen(station, since=1) as bus:
        heard(bus, lambda m: bus.heartbeat)
        for i in range(700):  # far more than is kept for it: most of this it cannot get from the socket
            station.event(station.journal.number(draft(i)))
            for tick in range(20):
                station.state(state(tick))
        messages = heard(bus, lambda m: len(seqs(m)) >= 700)
    assert seqs(messages) == list(range(1, 701))
    assert bus.lost == 0


def test_of_many_states_only_the_newest_is_given(station):
    with listen(station) as bus:
        heard(bus, lambda m: bus.heartbeat)
        for tick in range(50):
            station.state(state(tick))
        messages = heard(bus, lambda m: bus.state is not None and bus.state.tick == 49)
    assert len([m for m in messages if isinstance(m, State)]) < 50
    assert bus.fresh and bus.alive


def test_a_restarted_station_goes_on_where_it_was(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    first = Publisher(Journal("bench", Store(url)), ANY, ANY)
    first.hello(HELLO)
    with Subscriber(first.address, first.request_address, since=1) as bus:
        tell(first, 3)
        assert seqs(heard(bus, lambda m: len(seqs(m)) >= 3)) == [1, 2, 3]
        first.close()
        with Publisher(Journal("bench", Store(url)), first.address, first.request_address) as second:
            second.hello(HELLO)
            tell(second, 3)
            assert seqs(heard(bus, lambda m: len(seqs(m)) >= 3)) == [4, 5, 6]


def test_a_station_with_a_new_store_counts_anew_and_the_subscriber_follows(tmp_path):
    first = Publisher(Journal("bench", Store("sqlite://")), ANY, ANY)
    with Subscriber(first.address, first.request_address, since=1) as bus:
        tell(first, 3)
        heard(bus, lambda m: len(seqs(m)) >= 3 and bus.heartbeat)
        first.close()
        with Publisher(Journal("bench", Store("sqlite://")), first.address, first.request_address) as second:
            tell(second, 2)
            assert seqs(heard(bus, lambda m: len(seqs(m)) >= 2)) == [1, 2]


def test_events_of_a_new_store_heard_before_its_name_are_each_given_once(tmp_path):
    first = Publisher(Journal("bench", Store("sqlite://")), ANY, ANY)
    with Subscriber(first.address, first.request_address, since=1) as bus:
        tell(first, 3)
        heard(bus, lambda m: len(seqs(m)) >= 3 and bus.heartbeat)
        first.close()
        with Publisher(Journal("bench", Store("sqlite://")), first.address, first.request_address) as second:
            second.journal.commit([draft(i) for i in range(3)])  # told while nobody was connected yet
            while not bus.fresh:
                second.state(state(1))
                messages = bus.update(0.01)
            tell(second, 1)  # the number that was next of the old one
            messages += heard(bus, lambda m: len(seqs(m)) >= 4)
            tell(second, 1)
            assert seqs(messages + heard(bus, seqs)) == [1, 2, 3, 4, 5]


def test_a_subscriber_restarted_after_its_station_got_a_new_store_hears_all_of_that_one(tmp_path):
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as first, listen(first, since=1) as bus:
        tell(first, 3)
        heard(bus, lambda m: len(seqs(m)) >= 3 and bus.heartbeat)
        kept = {"since": bus.last_seq + 1, "log": bus.log}
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as second, listen(second, **kept) as bus:
        tell(second, 5)  # the fourth has the number that was wanted of the old one
        assert seqs(heard(bus, lambda m: len(seqs(m)) >= 5)) == [1, 2, 3, 4, 5]
        kept = {"since": bus.last_seq + 1, "log": bus.log}
        with listen(second, **kept) as same:
            tell(second, 1)
            assert seqs(heard(same, seqs)) == [6]


def test_what_retention_took_is_counted_as_lost_not_waited_for(station):
    tell(station, 10)
    station.journal.store.forget(older_than_s=1.0)  # the drafts are of 1970
    with listen(station, since=1) as bus:
        assert seqs(heard(bus, lambda m: seqs(m))) == [10]
        assert bus.lost == 9


def test_silence_is_noticed(station, monkeypatch):
    monkeypatch.setattr("engine.subscriber.ALIVE_S", 0.2)
    with listen(station) as bus:
        heard(bus, lambda m: bus.heartbeat)
        assert bus.alive
        station.close()
        bus.update(0.5)
        assert not bus.alive


def test_a_phase_is_confirmed_from_outside(station):
    with listen(station) as bus:
        bus.confirm("place")
        with pytest.raises(BusError, match="no such phase"):
            bus.confirm("paint")
    assert station.confirmations() == ["place"] and station.confirmations() == []


def test_a_confirmation_is_not_answered_by_what_else_was_asked(station, monkeypatch):
    def unreadable(*_):
        raise StoreError("cannot read")

    tell(station, 1)
    monkeypatch.setattr(station.journal.store, "messages", unreadable)
    with listen(station, since=1) as bus:  # it asks for the first event twice a second, in vain
        heard(bus, lambda m: bus.heartbeat)
        for _ in range(40):
            bus.update(0)
            bus.confirm("pick", timeout_s=10)
            time.sleep(0.05)
    assert station.confirmations() == ["pick"] * 40


def test_a_client_without_our_code_decodes_the_bus_with_plain_msgpack_and_pyzmq(station):
    with zmq.Context() as context, context.socket(zmq.SUB) as socket, context.socket(zmq.REQ) as ask:
        socket.connect(station.address)
        socket.subscribe(b"bench/event")
        ask.connect(station.request_address)
        ask.send(msgpack.packb({"kind": "get_hello"}))
        assert msgpack.unpackb(ask.recv())["phases"][1]["name"] == "place"
        while not socket.poll(20):
            tell(station, 1, "phase_skipped")
        topic, _, body = socket.recv().partition(b"\0")
        event = msgpack.unpackb(body)
        assert topic == b"bench/event"
        assert (event["kind"], event["event"], event["phase"]) == ("event", "phase_skipped", "pick")
        ask.send(msgpack.packb({"kind": "get_events", "first_seq": 1, "limit": 1}))
        assert [e["seq"] for e in msgpack.unpackb(ask.recv())["events"]] == [1]


def test_nothing_is_published_before_it_is_stored(tmp_path, monkeypatch):
    store = Store(f"sqlite:///{tmp_path}/s.db")
    with Publisher(Journal("bench", store), ANY, ANY) as station, listen(station, since=1) as bus:
        heard(bus, lambda m: bus.heartbeat)
        works = store.append

        def full(*_):
            from engine.errors import StoreError

            raise StoreError("cannot write", found="disk full")

        monkeypatch.setattr(store, "append", full)
        tell(station, 3)
        messages = heard(bus, lambda m: bus.heartbeat.health)
        assert "disk full" in bus.heartbeat.health["store"] and seqs(messages) == []
        monkeypatch.setattr(store, "append", works)
        assert seqs(heard(bus, lambda m: len(seqs(m)) >= 3)) == [1, 2, 3]


def test_an_address_in_use_or_malformed_is_one_clear_line(station):
    for address in (station.address, "tcp://nonsense", "carrier-pigeon://127.0.0.1:1"):
        with pytest.raises(BusError, match=r"cannot bind|would let anyone"):
            Publisher(Journal("bench", Store("sqlite://")), address, None)
    with pytest.raises(BusError, match="cannot listen"):
        Subscriber("nonsense")


def test_a_socket_file_in_use_is_refused_and_its_owner_still_heard_and_one_left_behind_is_taken(tmp_path):
    publish, requests = f"ipc://{tmp_path}/publish", f"ipc://{tmp_path}/requests"
    with Publisher(Journal("bench", Store("sqlite://")), publish, requests) as first:
        for second in ((publish, None), (ANY, requests)):
            with pytest.raises(BusError, match=r"cannot bind ipc://.*in use"):
                Publisher(Journal("bench", Store("sqlite://")), *second)
        with listen(first, since=1) as bus:
            tell(first, 1)
            assert seqs(heard(bus, seqs)) == [1]
    assert (tmp_path / "publish").is_socket()
    Publisher(Journal("bench", Store("sqlite://")), publish, requests).close()


def test_numpy_numbers_in_a_message_do_not_stop_a_station(station):
    import numpy as np

    with listen(station, since=1) as bus:
        heard(bus, lambda m: bus.heartbeat)
        station.event(
            station.journal.number(Event("bench", 0, "slow", np.float64(1.5), 0.0, details={"dwell_s": np.float32(2)}))
        )
        messages = heard(bus, seqs)
    assert [m.details["dwell_s"] for m in messages if isinstance(m, Event)] == [2.0]
