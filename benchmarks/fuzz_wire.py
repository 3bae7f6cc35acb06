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


def one_input(data: bytes) -> None:
    for unpack in (wire.unpack, wire.unpack_request, wire.unpack_reply, wire.unpack_event):
        with suppress(BusError):
            unpack(data)
    for kind in (b"hello", b"state", b"event", b"heartbeat"):
        with suppress(BusError):
            wire.unpack(b"bench/" + kind + b"\0" + data)
    checkpoint.load(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
