"""Strangers hear nothing and can say nothing, with any means they have; those with keys notice no difference."""

import socket
import stat
import time

import pytest
import zmq

from clients.cli import main
from engine import security
from engine.bus import Publisher
from engine.errors import BusError
from engine.journal import Journal
from engine.messages import Event, Hello, PhaseInfo
from engine.security import Access, ClientKeys
from engine.store import Store
from engine.subscriber import Subscriber

ANY = "tcp://127.0.0.1:*"
HELLO = Hello("bench", [PhaseInfo("pick", 0, 1)], 1.0, "body13", [], 20.0, "tiny")


@pytest.fixture
def keys(tmp_path):
    """Key folders of a station and of two clients, of whom `friend` is let in."""
    for name in ("station", "friend", "stranger"):
        security.new_keys(tmp_path / name)
    security.authorize(tmp_path / "station", "friend", str(tmp_path / "friend" / "public.key"))
    return tmp_path


@pytest.fixture
def station(keys):
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY, Access(keys / "station")) as bus:
        bus.hello(HELLO)
        yield bus


def listen(station, keys, who):
    server = str(keys / "station" / "public.key")
    return Subscriber(station.address, station.request_address, since=1, keys=ClientKeys(keys / who, server))


def hears(bus, timeout_s):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if bus.update(0.1):
            return True
    return False


def test_an_authorized_client_hears_replays_and_confirms(station, keys):
    station.event(station.journal.number(Event("bench", 0, "paused", 0.0, 0.0)))
    with listen(station, keys, "friend") as bus:
        assert hears(bus, 10)
        bus.confirm("pick", timeout_s=10)
    assert station.confirmations() == ["pick"]


def test_a_stranger_with_keys_of_their_own_hears_and_says_nothing(station, keys):
    with listen(station, keys, "stranger") as bus:
        assert not hears(bus, 1.5)
        with pytest.raises(BusError, match="does not answer"):
            bus.confirm("pick", timeout_s=0.5)
    assert station.confirmations() == []


def test_a_plaintext_peer_hears_and_says_nothing(station):
    with Subscriber(station.address, station.request_address, since=1) as bus:
        assert not hears(bus, 1.5)
        with pytest.raises(BusError, match="does not answer"):
            bus.confirm("pick", timeout_s=0.5)
    assert station.confirmations() == []


def test_a_raw_socket_gets_a_greeting_and_not_one_byte_of_content(station):
    for address in (station.address, station.request_address):
        host, port = address.removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(b"\xff" + b"\0" * 8 + b"\x7f\x03\x00NULL" + b"\0" * 16 + b"\0" * 32 + b"\0" * 100)
            raw.settimeout(1.5)
            received = b""
            try:
                raw.sendall(b"\0\x0bbench/event" * 100)
                while chunk := raw.recv(4096):
                    received += chunk
            except (TimeoutError, ConnectionError):
                pass
        assert len(received) <= 64 and b"bench" not in received  # 64 bytes: the greeting of the ZeroMQ protocol
    assert station.confirmations() == []


def test_a_revoked_client_is_out_though_it_was_connected_and_the_others_stay(station, keys):
    security.authorize(keys / "station", "second", str(keys / "stranger" / "public.key"))
    with listen(station, keys, "friend") as friend, listen(station, keys, "stranger") as second:
        assert hears(friend, 10) and hears(second, 10)
        security.revoke(keys / "station", "second")
        deadline = time.monotonic() + 10
        while station._members != {security.authorized(keys / "station")["friend"]}:
            assert time.monotonic() < deadline
            friend.update(1.0)  # the publisher looks with each heartbeat
        second.update(0.2)
        second.update(0.2)
        station.event(station.journal.number(Event("bench", 0, "paused", 0.0, 0.0)))
        assert not any(isinstance(m, Event) for _ in range(10) for m in second.update(0.1))
        deadline = time.monotonic() + 10
        while friend.last_seq != 1:
            assert time.monotonic() < deadline
            friend.update(0.1)


