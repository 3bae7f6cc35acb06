"""The live path split over processes or machines: the same parts as `station.py`, joined by links.

    capture ─frames→ pose ─poses→ align ─states→ publish ─→ subscribers
                                    └─ events + checkpoint, one transaction → store ─events→ publish

A stage first prepares (imports, models), then waits for its turn, then runs: a prepared one stands by for each that runs.
With `every`, each stage goes on exactly after the last item whose consequences are stored: whatever is killed, the result
is that of an undisturbed run. Live, only what a dead camera or pose stage did not see is missing.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine import checkpoint, wire
from engine.bus import Publisher
from engine.config import StationConfig
from engine.errors import ConfigError
from engine.health import Health
from engine.journal import Journal
from engine.latency import Latency
from engine.links import Inlet, Item, Mark, Outlet
from engine.messages import Event, Hello, State
from engine.security import Access, ClientKeys
from engine.shared_frames import SharedFrames
from engine.sources.base import Frame, StreamNotice
from engine.store import Store

Beat = Callable[[], None]
Run = Callable[[Beat], None]
"""What a prepared stage does when its turn comes; it calls `beat` at least four times a second."""

STAGES = ("capture", "pose", "align", "publish")
SESSION, EPOCH = "LOCKSTEP_SESSION", "LOCKSTEP_EPOCH"
"""Set by the supervisor for its stages: a name for this run; the monotonic time at which its stream began."""
CHECKPOINT_S = 1.0
QUIET_S = 0.2


def stage_names(config: StationConfig) -> tuple[str, ...]:
    """Privacy: capture is part of the pose stage, so that no picture leaves a process."""
    return STAGES[1:] if config.privacy else STAGES


def prepare(stage: str, config: StationConfig) -> Run:
    """Everything that takes long, before the stage's turn. Raises a LockstepError for what does not fit."""
    if stage not in stage_names(config):
        why = " (privacy: capture runs inside the pose stage)" if config.privacy and stage == "capture" else ""
        raise ConfigError(f"no stage {stage!r}{why}", expected=", ".join(stage_names(config)), found=stage)
    return {"capture": _capture, "pose": _pose, "align": _align, "publish": _publish}[stage](config)


def address(config: StationConfig, link: str) -> str:
    """Where a link is bound: as configured, or a socket file in a folder of this user."""
    configured: str | None = getattr(config.stages, link)
    return configured or f"ipc://{runtime_folder(config.station)}/{link}"


def runtime_folder(station: str) -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(base) / f"lockstep-{os.getuid()}" / station
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def is_recording(config: StationConfig) -> bool:
    """Every frame counts, and can be read again."""
    from engine.sources.opening import is_live

    policy = config.source.policy
    return policy == "every" or (policy == "auto" and not is_live(config.source.open))


def _session() -> str:
    """Name of the stream of a recording: the same after a stage's restart, because its frames are."""
    return os.environ.get(SESSION, "recording")


def _access(config: StationConfig) -> Access:
    return Access(config.bus.keys, config.bus.insecure)


def _keys(config: StationConfig) -> ClientKeys | None:
    keys = config.bus.keys
    return ClientKeys(keys, str(keys / "public.key")) if keys else None


# capture


def _capture(config: StationConfig) -> Run:
    import cv2  # noqa: F401  (slow to import: before the stage's turn)

    recording = is_recording(config)

    def run(beat: Beat) -> None:
        where = address(config, "frames")
        memory = SharedFrames.create(config.station) if where.startswith("ipc:") and not recording else None
        with closing(Outlet(where, keep=8 if recording else 1, wait=recording, access=_access(config))) as outlet:
            for item, image in _captured(config, outlet, recording, beat):
                if memory is not None and image is not None and not item.layout:
                    memory.write(item, image)
                    item, image = msgspec.structs.replace(item, shared=True, stream=memory.name), None
                elif memory is not None:
                    item = msgspec.structs.replace(item, stream=memory.name)
                outlet.offer(item, b"" if image is None else np.ascontiguousarray(image).data.cast("B"), beat)
                beat()

    return run


