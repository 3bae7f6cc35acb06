"""The machine code of the step on disk: made once per machine by a process of its own, then loaded in a third of a second.

Compiling takes ten seconds in which Python does little else, so a station never does it: see `engine.embedder.opening`.
Numba keeps the code beside `step.py`, or where that cannot be written in the user's cache (`NUMBA_CACHE_DIR`); a file
next to it, the mark, says that code for this processor is there.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from engine.bundle import Bundle
from engine.embedder.plans import cache_folder
from engine.errors import EngineBuildError, LockstepError

LONGEST_S = 600.0
"""For compiling on a slow, busy machine."""
_NICE = 10


def mark() -> Path:
    """Named after all that the code depends on; of a network it depends on nothing. Raises EngineBuildError where Numba finds no folder to write to."""
    import numba
    from llvmlite import binding

    try:
        from engine.embedder.native.step import SOURCES, step
    except RuntimeError as error:
        raise EngineBuildError(
            "there is no place to keep the compiled step",
            expected="a folder that can be written",
            found=str(error),
            next_step="Set NUMBA_CACHE_DIR to one; until then use the onnxruntime runtime.",
        ) from error
    depends_on = (
        SOURCES, numba.__version__, platform.python_version(), binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(), os.environ.get("NUMBA_CPU_NAME"),
    )  # fmt: skip
    key = hashlib.sha256(repr(depends_on).encode()).hexdigest()
    return Path(step.stats.cache_path) / f"compiled-{key[:20]}"


def is_compiled() -> bool:
    return mark().exists()


def forget() -> None:
    """What is on disk cannot be loaded: the next process compiles anew."""
    place = mark()
    for path in (place, *place.parent.glob("step.*.nb?")):
        path.unlink(missing_ok=True)


def compile_apart(bundle: Bundle) -> None:
    """Has another process compile, at low priority, and waits for it. Raises EngineBuildError.

    One at a time on this machine: whoever waited finds the code ready. The compiling process holds the lock as well, so
    it keeps it should this one end before.
    """
    import fcntl

    command = [sys.executable, "-m", "engine.embedder.native.compiling", str(bundle.folder)]
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with (cache_folder() / "compiling.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if is_compiled():
                return
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LONGEST_S, pass_fds=(lock.fileno(),)
            )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineBuildError(
            "the step could not be compiled",
            found=str(error),
            next_step="Set `runtime: onnxruntime` to do without.",
        ) from error
    if done.returncode:
        raise EngineBuildError(
            "the step could not be compiled for this processor",
            found=(done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:300],
            next_step="Set `runtime: onnxruntime` to do without.",
        )


if __name__ == "__main__":
    from engine.embedder.native.runtime import NativeRuntime

    os.nice(_NICE)
    try:
        NativeRuntime(Bundle(Path(sys.argv[1])))
    except LockstepError as error:
        sys.exit(str(error))