def test_while_the_key_folder_is_away_nobody_is_let_in_and_everybody_is_again_once_it_is_back(station, keys):
    with listen(station, keys, "friend") as bus:
        assert hears(bus, 10)
        with listen(station, keys, "friend") as newcomer:
            (keys / "station").rename(keys / "away")
            deadline = time.monotonic() + 10
            while station._members:  # those who were in are out
                assert time.monotonic() < deadline
                time.sleep(0.05)
            newcomer.update(1.0)
            (keys / "away").rename(keys / "station")
            assert hears(bus, 20)
        with listen(station, keys, "friend") as later:
            assert hears(later, 10)


@pytest.mark.parametrize(
    "address",
    ["tcp://*:5599", "tcp://0.0.0.0:5599", "tcp://[::]:5599", "tcp://127.0.0.1.example.com:5599", "tcp://eth0:5599"],
)
def test_binding_wider_than_loopback_without_keys_is_refused(address):
    with pytest.raises(BusError, match="without keys"):
        Publisher(Journal("bench", Store("sqlite://")), address, None)
    with pytest.raises(BusError, match="without keys"):
        Access(insecure="yes").check(address)
    Access(insecure="Anyone on this network may read and send.").check(address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:5599", "tcp://127.8.8.8:1", "tcp://[::1]:1", "tcp://localhost:1", "ipc:///tmp/x"]
)
def test_this_machine_needs_no_keys(address):
    Access().check(address)


def test_the_secret_key_is_for_its_owner_only_and_keys_are_never_overwritten(tmp_path):
    security.new_keys(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k" / "secret.key").stat().st_mode) == 0o600
    with pytest.raises(BusError, match="already"):
        security.new_keys(tmp_path / "k")


def test_a_public_key_is_no_option_on_a_command_line(tmp_path, monkeypatch):
    pairs = iter([(b"-" * 40, b"s" * 40), zmq.curve_keypair()])
    monkeypatch.setattr(zmq, "curve_keypair", lambda: next(pairs))
    assert not security.new_keys(tmp_path / "keys").startswith("-")


def test_broken_missing_and_strange_keys_are_one_clear_line(keys, tmp_path):
    with pytest.raises(BusError, match="no usable keys"):
        Publisher(Journal("bench", Store("sqlite://")), ANY, None, Access(tmp_path / "nowhere"))
    with pytest.raises(BusError, match="not a public key"):
        security.authorize(keys / "station", "x", "short")
    with pytest.raises(BusError, match="bad name"):
        security.authorize(keys / "station", "../x", "short")
    with pytest.raises(BusError, match="not authorized"):
        security.revoke(keys / "station", "nobody")


def test_the_publisher_survives_garbage_on_its_sockets(tmp_path):
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY) as station:
        station.hello(HELLO)
        for address in (station.address, station.request_address):
            host, port = address.removeprefix("tcp://").split(":")
            with socket.create_connection((host, int(port))) as raw:
                raw.sendall(bytes(range(256)) * 64)
        context = zmq.Context()
        shouting = context.socket(zmq.DEALER)
        shouting.connect(station.request_address)
        for parts in (
            [b"x"],
            [b"", b"x"],
            [b"", b"\xc1"],
            [b"", b"", b""],
            [b"", b"\x81\xa4kind\xa3die"],
            [b"", b"z" * 100_000],
        ):
            shouting.send_multipart(parts)
        context.destroy(linger=200)
        with Subscriber(station.address, station.request_address, since=1) as bus:
            assert hears(bus, 10)
            bus.confirm("pick", timeout_s=10)


def test_the_list_of_a_folder_without_keys_is_refused_not_empty(keys, capsys):
    with pytest.raises(SystemExit) as end:
        main(["keys", "list", str(keys / "missing")])
    assert end.value.code == 2 and "no usable keys in" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["keys", "list", str(keys / "station")])
    assert end.value.code == 0 and capsys.readouterr().out.startswith("friend\t")
