"""Coverage-guided fuzzing of everything that reads bytes from strangers: `python -m benchmarks.fuzz_wire -max_total_time=60`.

Needs atheris (pip install atheris); options are libFuzzer's. Anything but a message or a LockstepError is a crash.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports():
    from engine import checkpoint, wire
    from engine.errors import BusError
    from engine.links.items import read_item, read_want
    from engine.stages.frames import array_of


def one_input(data: bytes) -> None:
    for unpack in (wire.unpack, wire.unpack_request, wire.unpack_reply, wire.unpack_event):
        with suppress(BusError):
            unpack(data)
    for kind in (b"hello", b"state", b"event", b"heartbeat"):
        with suppress(BusError):
            wire.unpack(b"bench/" + kind + b"\0" + data)
    checkpoint.load(data, "bench")
    read_want(data)
    item = read_item(data)
    if item is not None:
        array_of(item, memoryview(data))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
