"""How the stages of one station find each other, and what all of them have to know about the run they belong to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import zmq

from engine.config import StationConfig
from engine.errors import ConfigError
from engine.security import Access, ClientKeys
from engine.sources.opening import is_live
from engine.store import Store

Beat = Callable[[], None]
Run = Callable[[Beat], None]
"""What a prepared stage does when its turn comes; it calls `beat` at least four times a second."""

SESSION, EPOCH = "LOCKSTEP_SESSION", "LOCKSTEP_EPOCH"
"""Set by the supervisor for its stages: a name for this run; the monotonic time of stream time 0."""
QUIET_S = 0.2
"""How long a stage waits for an item before it beats again."""


def address(config: StationConfig, link: str) -> str:
    """Where a link is bound: as configured, or a socket file in a folder of this user."""
    configured: str | None = getattr(config.stages, link)
    return configured or f"ipc://{runtime_folder(config.station)}/{link}"


def runtime_folder(station: str) -> Path:
    """A folder that only this user can enter. Raises ConfigError where somebody else was there first, or its path is too
    long for a socket.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"lockstep-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():
        raise ConfigError(
            f"{base} belongs to somebody else",
            expected="a folder of this user",
            next_step="Set XDG_RUNTIME_DIR to a folder of your own.",
        )
    base.chmod(0o700)
    folder = base / station
    length = len(os.fsencode(folder / "frames"))
    if length > zmq.IPC_PATH_MAX_LEN:
        raise ConfigError(
            f"socket files in {folder} would have too long a path",
            expected=f"at most {zmq.IPC_PATH_MAX_LEN} bytes",
            found=f"{length}",
            next_step="Give the station a shorter name, or set XDG_RUNTIME_DIR to a folder with a shorter path.",
        )
    folder.mkdir(exist_ok=True)
    return folder


def open_store(config: StationConfig) -> Store:
    """Raises StoreError, and ConfigError for one that each process would have for itself."""
    store = Store(config.store.url or "sqlite://")
    if store.in_memory:
        raise ConfigError(
            "a split station needs a store that its stages share",
            expected="store.url: a file or a database server",
            found=store.url,
        )
    return store


def access(config: StationConfig) -> Access:
    return Access(config.bus.keys, config.bus.insecure)


def keys(config: StationConfig) -> ClientKeys | None:
    """Stages of one station share its key folder."""
    folder = config.bus.keys
    return ClientKeys(folder, str(folder / "public.key")) if folder else None


def is_recording(config: StationConfig) -> bool:
    """Every frame counts, and can be read again."""
    policy = config.source.policy
    return policy == "every" or (policy == "auto" and not is_live(config.source.open))


def recording_stream(config: StationConfig) -> str | None:
    """Name of the stream of a recording: the same after a stage's restart, because its frames are. None: live."""
    return os.environ.get(SESSION, "recording") if is_recording(config) else None


def supervised() -> bool:
    """A supervisor restarts whoever dies and ends the run: until then no stage leaves, even if its work is done."""
    return SESSION in os.environ


def epoch_s() -> float | None:
    """Monotonic time of stream time 0, where a supervisor has set it."""
    text = os.environ.get(EPOCH)
    return None if text is None else float(text)
