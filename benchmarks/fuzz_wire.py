"""Coverage-guided fuzzing of everything that reads bytes from strangers: `python -m benchmarks.fuzz_wire -max_total_time=300`.

Needs atheris (pip install atheris); options are libFuzzer's. Anything but a message or a LockstepError is a crash. It starts
from one good message of every kind. The decoder is compiled code, which coverage does not see into: so every second input
is a good message of which one part was replaced by something else that is well-formed MessagePack.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris
import msgspec
import numpy as np

with atheris.instrument_imports():
    from engine import checkpoint, wire
    from engine.errors import BusError
    from engine.links.items import Item, Mark, Want, encode, read_item, read_want
    from engine.messages import Confirm, Done, Event, Events, GetEvents, GetHello, Heartbeat, Hello, PhaseInfo, State
    from engine.stages.frames import array_of

EVENT = Event("bench", 42, "phase_finished", 1.5, 1.7e9, 1, "pick", 0.9, 1.7, {"duration_s": 1.5})
STATE = State("bench", 7, 0.35, 0.0, "on_task", 1, 0, "pick", 0, 0.5, 0.5, 0.75, 1.0, 0.9, pose=[(1.0, 2.0, 0.9)])
HELLO = Hello("bench", [PhaseInfo("pick", 0.0, 1.5)], 1.5, "body13", [(0, 1)], 20.0, "body13", "a1b2")
HEARTBEAT = Heartbeat("bench", 1.7e9, 42, {"store": "disk full"}, "a1b2")
MARK = Mark("film", 3)
FRAME = Item(
    "film", 4, shape=(2, 2, 3), size=(2, 2), notice=("stream_lost", "unplugged", 1.0), spent_ms=(("pose", 1.0),)
)
STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63 - 1,
    -(2**63),
    float("nan"),
    float("inf"),
    "",
    "\0",
    "x" * 300,
    b"",
    b"\xff" * 40,
    [],
    {},
    [[]],
)
"""What replaces a part of a good message."""


def read_frame(data: bytes) -> None:
    item = read_item(data)
    if item is not None:
        array_of(item, memoryview(data)[:12])


READERS: tuple[tuple[Callable[[bytes], Any], bytes, tuple[bytes, ...]], ...] = (
    (wire.unpack, b"bench/hello\0", (encode(HELLO),)),
    (wire.unpack, b"bench/state\0", (encode(STATE),)),
    (wire.unpack, b"bench/event\0", (encode(EVENT),)),
    (wire.unpack, b"bench/heartbeat\0", (encode(HEARTBEAT),)),
    (wire.unpack, b"", (wire.pack(EVENT),)),
    (wire.unpack_request, b"", (encode(GetEvents(43, 100)), encode(GetHello()), encode(Confirm("pick")))),
    (
        wire.unpack_reply,
        b"",
        (encode(Done(True)), encode(Events("bench", "a1b2", 1, 42, [msgspec.Raw(encode(EVENT))]))),
    ),
    (wire.unpack_event, b"", (encode(EVENT),)),
    (read_want, b"", (encode(Want(MARK, MARK, ("pick",))),)),
    (read_frame, b"", (encode(FRAME), encode(Item("film", 5, shape=(13, 3), layout="body13")))),
    (
        lambda data: checkpoint.load(data, "bench"),
        b"",
        (checkpoint.dump(MARK, {"a": np.zeros((2, 3), np.float32), "b": np.array([True])}, "bench"),),
    ),
)
"""Who reads, what stands before, and good messages. The first byte of an input says which reader is meant."""


def one_input(data: bytes) -> None:
    if data:
        read, head, _ = READERS[data[0] % len(READERS)]
        with suppress(BusError):
            read(head + data[1:])


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Well-formed but strange, where the input can be taken apart; otherwise as libFuzzer likes."""
    chance = random.Random(seed)
    if data and chance.random() < 0.5:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, OverflowError):
            return (data[:1] + msgspec.msgpack.encode(altered(msgspec.msgpack.decode(data[1:]), chance)))[:max_size]
    return bytes(atheris.Mutate(data, max_size))


def altered(value: Any, chance: random.Random) -> Any:
    """`value` with one part of it, somewhere, replaced, doubled or left out."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        rest = {k: v for k, v in value.items() if k != key}
        return rest if chance.random() < 0.1 else {**rest, key: altered(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        copies = chance.choice((0, 1, 1, 2))
        middle = [altered(value[at], chance)] if copies == 1 else [value[at]] * copies
        return [*value[:at], *middle, *value[at + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.7:
        return value + chance.choice((-1, 1, 2**31, -(2**31)))
    return chance.choice(STRANGE)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lockstep-fuzz-") as seeds:
        for number, (_, _, messages) in enumerate(READERS):
            for i, message in enumerate(messages):
                (Path(seeds) / f"{number}-{i}").write_bytes(bytes([number]) + message)
        atheris.Setup([*sys.argv, seeds], one_input, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
