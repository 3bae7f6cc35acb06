"""The align stage: poses in; events and its own state into the store, in one transaction; states to the publish stage.

poses ─→ Station ─→ events ─┐
                 └→ states  ├─ Ledger ─ one transaction → store
             aligner.state ─┘        └─ "safe up to here" → pose stage
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import closing

import msgspec
import numpy as np

from engine import checkpoint, wire
from engine.aligner import Aligner
from engine.background import Background
from engine.config import StationConfig
from engine.journal import Journal
from engine.latency import Latency
from engine.links.inlet import Inlet
from engine.links.items import Item, Mark
from engine.links.outlet import Outlet
from engine.messages import Event, Hello, State
from engine.opening import open_aligner
from engine.security import is_local
from engine.sources.base import Frame, StreamNotice
from engine.stages.frames import array_of
from engine.stages.wiring import QUIET_S, Beat, Run, access, address, keys, open_store, recording_stream, supervised
from engine.station import Station

CHECKPOINT_S = 1.0
"""How old the stored state may become while nothing happens."""
STATES = 4
"""Kept for the publish stage: a state that is a fifth of a second old is of no use to anyone."""
SILENT_S = 3.0
"""A store that has not answered for so long is in trouble."""
HELLO_EVERY = 20
"""States between two repetitions of hello: a publish stage that was restarted has to learn who is speaking."""


def prepare(config: StationConfig) -> Run:
    aligner = open_aligner(config)
    made_for = hashlib.sha256(aligner.reference.info.bundle_sha256.encode() + config.reference.read_bytes()).hexdigest()

    def run(beat: Beat) -> None:
        recording = recording_stream(config)
        store = open_store(config)
        saved = checkpoint.load(store.checkpoint(config.station) or b"", made_for)
        after = None
        if saved is not None and recording in (None, saved[0].stream):
            after = saved[0]
            aligner.restore(saved[1])
        with (
            closing(store),
            closing(Outlet(address(config, "states"), STATES, access(config), stay=supervised())) as outlet,
            closing(Inlet(address(config, "poses"), keys(config), after, contiguous=recording is not None)) as inlet,
        ):
            ledger = Ledger(Journal(config.station, store, shared=True), aligner, inlet, made_for)
            states = StatesOut(outlet, ledger)
            one_machine = all(is_local(address(config, link)) for link in ("frames", "poses"))
            poses = Poses(inlet, ledger, states.pose_latency, beat, one_machine)
            nobody = np.zeros_like(aligner.reference.poses[0])

            def pose_of(frame: Frame) -> np.ndarray:
                return nobody if frame.pose is None else frame.pose

            station = Station(config.station, poses, pose_of, aligner, ledger.number, [states])
            station.stream_lost = ledger.journal.stream_lost()
            station.confirmations = outlet.notes
            station.latency.listeners.append(states.spent)
            station.run()
            if poses.ended is not None:
                ledger.close(poses.ended, beat)
            states.end()
            outlet.due(beat)  # until the publish stage has the end
            if recording is not None:
                store.append(config.station, [], b"")  # followed to its end: another run begins at its start

    return run


class Ledger:
    """What each pose led to, stored together with the state after it; then upstream need not keep that pose any longer.

    The store is written in the background: following does not wait for a disk, a lock or a database server. Meanwhile more
    may happen; it is stored with the next transaction.
    """

    def __init__(self, journal: Journal, aligner: Aligner, inlet: Inlet, made_for: str) -> None:
        self.journal = journal
        self._aligner, self._inlet, self._made_for = aligner, inlet, made_for
        self._drafts: list[Event] = []
        self._mark: Mark | None = None
        """The last pose followed, where nobody has begun to store it yet."""
        self._followed: Mark | None = None
        """The last pose followed."""
        self._begun_s = time.monotonic()
        self._writing: Background[Mark] = Background()

    @property
    def trouble(self) -> str:
        """Why what happens cannot be stored just now; empty while it can."""
        silent_s = self._writing.busy_s
        return self.journal.trouble or (f"no answer for {silent_s:.0f} s" if silent_s > SILENT_S else "")

    def number(self, draft: Event) -> Event:
        """Events get their number when they are stored."""
        self._drafts.append(draft)
        return draft

    def followed(self, mark: Mark) -> None:
        """All that this pose leads to has happened."""
        self._mark = self._followed = mark
        self.store_if_due()

    def store_if_due(self) -> None:
        """With every event at once; else every second, also when no more poses come: upstream waits for it."""
        self._collect()
        if self._drafts or time.monotonic() - self._begun_s >= CHECKPOINT_S:
            self._begin()

    def _begin(self) -> None:
        if self._mark is None or self._writing.busy:
            return
        mark, drafts = self._mark, self._drafts
        self._mark, self._drafts = None, []
        state = checkpoint.dump(mark, self._aligner.state(), self._made_for)

        def write() -> Mark:
            self.journal.commit(drafts, state)
            return mark

        self._begun_s = time.monotonic()
        self._writing.start(write)

    def _collect(self) -> None:
        mark = self._writing.take()
        if mark is None:
            return
        if self.journal.trouble:
            self._mark = (
                self._mark or mark
            )  # the journal keeps the events; their state is stored with them, or a newer one
        else:
            self._inlet.safe = mark

    def close(self, end: Mark, beat: Beat) -> None:
        """Everything is followed. The stored mark stays before the end, so that who is restarted now receives it again."""
        if self._drafts:  # told at the end, after the state that the last pose led to may have been stored
            self._mark = self._followed
        while self._mark is not None or self._writing.busy:  # a full disk at the very end: what waits is not given up
            self._begin()
            time.sleep(0.01)
            self._collect()
            beat()
        self._inlet.safe = end
        self._inlet.acknowledge()


class Poses:
    """The station's source here: when it asks for the next pose, the steps that the last one led to are complete."""

    name, live = "poses", True
    layout, duration_s = None, None

    def __init__(self, inlet: Inlet, ledger: Ledger, latency: Latency, beat: Beat, one_machine: bool) -> None:
        self.fps, self.size, self.dropped = 0.0, (0, 0), 0
        self._inlet, self._ledger, self._latency, self._beat = inlet, ledger, latency, beat
        self._one_machine = one_machine
        self.ended: Mark | None = None
        """The end of the stream, once it has come."""

    def __iter__(self) -> Iterator[Frame]:
        while True:
            self._beat()
            received = self._inlet.next(QUIET_S)
            if received is None:
                self._ledger.store_if_due()
                continue
            item, payload = received
            mark = Mark(item.stream, item.index)
            if item.end:
                self.ended = mark
                return
            self.fps, self.size, self.dropped = item.fps, item.size, item.dropped
            for stage, spent_ms in (*item.spent_ms, *(("to_align", ms) for ms in self._inlet.age_ms)):
                self._latency.add(stage, spent_ms)
            notice = StreamNotice(*item.notice) if item.notice else None  # type: ignore[arg-type]
            pose = array_of(item, payload)
            yield Frame(item.index, item.time_s, None, pose, self._captured_s(item), None, notice, item.lost)
            self._ledger.followed(mark)

    def _captured_s(self, item: Item) -> float:
        """On this machine's monotonic clock. Two machines have only the time of day in common, as well as they keep it."""
        return item.captured_s if self._one_machine else time.monotonic() - (time.time() - item.wall_s)

    def close(self) -> None:
        """The link is closed by who opened it."""