def _captured(
    config: StationConfig, outlet: Outlet, recording: bool, beat: Beat
) -> Iterator[tuple[Item, NDArray[Any] | None]]:
    """Items and pictures (or poses). A recording is read again from where the next stage says that it is."""
    from engine.sources.opening import open_source

    epoch = os.environ.get(EPOCH)
    stream = _session() if recording else uuid.uuid4().hex[:12]
    from_index: int | None = 0
    while from_index is not None:
        source = open_source(
            config.source.open,
            "every" if recording else "freshest",
            None if recording or epoch is None else float(epoch),
        )
        with closing(source):
            number, first, again = -1, from_index, None
            for number, frame in enumerate(source):
                beat()
                if recording:
                    again = outlet.missing(max(first, number))
                    if again is not None and again < number:
                        break
                    first = again if again is not None else first
                    if number < first:
                        continue
                yield _item(frame, source, stream, number)
            else:
                again = None
                yield Item(stream, number + 1, end=True), None
            if again is None:
                again = _linger(outlet, number + 2, recording, beat)
            outlet.forget()
            from_index = again


def _item(frame: Frame, source: Any, stream: str, number: int) -> tuple[Item, NDArray[Any] | None]:
    array: NDArray[Any] | None = frame.image if frame.pose is None else frame.pose.astype(np.float32)
    notice = frame.notice
    item = Item(
        stream,
        number,
        time_s=frame.time_s,
        captured_s=frame.captured_monotonic_s,
        wall_s=time.time() - (time.monotonic() - frame.captured_monotonic_s),
        shape=() if array is None else array.shape,
        fps=source.fps,
        size=(int(source.size[0]), int(source.size[1])),
        dropped=source.dropped,
        layout=source.layout or "",
        notice=(notice.kind, notice.reason, notice.time_s) if notice else None,
    )
    return item, array


def _linger(outlet: Outlet, next_index: int, recording: bool, beat: Beat) -> int | None:
    """After the end: until all was received, or the index from which a later stage, restarted, wants it again.

    Under a supervisor for good: it ends all stages when the last one has stored everything.
    """
    while SESSION in os.environ or not outlet.drained():
        beat()
        time.sleep(0.02)
        if recording and (again := outlet.missing(next_index)) is not None and again < next_index:
            return again
    return None


# pose


def _pose(config: StationConfig) -> Run:
    from engine.bundle import open_bundle
    from engine.pose.locating import Locator
    from engine.pose.opening import open_estimator
    from engine.pose.selection import region

    layout = open_bundle(config.bundle).info.layout
    area = region(config.pose.region) if config.pose.region else None
    # A track brings its poses along: nothing to load.
    track = config.source.open.lower().endswith(".npz")
    estimating = None if track else Locator(open_estimator(config.pose.estimator), layout=layout, area=area)
    if estimating is not None:
        estimating(Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8)))  # models load on their first picture
        estimating.reset()

    def run(beat: Beat) -> None:
        recording = is_recording(config)
        with closing(
            Outlet(address(config, "poses"), keep=1024 if recording else 600, wait=recording, access=_access(config))
        ) as outlet:
            inlet, items = None, None
            if config.privacy:
                items = _captured(config, outlet, recording, beat)
            else:
                after = _resume_mark(outlet, beat) if recording else None
                inlet = Inlet(address(config, "frames"), _keys(config), after)
                inlet.follow_safe, inlet.contiguous = True, recording
                items = received_frames(inlet, beat)
            locate = estimating
            for item, array in items:
                if inlet is not None and recording and _went_back(outlet, inlet, item.index):
                    continue
                if item.end:
                    outlet.offer(item, b"", beat)
                    again = None if config.privacy else _linger(outlet, item.index + 1, recording, beat)
                    if again is None:
                        continue
                    _went_back(outlet, inlet, item.index + 1)
                    continue
                if locate is None:
                    locate = Locator(None, item.layout, layout, area)
                started_s = time.perf_counter()
                frame = Frame(item.index, item.time_s, None if item.layout else array, array if item.layout else None)
                pose = locate(frame)
                spent = {"pose": round(1000 * (time.perf_counter() - started_s), 3)}
                item = msgspec.structs.replace(item, shape=pose.shape, layout=layout, shared=False, stage_ms=spent)
                outlet.offer(item, pose.astype(np.float32).tobytes(), beat)
                beat()

    return run


