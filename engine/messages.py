"""What travels on the bus: msgspec structs, encoded as plain MessagePack maps. `docs/protocol.md` is the specification.

One ZeroMQ part per message: the topic (`station/kind`), one zero byte, then the MessagePack map.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
"""Version of every message below. Fields are only ever added, with defaults; anything else raises this number."""

Status = Literal["starting", "on_task", "paused", "off_task", "idle", "lost", "no_stream"]

EventKind = Literal[
    "cycle_started",
    "cycle_finished",
    "cycle_abandoned",
    "phase_started",
    "phase_finished",
    "phase_skipped",
    "phase_out_of_order",
    "phase_repeated",
    "phase_confirmed",
    "paused",
    "resumed",
    "off_task",
    "back_on_task",
    "slow",
    "operator_lost",
    "operator_found",
    "stream_lost",
    "stream_back",
    "stream_changed",
    "stage_down",
    "stage_back",
]


class PhaseInfo(msgspec.Struct, frozen=True):
    """A phase as subscribers need it to draw a strip: name and its extent on the reference's clock."""

    name: str
    start_s: float
    end_s: float
    optional: bool = False


class Hello(msgspec.Struct, frozen=True, tag_field="kind", tag="hello"):
    """Who is speaking: sent at start, on request, and to late joiners."""

    station: str
    phases: list[PhaseInfo]
    reference_s: float
    layout: str
    limbs: list[tuple[int, int]]
    rate_hz: float
    bundle: str
    log: str = ""
    """Identity of the event log: another one means that event numbers started anew."""
    schema: int = SCHEMA


class State(msgspec.Struct, frozen=True, tag_field="kind", tag="state"):
    """A conflatable snapshot of one tick. Only the newest matters."""

    station: str
    tick: int
    time_s: float
    """Capture time of this tick, seconds on the stream's monotonic clock (0 at the first frame)."""
    wall_s: float
    """Unix time at which the tick was captured."""
    status: Status
    cycle: int
    """Number of the current cycle, from 1; 0 before the first."""
    cycles_finished: int
    phase: str | None
    phase_index: int | None
    phase_progress: float
    cycle_progress: float
    position_s: float
    rate: float
    confidence: float
    eta_s: float | None = None
    fps: float = 0.0
    dropped: int = 0
    latency_ms: dict[str, tuple[float, float]] = {}
    """Per stage: p50 and p95 over the last seconds, milliseconds."""
    image_size: tuple[int, int] | None = None
    pose: list[tuple[float, float, float]] | None = None
    schema: int = SCHEMA


class Event(msgspec.Struct, frozen=True, tag_field="kind", tag="event"):
    """Something happened. Numbered without gaps per station, stored before it is published, replayable."""

    station: str
    seq: int
    event: EventKind
    time_s: float
    """When it happened, on the stream's clock (not when it was noticed)."""
    wall_s: float
    cycle: int = 0
    phase: str | None = None
    confidence: float = 0.0
    noticed_s: float = 0.0
    """When it was noticed, on the same clock: `noticed_s - time_s` is the delay of detection."""
    details: dict[str, float | str | list[float] | None] = {}
    """What belongs to the kind: see the table of events in `docs/protocol.md`."""
    log: str = ""
    """Identity of the event log that `seq` counts in, as in Hello; empty in events that were stored before they had it."""
    schema: int = SCHEMA


class Heartbeat(msgspec.Struct, frozen=True, tag_field="kind", tag="heartbeat"):
    """Sent at 1 Hz so that silence means trouble, with the number of the last event so that gaps show."""

    station: str
    wall_s: float
    last_seq: int
    health: dict[str, str] = {}
    log: str = ""
    """Identity of the event log, as in Hello."""
    schema: int = SCHEMA


Message = Hello | State | Event | Heartbeat


# What is asked of a publisher over its request socket, and what it answers: `[empty part, MessagePack map]`.


class GetHello(msgspec.Struct, frozen=True, tag_field="kind", tag="get_hello"):
    """Answered with Hello."""

    schema: int = SCHEMA


class GetEvents(msgspec.Struct, frozen=True, tag_field="kind", tag="get_events"):
    """Answered with Events: what is stored from `first_seq` on, oldest first, at most `limit` (and never over 500)."""

    first_seq: int
    limit: int = 500
    schema: int = SCHEMA


class Confirm(msgspec.Struct, frozen=True, tag_field="kind", tag="confirm"):
    """A barcode, a PLC bit or a person says that a phase is done. Answered with Done."""

    phase: str
    schema: int = SCHEMA


class Events(msgspec.Struct, frozen=True, tag_field="kind", tag="events"):
    """A piece of the stored sequence. Ask again from the last `seq` + 1 until `last_seq` is reached."""

    station: str
    log: str
    first_seq: int
    """Oldest number still kept; asking for less gives what is left."""
    last_seq: int
    events: list[msgspec.Raw]
    schema: int = SCHEMA


class Done(msgspec.Struct, frozen=True, tag_field="kind", tag="done"):
    """Accepted, or refused with the reason."""

    ok: bool
    reason: str = ""
    schema: int = SCHEMA


Request = GetHello | GetEvents | Confirm
Reply = Hello | Events | Done
