"""The station's end of a capture process: start it, hear what it says, take its newest frame, kill it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from typing import Any

from engine.sources.frame_memory import Captured, FrameReader, anonymous_file


class CaptureChild:
    """One capture process: its memory, its bell and what it says."""

    def __init__(self, order: dict[str, Any], shared: int | None = None) -> None:
        """`shared`: a file in memory that others look into as well; None: one that only the two have, without a name."""
        memory = anonymous_file() if shared is None else os.dup(shared)
        self._copies = shared is None
        self._reader = FrameReader(memory)
        self._bell, bell = os.pipe()
        os.set_blocking(self._bell, False)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        try:
            # Its own session: Ctrl-C is for the station, which ends it in order. Its stderr goes nowhere: FFmpeg and
            # OpenCV print addresses with passwords there.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.sources.capture_process", str(memory), str(bell)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(memory, bell),
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(bell)
        self._memory = memory
        self._heard = b""
        self._said: list[dict[str, Any]] = []
        self.delivering = False
        assert self._process.stdin is not None and self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._tell(order)

    @property
    def pid(self) -> int:
        return self._process.pid

    def play(self) -> None:
        """Somebody looks from now on: a recording begins. A camera has long begun."""
        self._tell({"play": True})

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: `said` will tell
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def newest(self) -> Captured | None:
        """The newest frame, or None if there is none newer than the last one taken.

        Where the memory is shared it is a view, which may be written over once two more frames come.
        """
        captured = self._reader.newest(self._copies)
        self.delivering |= captured is not None
        return captured

    def wait(self, timeout_s: float) -> None:
        """Until a frame or a word comes, at most `timeout_s`."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._bell, self._process.stdout.fileno()], [], [], timeout_s)
        if self._bell in ready and not os.read(self._bell, 65536):
            time.sleep(0.01)  # its end of the bell is closed: it is going

    def said(self) -> dict[str, Any] | None:
        """`ended` or `failed`, once the process has said so or died and its last frame was taken; None while it runs."""
        dead = self._process.poll() is not None  # asked first: what it said before it died has arrived by then
        self._listen()
        over = next((message for message in self._said if "opened" not in message), None)
        if over is None and dead:
            over = {"failed": {"problem": f"the capture process died ({self._process.returncode})"}}
        return over if over is None or not self._reader.has_newer() else None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while chunk := os.read(self._process.stdout.fileno(), 65536):
                self._heard += chunk
        except BlockingIOError:
            pass
        *lines, self._heard = self._heard.split(b"\n")
        self._said += [json.loads(line) for line in lines]

    def wait_until_open(self, timeout_s: float) -> dict[str, Any]:
        """The `opened` message, or a `failed` one."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            self._listen()
            if self._said and "opened" in self._said[0]:
                return self._said[0]
            over = self.said()
            if over is not None:
                return over if "failed" in over else {"failed": {"problem": "the source has no frames"}}
            self.wait(0.2)
        return {"failed": {"problem": f"the source did not open within {timeout_s:.0f} s"}}

    def kill(self) -> None:
        """At once: a hung driver does not listen to anything milder."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: it goes when the driver lets it
            self._process.wait(2.0)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        os.close(self._bell)
        os.close(self._memory)
