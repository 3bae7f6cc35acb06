"""One stage as a process: prepare, say so, wait for "go", run, beat.

    python -m engine.stage_process STAGE STATION.yaml BEAT_FD       (started by the supervisor only)

stdin: "go" and the monotonic time of stream time 0, then nothing; its end means that the supervisor is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from engine.config import load_station
from engine.errors import LockstepError
from engine.logs import log_to_stderr
from engine.stages import prepare
from engine.stages.wiring import EPOCH

BEAT_S = 0.1

log = logging.getLogger("lockstep.stage")


def main(stage: str, station: str, beats: int) -> int:
    os.set_blocking(beats, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_at_once)
    last_s = 0.0

    def beat(sign: bytes = b".") -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= BEAT_S or sign != b".":
            last_s = now_s
            with contextlib.suppress(BlockingIOError):
                os.write(beats, sign)

    try:
        config = load_station(Path(station))
        log_to_stderr(json_lines=config.health.json_logs, stage=stage)
        run = prepare(stage, config)
        beat(b"r")
        order = sys.stdin.readline().split()
        if not order:
            return 0
        os.environ[EPOCH] = order[1]
        threading.Thread(target=_end_with_supervisor, daemon=True).start()
        signal.signal(signal.SIGTERM, _stop)
        run(beat)
        return 0
    except LockstepError as error:
        log.error("%s", error)
        return 2
    except BrokenPipeError:  # the supervisor is gone
        return 1


def _end_at_once(number: int, _frame: Any) -> None:
    """Until it runs there is nothing to put in order, and libraries make other errors of an exit while they are imported."""
    os._exit(128 + number)


def _stop(number: int, _frame: Any) -> None:
    sys.exit(128 + number)  # in order, but not because the work is done: that is status 0


def _end_with_supervisor() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(status)  # libraries with threads of their own (MediaPipe) do not delay the end
