"""A recorded run: every pose as it was located, and every state and event that followed, in one append-only file.

    "LOCKSTEP RECORDING\\n", then records: length (4 bytes, little endian), MessagePack of Head, Pose, or a bus message

Written as it happens, so a crash loses at most the last record; read without trusting it. `Replay` is a source: the same
pipeline on it gives the same events.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine import wire
from engine.errors import DataError
from engine.messages import Event, Hello, State
from engine.sources.base import Frame, StreamNotice
from models import skeleton

MAGIC = b"LOCKSTEP RECORDING\n"
MAX_RECORD = 1 << 20
log = logging.getLogger("lockstep.recording")
_LENGTH = struct.Struct("<I")


class Head(msgspec.Struct, frozen=True, tag="head"):
    """First record: what the poses are."""

    station: str
    layout: str
    size: tuple[int, int]
    fps: float
    source: str = ""
    started_wall_s: float = 0.0
    format: int = 1


class Pose(msgspec.Struct, frozen=True, tag="pose"):
    """One frame's operator: (K, 3) float32, little endian, row by row; empty where nobody was seen."""

    index: int
    time_s: float
    data: bytes
    notice: tuple[str, str, float] | None = None


class _Said(msgspec.Struct, frozen=True, tag="said"):
    """A message of the bus, as its bytes."""

    message: bytes


_Record = Head | Pose | _Said
_decoder = msgspec.msgpack.Decoder(_Record)
_encode = msgspec.msgpack.Encoder().encode


class Recorder:
    """A sink of a station, and the tap on its poses. Raises DataError if the file cannot be written.

    A disk that is full in the middle ends the recording, not the station: `trouble` says so.
    """

    def __init__(self, path: Path, head: Head) -> None:
        self.trouble = ""
        try:
            self._file: BinaryIO = path.open("wb", buffering=1 << 16)
            self._file.write(MAGIC)
        except OSError as error:
            raise DataError(f"cannot write {path}", found=error.strerror or str(error)) from None
        self._add(head)

    def pose(self, frame: Frame, pose: NDArray[np.float32]) -> None:
        """As located, whether or not a tick follows."""
        notice = frame.notice
        seen = bool((pose[:, 2] > 0).any())
        data = pose.astype("<f4").tobytes() if seen else b""
        self._add(
            Pose(frame.index, frame.time_s, data, (notice.kind, notice.reason, notice.time_s) if notice else None)
        )

    def hello(self, hello: Hello) -> None:
        self._add(_Said(wire.pack(hello)))

    def state(self, state: State, frame: Frame | None = None) -> None:
        self._add(_Said(wire.pack(msgspec.structs.replace(state, pose=None))))

    def event(self, event: Event) -> None:
        self._add(_Said(wire.pack(event)))
        self._flush()

    def close(self) -> None:
        with self._noting_trouble():
            self._file.close()

    def _flush(self) -> None:
        with self._noting_trouble():
            self._file.flush()

    def _add(self, record: _Record) -> None:
        if self.trouble:
            return
        data = _encode(record)
        with self._noting_trouble():
            self._file.write(_LENGTH.pack(len(data)) + data)

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self.trouble:
                log.warning("the recording ends here: %s", error.strerror or error)
            self.trouble = error.strerror or str(error)


def read(path: Path) -> Iterator[_Record]:
    """Records in order; a torn last one (a crash) is left out. Raises DataError for anything else that is wrong."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DataError(f"{path} is not a recording", expected="a file written by `lockstep record`")
            while len(length := file.read(_LENGTH.size)) == _LENGTH.size:
                (size,) = _LENGTH.unpack(length)
                if size > MAX_RECORD:
                    raise DataError(f"{path} is damaged", expected=f"records up to {MAX_RECORD} bytes", found=f"{size}")
                data = file.read(size)
                if len(data) < size:
                    return
                yield _decoder.decode(data)
    except OSError as error:
        raise DataError(
            f"cannot read {path}", found=error.strerror or str(error), next_step="Check the path."
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"{path} is damaged", found=str(error)[:100]) from None


def head(path: Path) -> Head:
    """Raises DataError."""
    first = next(read(path), None)
    if not isinstance(first, Head) or first.layout not in skeleton.LAYOUTS:
        raise DataError(f"{path} is not a recording of a known layout", expected="a file written by `lockstep record`")
    return first


def events(path: Path) -> list[Event]:
    """Events as they were recorded. Raises DataError."""
    said = (wire.unpack(record.message) for record in read(path) if isinstance(record, _Said))
    return [message for message in said if isinstance(message, Event)]


class Replay:
    """A recording as a source of poses. `speed`: 1 as it was, 8 eight times as fast, None as fast as can be.

    Raises DataError for a file that is missing, foreign or damaged.
    """

    live = False
    dropped = 0
    duration_s = None

    def __init__(self, path: Path, speed: float | None = None) -> None:
        self._path, self._speed, self._head = path, speed, head(path)
        self.name, self.layout = path.name, self._head.layout
        self.fps, self.size = self._head.fps, self._head.size

    def __iter__(self) -> Iterator[Frame]:
        started_s = time.monotonic()
        joints = skeleton.layout(self.layout).size
        for record in read(self._path):
            if not isinstance(record, Pose):
                continue
            pose = np.zeros((joints, 3), np.float32)
            if len(record.data) == pose.nbytes:
                pose = np.frombuffer(record.data, "<f4").reshape(pose.shape).astype(np.float32)
            if self._speed is not None:
                time.sleep(max(0.0, started_s + record.time_s / self._speed - time.monotonic()))
            notice = StreamNotice(*record.notice) if record.notice else None  # type: ignore[arg-type]
            yield Frame(record.index, record.time_s, None, pose, time.monotonic(), None, notice)

    def close(self) -> None:
        """Nothing to release."""
