"""Bytes from strangers: anything but a message of this protocol is a BusError, and nothing else."""

import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import get_args

import msgspec
import pytest
from documented import EVENTS
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine import wire
from engine.errors import BusError
from engine.messages import Event, EventKind, GetEvents, Heartbeat, Hello, PhaseInfo, State, Status

RECORDED = Path(__file__).parents[1] / "data" / "protocol"
MESSAGES = [
    Hello("bench-1", [PhaseInfo("pick", 0.0, 1.5)], 1.5, "body13", [(0, 1)], 20.0, "body13 0badc0ffee12", "a1b2"),
    State(
        "bench-1",
        7,
        0.35,
        1.7e9,
        "on_task",
        1,
        0,
        "pick",
        0,
        0.5,
        0.5,
        0.75,
        1.0,
        0.9,
        0.75,
        30.0,
        0,
        {"pose": (18.0, 21.0)},
    ),
    Event("bench-1", 42, "phase_finished", 1.5, 1.7e9, 1, "pick", 0.9, 1.7, {"duration_s": 1.5}, "a1b2"),
    Heartbeat("bench-1", 1.7e9, 42, {"store": "disk full"}, "a1b2"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_survives_the_wire(message):
    assert wire.unpack(wire.pack(message)) == message


@pytest.mark.parametrize("path", sorted(RECORDED.glob("v*/*.msgpack")), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_messages_recorded_from_earlier_versions_are_still_understood(path):
    message = wire.unpack(path.read_bytes())
    assert type(message).__name__.lower() == path.stem
    expected = msgspec.json.decode(path.with_suffix(".json").read_bytes())
    found = msgspec.json.decode(msgspec.json.encode(message))
    assert {key: found[key] for key in expected} == expected


def test_a_field_added_by_a_newer_publisher_of_the_same_schema_is_ignored():
    body = msgspec.msgpack.encode({**msgspec.to_builtins(MESSAGES[2]), "mood": "sunny"})
    assert wire.unpack(b"bench-1/event\0" + body) == MESSAGES[2]


def test_a_newer_schema_is_refused_with_the_next_step():
    body = msgspec.msgpack.encode({**msgspec.to_builtins(MESSAGES[2]), "schema": 2})
    with pytest.raises(BusError, match=r"schema 2.*Update"):
        wire.unpack(b"bench-1/event\0" + body)


def test_a_message_under_anothers_topic_is_refused():
    with pytest.raises(BusError, match="topic"):
        wire.unpack(b"bench-2/event\0" + wire.pack(MESSAGES[2]).partition(b"\0")[2])


def test_an_announced_gigabyte_is_not_allocated():
    good = wire.pack(MESSAGES[0])
    bomb = good.replace(b"\xa5limbs\x91", b"\xa5limbs\xdd" + struct.pack(">I", 2**31))
    assert bomb != good
    tracemalloc.start()
    with pytest.raises(BusError):
        wire.unpack(bomb)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_bottomless_nest_is_refused():
    with pytest.raises(BusError):
        wire.unpack(b"bench-1/event\0" + b"\x81\xa1x" + b"\x91" * 100_000)


@examples(150)
@given(st.binary(max_size=300))
def test_garbage_is_a_bus_error(part):
    for unpack in (wire.unpack, wire.unpack_request, wire.unpack_reply):
        with suppress(BusError):
            unpack(part)


@examples(150)
@given(st.sampled_from(MESSAGES), st.data())
def test_a_damaged_message_is_understood_or_a_bus_error(message, data):
    part = bytearray(wire.pack(message))
    for _ in range(data.draw(st.integers(1, 4))):
        part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(part[: data.draw(st.integers(1, len(part)))])
    with suppress(BusError):
        assert isinstance(wire.unpack(cut), Hello | State | Event | Heartbeat)


def test_ten_thousand_damaged_messages_are_understood_or_bus_errors():
    random, understood = Random(0), 0
    good = [wire.pack(message) for message in MESSAGES]
    for _ in range(10_000):
        part = bytearray(random.choice(good))
        for _ in range(random.randint(1, 3)):
            part[random.randrange(len(part))] = random.randrange(256)
        with suppress(BusError):
            understood += isinstance(wire.unpack(bytes(part)), Hello | State | Event | Heartbeat)
    assert 0 < understood < 10_000


ASK = GetEvents(first_seq=43, limit=100)


def hexdump(data: bytes) -> str:
    """Sixteen bytes a line: offset, hexadecimal, what is printable of it."""
    rows = [(i, data[i : i + 16]) for i in range(0, len(data), 16)]
    return "\n".join(
        f"{i:04x}  {row.hex(' '):47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}" for i, row in rows
    )


@pytest.mark.parametrize("message", [MESSAGES[3], MESSAGES[2], ASK], ids=lambda m: type(m).__name__)
def test_the_bytes_shown_in_the_documentation_are_the_bytes_sent(message):
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    sent = wire.pack_plain(message) if message is ASK else wire.pack(message)
    assert hexdump(sent) in text


def test_the_documentation_names_every_field_and_every_kind_of_event():
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    for kind in (Hello, State, Event, Heartbeat, PhaseInfo):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in text, f"{kind.__name__}.{field}"
    for name in get_args(Status):
        assert f"`{name}`" in text, name
    assert set(EVENTS) == set(get_args(EventKind))
