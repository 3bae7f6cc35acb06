"""Keeps the stages of a station alive: restarts what dies or hangs, says so, and ends all when the last one is done.

    supervisor ─"go"→ stage ─a byte four times a second→ supervisor
               ─"go"→ stand-by, prepared (models loaded), takes over at once

A stage that fails again and again waits longer each time (`failures.py`). Whatever happens to a stage is an event:
`stage_down`, `stage_back`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from engine import systemd
from engine.background import Background
from engine.config import StationConfig
from engine.errors import ConfigError, LockstepError
from engine.failures import CAP_S, FIRST_S, STEADY_S, Failures
from engine.journal import Journal
from engine.messages import Event, EventKind
from engine.shared_frames import SharedFrames
from engine.sources.backoff import Backoff
from engine.sources.opening import is_live
from engine.stages import stage_names
from engine.stages.wiring import SESSION, open_store, runtime_folder
from engine.wire import unpack_event

HANG_S = 1.2
"""Without a beat for this long a stage hangs. Doubled with each hang in a row, up to eightfold: on a machine that has more
to do than it can, killing what is merely slow would only add to it."""
OPENING_S, CAMERA_OPENING_S = 5.0, 25.0
"""Until the first beat a stage has longer, and one that opens a camera longer still: a source gives up after 20 s itself."""
PREPARE_S = 30.0
"""A stand-by likewise, until it is ready: seconds, but longer where functions are compiled for the first time."""
BURY_S = 0.5
"""How long a killed process is waited for. One that is stuck in the kernel goes when that lets it."""
ALIVE_S = 1.0
"""How often systemd is told that the supervisor itself goes on."""

log = logging.getLogger("lockstep.supervisor")


def stage_states(station: str) -> dict[str, dict[str, Any]]:
    """Stage → `state` (starting, running, down), `pid`, `standby` (a pid too), `standby_ready`, `restarts`, `retry_s`
    (monotonic time before which a stage that is down is not tried again, or None), as this machine's supervisor of a
    station wrote them last; empty where none runs.
    """
    try:
        with _lock_path(station).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # held: a supervisor lives
        pass
    else:
        return {}  # what one that was killed has left behind is not true any more
    try:
        states: dict[str, dict[str, Any]] = json.loads(_status_path(station).read_text())
    except (OSError, ValueError):
        return {}
    return states


def _lock_path(station: str) -> Path:
    return runtime_folder(station) / "supervisor.lock"


def _status_path(station: str) -> Path:
    return runtime_folder(station) / "stages.json"


def _claim(station: str) -> IO[str]:
    """A file that is locked for as long as this process holds it. Raises ConfigError where another supervisor does."""
    file = _lock_path(station).open("a")
    for _ in range(20):  # who asks for the states holds it for a moment
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        time.sleep(0.02)
    file.close()
    raise ConfigError(
        f"station {station!r} has a supervisor already",
        expected="one supervisor for each station of this user",
        found="another one that runs",
        next_step="Stop that one first, or give this station another name.",
    )


class _Process:
    """One stage process: `ready` once it is prepared, then beating once it was told to go."""

    def __init__(self, stage: str, station: Path, environment: dict[str, str]) -> None:
        self.stage = stage
        self.beats, theirs = os.pipe()
        os.set_blocking(self.beats, False)
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "engine.stage_process", stage, str(station), str(theirs)],
            stdin=subprocess.PIPE,
            pass_fds=(theirs,),
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.heard_s = time.monotonic()
        self.ready = False
        self.working_since_s: float | None = None
        """Its first beat after it was told to go."""
        self._told_to_go = False

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def status(self) -> int | None:
        return self._popen.poll()

    def listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while heard := os.read(self.beats, 4096):
                self.heard_s = time.monotonic()
                self.ready |= b"r" in heard
                if self._told_to_go and self.working_since_s is None:
                    self.working_since_s = self.heard_s

    def go(self, epoch_s: float) -> None:
        """`epoch_s`: monotonic time of stream time 0."""
        self._told_to_go, self.heard_s = True, time.monotonic()
        with contextlib.suppress(OSError):  # it has just died: that is noticed soon
            assert self._popen.stdin is not None
            self._popen.stdin.write(f"go {epoch_s!r}\n".encode())
            self._popen.stdin.flush()

    @property
    def worked_s(self) -> float:
        """From its first beat to its last."""
        return 0.0 if self.working_since_s is None else self.heard_s - self.working_since_s

    def silent_s(self) -> float:
        return time.monotonic() - self.heard_s

    def end(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def bury(self) -> None:
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(BURY_S)
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        os.close(self.beats)


@dataclass
class _Post:
    """A stage, who does it, and who would."""

    stage: str
    active: _Process | None = None
    standby: _Process | None = None
    failures: Failures = field(default_factory=Failures)
    hangs: int = 0
    """In a row."""
    preparing: Backoff = field(default_factory=lambda: Backoff(FIRST_S, CAP_S))
    """Of stand-bys that fail before they are ready."""
    prepare_at_s: float = 0.0
    down: bool = False
    not_before_s: float = 0.0
    restarts: int = 0

    @property
    def retry_s(self) -> float | None:
        """Monotonic time until which it waits after failures; None if it does not."""
        if self.active is not None:
            return None
        wait_s = max(self.not_before_s, self.prepare_at_s if self.standby is None else 0.0)
        return wait_s if wait_s > time.monotonic() else None


def _cannot_start(stage: str) -> ConfigError:
    return ConfigError(f"the {stage} stage cannot start", next_step="The line above says what is wrong.")


def _why(status: int | None) -> str:
    if status is None:
        return "hangs"
    return f"died (signal {-status})" if status < 0 else f"failed (status {status})"


class Supervisor:
    """Runs a split station until its source ends, or `stop`. Raises ConfigError where a stage refuses its settings."""

    def __init__(self, config: StationConfig, station: Path) -> None:
        if config.bus.publish is None:
            raise ConfigError("a split station needs a bus", expected="bus.publish: an address", found="null")
        self.config = config
        self._claim = _claim(config.station)
        self._path = station
        self._store = open_store(config)
        self._journal = Journal(config.station, self._store, shared=True)
        self.epoch_s = self._begin_of_stream()
        """Monotonic time of stream time 0."""
        self._untold: list[Event] = []
        self._writing: Background[object] = Background()
        self._environment = {**os.environ, SESSION: uuid.uuid4().hex[:12]}
        self._posts = [_Post(name) for name in stage_names(config)]
        self._camera_at = stage_names(config)[0]
        self._begun = self._stopping = self._ended = False
        self._status_path = _status_path(config.station)
        self._written = ""

    def stop(self) -> None:
        """End all stages and return from `run`; safe from a signal handler."""
        self._stopping = True

    @property
    def restarts(self) -> dict[str, int]:
        return {post.stage: post.restarts for post in self._posts}

    def run(self) -> None:
        systemd.tell("READY=1")
        told_s = 0.0
        try:
            while not self._stopping and not self._ended:
                if time.monotonic() - told_s >= ALIVE_S:
                    told_s = time.monotonic()
                    systemd.tell("WATCHDOG=1")
                for post in self._posts:
                    self._look_after(post)
                self._write_status()
                self._wait()
        finally:
            self._end_all()

    def _begin_of_stream(self) -> float:
        """A camera's clock goes on where the last run left it, so that what began before a power cut has its duration."""
        now_s = time.monotonic()
        last = self._store.messages(self.config.station, self._journal.stored_seq, 1)
        if not last or not is_live(self.config.source.open):
            return now_s
        event = unpack_event(last[0])
        return now_s - event.time_s - max(0.0, time.time() - event.wall_s)

    def _look_after(self, post: _Post) -> None:
        for process in (post.active, post.standby):
            if process is not None:
                process.listen()
        self._check_active(post)
        self._check_standby(post)
        now_s = time.monotonic()
        standby = post.standby
        if post.active is None and standby is not None and standby.ready and now_s >= post.not_before_s:
            begins = post.stage == self._camera_at and not self._begun
            if not begins or self._all_ready():
                post.active, post.standby = standby, None
                if begins:
                    self._begin()
                standby.go(self.epoch_s)
        if post.standby is None and now_s >= post.prepare_at_s:
            post.standby = _Process(post.stage, self._path, self._environment)
        if post.down and post.active is not None and post.active.working_since_s is not None:
            post.down = False
            self._tell("stage_back", post.stage, "restarted")

    def _all_ready(self) -> bool:
        return all(post.active or (post.standby and post.standby.ready) for post in self._posts)

    def _begin(self) -> None:
        """The source opens, once everybody could look: a recording played live is not to run while models load."""
        self._begun = True
        if not is_live(self.config.source.open):
            self.epoch_s = time.monotonic()

    def _check_active(self, post: _Post) -> None:
        process = post.active
        if process is None:
            return
        status = process.status
        patience_s = HANG_S
        if process.working_since_s is None:
            patience_s = CAMERA_OPENING_S if post.stage == self._camera_at else OPENING_S
        if process.worked_s > STEADY_S:
            post.hangs = 0
        if status is None and process.silent_s() < patience_s * 2 ** min(post.hangs, 3):
            return
        post.active = None
        process.bury()
        # A camera may come later; an address in use, or keys that are not there, are for the user who starts it.
        if status == 2 and process.working_since_s is None and post.restarts == 0 and post.stage != self._camera_at:
            raise _cannot_start(post.stage)
        if status == 0 and post.stage == "publish":  # the last in line has told everything
            self._ended = True
            return
        post.restarts += 1
        post.hangs += status is None
        post.not_before_s = time.monotonic() + post.failures.add(process.worked_s)
        if not post.down:
            post.down = True
            self._tell("stage_down", post.stage, _why(status))

    def _check_standby(self, post: _Post) -> None:
        process = post.standby
        if process is None:
            return
        if process.ready:
            post.preparing.reset()
        patience_s = PREPARE_S * 2 ** min(post.preparing.attempts, 3)
        status, late = process.status, not process.ready and process.silent_s() > patience_s
        if status is None and not late:
            return
        process.bury()
        post.standby = None
        if status == 2 and post.restarts == 0 and post.active is None:
            raise _cannot_start(post.stage)
        if process.ready:  # it was killed while it waited
            return
        post.prepare_at_s = time.monotonic() + post.preparing.next_s()
        if post.active is None and not post.down:
            post.down = True
            self._tell("stage_down", post.stage, f"cannot be prepared: {_why(status)}")

    def _tell(self, kind: EventKind, stage: str, reason: str) -> None:
        log.warning("%s %s: %s", stage, "is down" if kind == "stage_down" else "is back", reason)
        time_s = time.monotonic() - self.epoch_s
        draft = Event(
            self.config.station,
            0,
            kind,
            time_s,
            time.time(),
            noticed_s=time_s,
            details={"stage": stage, "reason": reason},
        )
        self._untold.append(draft)

    def _store_events(self) -> None:
        """In the background: a store that does not answer keeps nobody from being restarted."""
        with contextlib.suppress(LockstepError):  # what could not be stored waits in the journal
            self._writing.take()
        if not self._writing.busy and (self._untold or self._journal.waiting):
            drafts, self._untold = self._untold, []
            self._writing.start(lambda: self._journal.commit(drafts))

    def _wait(self) -> None:
        """Until a stage beats or dies, at most 50 ms."""
        self._store_events()
        processes = [process for post in self._posts for process in (post.active, post.standby) if process is not None]
        select.select([process.beats for process in processes], [], [], 0.05)
        time.sleep(0.01)  # beats of several stages are read together

    def _write_status(self) -> None:
        """Who runs, in a file, for whoever asks (`stage_states`)."""
        stages = {
            post.stage: {
                "state": "down" if post.down else "running" if post.active else "starting",
                "pid": post.active.pid if post.active else None,
                "standby": post.standby.pid if post.standby else None,
                "standby_ready": bool(post.standby and post.standby.ready),
                "restarts": post.restarts,
                "retry_s": post.retry_s,
            }
            for post in self._posts
        }
        text = json.dumps(stages)
        if text != self._written:
            partial = self._status_path.with_suffix(".partial")
            with contextlib.suppress(OSError):  # a full disk: written when there is room; who runs is looked after
                partial.write_text(text)
                partial.replace(self._status_path)
                self._written = text

    def _end_all(self) -> None:
        processes = [process for post in self._posts for process in (post.active, post.standby) if process is not None]
        for process in processes:
            process.end(signal.SIGTERM)
        deadline_s = time.monotonic() + 2.0
        while time.monotonic() < deadline_s:
            self._store_events()
            if not self._writing.busy and all(process.status is not None for process in processes):
                break
            time.sleep(0.02)
        for process in processes:
            process.bury()
        self._status_path.unlink(missing_ok=True)
        SharedFrames.remove_all(self.config.station)
        self._store.close()
        self._claim.close()
