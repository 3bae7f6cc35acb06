"""The capture process: opens a source, drains it, publishes its newest frame in shared memory. Killed when it hangs.

    python -m engine.sources.capture_process MEMORY_FD BELL_FD   (started by live.LiveSource only)

stdin: one JSON line that says what to open, another once somebody looks (a recording waits for that, so that it does not run
while a station is still loading); its end means that the station is gone. stdout: JSON lines `opened`,
`failed`, `ended`. The bell gets one byte per frame. What to open may hold a password, so it is never an argument.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from engine.errors import LockstepError
from engine.sources.base import Frame, Source
from engine.sources.frame_memory import Captured, FrameWriter
from engine.sources.names import without_credentials
from engine.sources.opening import open_reader
from engine.sources.pacing import in_real_time
from engine.sources.rendered import StationParams


def main(memory: int, bell: int) -> None:
    order = json.loads(sys.stdin.readline())
    playing = threading.Event()
    threading.Thread(target=_listen, args=(playing,), daemon=True).start()
    os.set_blocking(bell, False)
    try:
        params = order.get("params")
        source = open_reader(StationParams.from_json(params) if params else order["spec"])
        _say(opened={"name": source.name, "fps": source.fps, "size": source.size})
        writer = FrameWriter(memory)
        if not source.live:
            playing.wait()
        for frame in _frames(source, order["epoch_s"], order["first_index"]):
            writer.write(Captured(frame.index, frame.time_s, frame.captured_monotonic_s, frame.image))
            with contextlib.suppress(BlockingIOError):  # a station that does not look has enough bells waiting
                os.write(bell, b".")
    except LockstepError as error:
        _say(
            failed={
                "problem": without_credentials(error.problem),
                "expected": error.expected,
                "found": without_credentials(error.found),
                "next_step": error.next_step,
            }
        )
    except Exception as error:  # anything OpenCV throws: the station decides what becomes of it
        _say(failed={"problem": without_credentials(f"capture failed: {error}")})
    else:
        _say(ended={})


def _frames(source: Source, epoch_s: float | None, first_index: int) -> Iterator[Frame]:
    """Frames as they come from a camera, or in real time from a recording. `epoch_s`: monotonic time of stream time 0,
    where that was before this process. A camera then counts on from `first_index`; a recording goes on where a camera would be by now.
    """
    if not source.live:
        return in_real_time(source, time.monotonic() if epoch_s is None else epoch_s)  # type: ignore[arg-type]
    if epoch_s is None:
        return iter(source)
    return (
        replace(frame, index=first_index + frame.index, time_s=max(0.0, frame.captured_monotonic_s - epoch_s))
        for frame in source
    )


def _say(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _listen(playing: threading.Event) -> None:
    """Until the station is gone."""
    while sys.stdin.readline():
        playing.set()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