class StatesOut:
    """A sink: states go to the publish stage, with the number of the last event stored before them and what was spent."""

    def __init__(self, outlet: Outlet, ledger: Ledger) -> None:
        self._outlet, self._ledger = outlet, ledger
        self._stream, self._count = uuid.uuid4().hex[:12], 0
        self._hello: Hello | None = None
        self._spent: deque[tuple[str, float]] = deque(maxlen=1000)
        self.pose_latency = Latency()
        """As the pose stage has measured it: to the station here, a pose is simply there."""
        self.pose_latency.listeners.append(lambda stage, ms: self._spent.append((stage, ms)))
        self._pose_ms: dict[str, tuple[float, float]] = {}

    def spent(self, stage: str, ms: float) -> None:
        if stage != "pose":
            self._spent.append((stage, ms))

    def hello(self, hello: Hello) -> None:
        self._hello = hello

    def state(self, state: State, frame: Frame | None = None) -> None:
        if self._hello is not None and self._count % HELLO_EVERY == 0:
            self._offer(wire.pack(self._hello))
            self._pose_ms = self.pose_latency.recent()
        self._offer(wire.pack(msgspec.structs.replace(state, latency_ms={**state.latency_ms, **self._pose_ms})))

    def event(self, event: Event) -> None:
        """The publish stage reads events from the store, once they are there."""

    def end(self) -> None:
        self._offer(b"", end=True)

    def _offer(self, payload: bytes, end: bool = False) -> None:
        spent = tuple(self._spent)
        self._spent.clear()
        stored, trouble = self._ledger.journal.stored_seq, self._ledger.trouble
        item = Item(self._stream, self._count, end=end, seq=stored, trouble=trouble, spent_ms=spent)
        self._outlet.offer(item, payload)
        self._count += 1