def _went_back(outlet: Outlet, inlet: Inlet | None, next_index: int) -> bool:
    """The align stage, restarted, wants what is no longer kept: ask the capture stage for it again."""
    again = outlet.missing(next_index)
    if again is None or again == next_index or inlet is None:
        return False
    outlet.forget()
    inlet.after = Mark(_session(), again - 1) if again else None
    inlet.acknowledge()
    return True


def _resume_mark(outlet: Outlet, beat: Beat) -> Mark | None:
    """After which frame of a recording to go on: the align stage knows what it has."""
    while (want := outlet.wanted()) is None:
        beat()
        time.sleep(0.005)
    return want.after


def received_frames(inlet: Inlet, beat: Beat) -> Iterator[tuple[Item, NDArray[Any] | None]]:
    """Frames of the capture stage, with their pixels from shared memory or the message, until killed."""
    memory: SharedFrames | None = None
    while True:
        beat()
        received = inlet.next(QUIET_S)
        if received is None:
            continue
        item, payload = received
        if not item.shared:
            yield item, array_of(item, payload)
            continue
        if memory is None or memory.name != item.stream:
            memory = SharedFrames.attach(item.stream)
        if memory is None:
            continue  # that capture process is gone already
        newest = memory.newest(item)
        if newest is not None:
            yield newest


def array_of(item: Item, payload: memoryview) -> NDArray[Any] | None:
    """The payload as the array the item says it is; None where it is not: a stranger's item does no harm."""
    dtype = np.dtype(np.float32 if item.layout else np.uint8)
    plausible = 2 <= len(item.shape) <= 3 and all(0 < n < 20_000 for n in item.shape)
    if not plausible or len(payload) != dtype.itemsize * int(np.prod(item.shape, dtype=np.int64)):
        return None
    return np.frombuffer(payload, dtype).reshape(item.shape)


# align


class _Poses:
    """The align stage's source: poses from the link; when the station asks for the next, the last one's steps are stored."""

    name, live = "poses", True
    layout, duration_s = None, None

    def __init__(self, inlet: Inlet, store: Callable[[Mark, bool], None], beat: Beat) -> None:
        self.fps, self.size, self.dropped = 0.0, (0, 0), 0
        self.pose_latency = Latency()
        self.idle: Callable[[], None] = lambda: None
        self._inlet, self._store, self._beat = inlet, store, beat

    def __iter__(self) -> Iterator[Frame]:
        while True:
            self._beat()
            received = self._inlet.next(QUIET_S)
            if received is None:
                self.idle()
                continue
            item, payload = received
            mark = Mark(item.stream, item.index)
            if item.end:
                self._store(mark, True)
                return
            self.fps, self.size, self.dropped = item.fps, item.size, item.dropped
            for stage, spent_ms in item.stage_ms.items():
                self.pose_latency.add(stage, spent_ms)
            notice = StreamNotice(*item.notice) if item.notice else None  # type: ignore[arg-type]
            yield Frame(item.index, item.time_s, None, array_of(item, payload), item.captured_s, None, notice)
            self._store(mark, False)

    def close(self) -> None:
        self._inlet.close()


class _StatesOut:
    """A sink: states go to the publish stage, with the number of the last event stored before them."""

    def __init__(self, outlet: Outlet, journal: Journal, beat: Beat) -> None:
        self._outlet, self._journal, self._beat = outlet, journal, beat
        self._stream, self._count = uuid.uuid4().hex[:12], 0
        self.pose_latency: Latency | None = None
        self._pose_ms: dict[str, tuple[float, float]] = {}

    def hello(self, hello: Hello) -> None:
        self._offer(wire.pack(hello))

    def state(self, state: State, frame: Frame | None = None) -> None:
        if self.pose_latency is not None and self._count % 15 == 0:
            self._pose_ms = self.pose_latency.recent()
        self._offer(wire.pack(msgspec.structs.replace(state, latency_ms={**state.latency_ms, **self._pose_ms})))

    def event(self, event: Event) -> None:
        """The publish stage reads events from the store, once they are there."""

    def _offer(self, payload: bytes, end: bool = False) -> None:
        self._outlet.offer(Item(self._stream, self._count, end=end, seq=self._journal.stored_seq), payload, self._beat)
        self._count += 1

    def end(self) -> None:
        self._offer(b"", end=True)


