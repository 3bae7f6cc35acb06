"""Which source a user means by what they wrote.

| written                     | source                                                        | default policy |
|-----------------------------|---------------------------------------------------------------|----------------|
| `0`, `/dev/video0`          | local camera                                                  | freshest       |
| `rtsp://…`, `http://…`, …   | network stream                                                | freshest       |
| `clip.mp4`                  | video file                                                    | every          |
| `frames/`, `images:DIR,fps=15` | folder of images                                           | every          |
| `tracks/a.npz`              | recorded poses                                                | every          |
| `synth:seed=3,cycles=5,…`   | rendered station (see rendered/options.py)                    | every          |
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from engine.errors import SourceError
from engine.sources.base import Policy, Source
from engine.sources.rendered.options import parse_options, station_params
from engine.sources.rendered.parameters import StationParams

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp", "srt")


def open_source(
    spec: str | StationParams,
    policy: Policy | None = None,
    epoch_s: float | None = None,
    memory: int | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Source:
    """The source a user means, under a policy; by default `freshest` for what is live and `every` for recordings.

    `freshest`: the newest frame wins, drops are counted, a hung driver is killed and a lost stream comes back; a
    recording plays in real time. `every`: all frames in order, as fast as they are asked for. `epoch_s` is the monotonic
    time of stream time 0 for who takes over a stream that another process began; `memory` is where live pictures go for
    others to see; `beat` is called while a live source waits (see `LiveSource`, `Paced`). Raises SourceError (ConfigError for options
    of a rendered station).
    """
    from engine.sources.live import LiveSource
    from engine.sources.pacing import Paced
    from engine.sources.recorded import RecordedPoses

    if policy is None:
        policy = "freshest" if isinstance(spec, str) and is_live(spec) else "every"
    if policy == "every":
        return open_reader(spec)
    if isinstance(spec, str) and _is_track(spec):
        return Paced(RecordedPoses(Path(spec)), epoch_s, beat)
    return LiveSource(spec, epoch_s, memory, beat)


def open_reader(spec: str | StationParams) -> Source:
    """The source itself, read within this process, every frame in order. Raises SourceError or ConfigError."""
    if isinstance(spec, StationParams):
        from engine.sources.rendered.station import RenderedStation

        return RenderedStation(spec)
    if spec.startswith("synth:"):
        return open_reader(station_params(parse_options(spec.removeprefix("synth:"))))
    if is_live(spec):
        from engine.sources.capture import Camera

        return Camera(int(spec) if spec.isdigit() else spec)
    if spec.startswith("images:"):
        return _images(spec.removeprefix("images:"))
    path = Path(spec)
    if spec and path.is_dir():
        return _images(spec)
    if _is_track(spec):
        from engine.sources.recorded import RecordedPoses

        return RecordedPoses(path)
    if not spec or not path.exists():
        raise SourceError(
            f"there is no source {spec!r}",
            expected="a camera number, a video file, an rtsp:// address, a folder of images, a .npz track or synth:…",
            found="no such file" if spec else "nothing",
            next_step="Check the path.",
        )
    from engine.sources.video import VideoFile

    return VideoFile(path)


def is_live(spec: str) -> bool:
    """Whether it is a camera or a network stream. Raises SourceError for an address nobody can read."""
    if _URL.match(spec):
        scheme = spec.split("://", 1)[0].lower()
        if scheme not in _SCHEMES:
            raise SourceError(
                f"cannot read {scheme}:// addresses",
                expected=", ".join(f"{s}://" for s in _SCHEMES),
                found=f"{scheme}://",
            )
        return True
    return spec.isdigit() or spec.startswith("/dev/video")


def _is_track(spec: str) -> bool:
    return spec.lower().endswith(".npz")


def _images(text: str) -> Source:
    from engine.sources.images import ImageFolder

    folder, _, rest = text.partition(",")
    if not rest:
        return ImageFolder(Path(folder))
    options = parse_options(rest)
    try:
        fps = float(options.pop("fps"))
        if options or not (math.isfinite(fps) and fps > 0):
            raise ValueError
    except (KeyError, ValueError):
        raise SourceError(
            "cannot read the options of a folder of images", expected="images:DIR,fps=15", found=text
        ) from None
    return ImageFolder(Path(folder), fps)