def _align(config: StationConfig) -> Run:
    from engine.opening import open_aligner
    from engine.station import Station

    aligner = open_aligner(config)

    def run(beat: Beat) -> None:
        recording = is_recording(config)
        store = Store(config.store.url or "sqlite://")
        journal = Journal(config.station, store, shared=True)
        after = None
        saved = store.checkpoint(config.station)
        loaded = checkpoint.load(saved) if saved is not None else None
        if loaded is not None and (not recording or loaded[0].stream == _session()):
            after, state = loaded
            aligner.restore(state)
        drafts: list[Event] = []
        saved_s = time.monotonic()
        inlet = Inlet(address(config, "poses"), _keys(config), after)
        inlet.contiguous = recording

        def commit(mark: Mark, end: bool) -> None:
            nonlocal saved_s
            if not drafts and not end and time.monotonic() - saved_s < CHECKPOINT_S:
                return
            journal.commit(drafts, checkpoint.dump(mark, aligner.state()))
            drafts.clear()
            saved_s = time.monotonic()
            if not journal.trouble:
                inlet.safe = mark
            if end:
                inlet.acknowledge()

        def number(draft: Event) -> Event:
            drafts.append(draft)
            return draft

        poses = _Poses(inlet, commit, beat)
        with (
            closing(Outlet(address(config, "states"), keep=64, wait=False, access=_access(config))) as outlet,
            closing(poses),
        ):
            states = _StatesOut(outlet, journal, beat)
            states.pose_latency = poses.pose_latency
            nobody = np.zeros_like(aligner.reference.poses[0])
            station = Station(
                config.station,
                poses,
                lambda frame: nobody if frame.pose is None else frame.pose,
                aligner,
                number,
                [states],
            )
            station.confirmations = outlet.notes
            station.run()
            while not journal.flush():  # a full disk at the very end: what waits is not given up
                beat()
                time.sleep(0.2)
            states.end()
            deadline_s = time.monotonic() + 3.0
            while not outlet.drained() and time.monotonic() < deadline_s:
                beat()
                time.sleep(0.02)

    return run


# publish


def _publish(config: StationConfig) -> Run:
    def run(beat: Beat) -> None:
        journal = Journal(config.station, Store(config.store.url or "sqlite://"))
        inlet = Inlet(address(config, "states"), _keys(config))
        inlet.follow_safe = True
        bus = config.bus
        with closing(inlet), Publisher(journal, bus.publish or "", bus.requests, _access(config)) as publisher:
            health = Health(config.health.address, journal) if config.health.address else None
            published, looked_s, heard_s, ended = journal.stored_seq, 0.0, time.monotonic(), False
            while not ended:
                beat()
                received = inlet.next(0.1)
                now_s = time.monotonic()
                known = 0
                if received is not None:
                    item, payload = received
                    heard_s, known, ended = now_s, item.seq, item.end
                    _pass_on(publisher, health, bytes(payload))
                if known > published or now_s - looked_s > 0.25 or ended:  # the supervisor writes events as well
                    looked_s, published = now_s, _publish_events(publisher, health, journal, published)
                for phase in publisher.confirmations():
                    inlet.note(phase)
                silent_s = now_s - heard_s
                publisher.health.pop("stages", None)
                if silent_s > 1.0:
                    publisher.health["stages"] = f"no state for {silent_s:.0f} s"

    return run


def _pass_on(publisher: Publisher, health: Health | None, packed: bytes) -> None:
    if not packed:
        return
    message = wire.unpack(packed)
    if isinstance(message, Hello):
        publisher.hello(message)
    elif isinstance(message, State):
        publisher.state(message)
        if health is not None:
            health.state(message)


def _publish_events(publisher: Publisher, health: Health | None, journal: Journal, published: int) -> int:
    """Everything stored since, in order. A store that cannot be read now is read again later."""
    from engine.errors import StoreError

    try:
        if journal.catch_up() <= published:
            return published
        for message in journal.store.messages(journal.station, published + 1, 1000):
            event = wire.unpack_event(message)
            publisher.event(event)
            if health is not None:
                health.event(event)
            published = event.seq
    except StoreError as error:
        publisher.health["store"] = str(error)
    return published
