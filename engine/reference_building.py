"""From demonstrations to a reference, in one function.

    recording → pose track → bundle's layout → tick grid → embeddings → cut → alignment and emission → reference

A demonstration is embedded whole and cut afterwards: what precedes the cut is then known to the model and its crop, as
it is live, where one cycle follows another. The first demonstration is cut where its user says; in the others, unless
they are cut too, the cycle is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder import embed_sequence, open_embedder
from engine.embedder.base import Embedder
from engine.errors import BadReference, DataError
from engine.matching import subsequence
from engine.matching.building import EmbeddedDemo, build_reference
from engine.phase_marks import on_reference_clock
from engine.pose.extraction import extract
from engine.pose.locating import open_locator
from engine.pose.opening import DEFAULT
from engine.pose.selection import Region
from engine.pose.track import PoseTrack
from engine.reference import Phase, Reference
from engine.resample import resample_track
from engine.retakes import retakes_of
from engine.sources.base import Source
from engine.sources.opening import open_source
from models import skeleton

SEEN_AT_LEAST = 0.5
"""Share of a demonstration's ticks in which the operator must be seen for it to show anything."""


@dataclass(frozen=True)
class Demonstration:
    """One recording of the procedure, or the part from `start_s` to `end_s` of it, on the recording's own clock."""

    recording: str | Path | PoseTrack | Source
    """Video, track (.npz) or whatever else can be opened as a source; or one of these already open."""
    start_s: float | None = None
    end_s: float | None = None

    @property
    def name(self) -> str:
        if isinstance(self.recording, (str, Path)):
            return Path(self.recording).name
        return self.recording.source if isinstance(self.recording, PoseTrack) else self.recording.name


def reference_from_recordings(
    demonstrations: Sequence[Demonstration],
    bundle: Bundle,
    phases: Sequence[Phase] | None = None,
    *,
    cyclic: bool = True,
    estimator: str = DEFAULT,
    model: str | Path | None = None,
    area: Region | None = None,
    runtime: str = "auto",
    each_frame: Callable[[str, float], None] | None = None,
) -> Reference:
    """A reference from one or several demonstrations.

    `phases` are marked on the first demonstration's own clock (see `engine.phase_marks`) and carried over to the others
    by alignment; None: the whole is one phase. A further demonstration without a cut may show more than the cycle: the
    stretch most like the first one is taken. A single demonstration is joined by retakes of itself. `each_frame` is told which recording has been read up to which second.
    Raises SourceError, DataError (recordings), PoseError, ConfigError (phases), BadReference, BundleError.
    """
    if not demonstrations:
        raise BadReference("no demonstration", expected="at least one recording", found="none")
    first = demonstrations[0]
    if phases:
        first = Demonstration(
            first.recording,
            phases[0].start_s if first.start_s is None else first.start_s,
            phases[-1].end_s if first.end_s is None else first.end_s,
        )
    embedder = open_embedder(bundle, runtime)
    embedded, clock = [], (0.0, 0.0)
    for demonstration in (first, *demonstrations[1:]):
        track = read_track(demonstration, bundle.info.layout, estimator, model, area, each_frame)
        times_s, demo = embed(track, demonstration, bundle.info.rate_hz, lambda poses: embed_sequence(embedder, poses))
        embedded.append(demo)
        if demonstration is first:
            clock = (float(times_s[0]), float(times_s[-1]) + 1.0 / bundle.info.rate_hz)
        elif demonstration.start_s is None and demonstration.end_s is None:
            a, b = subsequence.find(embedded[0].embeddings, demo.embeddings)
            embedded[-1] = EmbeddedDemo(demo.name, demo.embeddings[a:b], demo.poses[a:b])
    marks = on_reference_clock(phases, *clock) if phases else None
    return build_with_retakes(embedded, marks, embedder, cyclic=cyclic)


def build_with_retakes(
    demos: Sequence[EmbeddedDemo], phases: Sequence[Phase] | None, embedder: Embedder, *, cyclic: bool = True
) -> Reference:
    """As `build_reference`, a single demonstration joined by its retakes, which are neither named nor timed: nobody showed them."""
    takes = [*demos, *retakes_of(demos, embedder, cyclic)]
    reference = build_reference(takes, phases, embedder.bundle, cyclic=cyclic)
    info, count = reference.info, len(demos)
    shown = {"demonstrations": info.demonstrations[:count], "durations_s": info.durations_s[:count]}
    return Reference(
        info.model_copy(update=shown), reference.mean, reference.variance, reference.poses, reference.templates
    )


def read_track(
    demonstration: Demonstration,
    layout: str,
    estimator: str = DEFAULT,
    model: str | Path | None = None,
    area: Region | None = None,
    each_frame: Callable[[str, float], None] | None = None,
) -> PoseTrack:
    """The operator's poses in a demonstration's whole recording, in `layout`."""
    recording = demonstration.recording
    if isinstance(recording, (str, Path)) and Path(recording).suffix == ".npz":
        recording = PoseTrack.load(Path(recording))
    if isinstance(recording, PoseTrack):
        return _converted(recording, layout)
    source = open_source(str(recording)) if isinstance(recording, (str, Path)) else recording
    try:
        locator = open_locator(source, estimator, layout=layout, area=area, model=model)
        try:
            return extract(
                source,
                locator,
                estimator=estimator,
                each_frame=None if each_frame is None else lambda time_s: each_frame(demonstration.name, time_s),
            )
        finally:
            locator.close()
    finally:
        source.close()


def embed(
    track: PoseTrack,
    demonstration: Demonstration,
    rate_hz: float,
    embedded: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> tuple[NDArray[np.float64], EmbeddedDemo]:
    """Tick times (N,) on the recording's clock, and poses and embeddings at them, of the demonstrated part.

    `embedded`: poses (T, K, 3) of the whole recording at `rate_hz` → embeddings (T, D).
    Raises DataError: nothing left by the cut, or an operator who is hardly to be seen in it.
    """
    track.cut(demonstration.start_s, demonstration.end_s)  # says what is wrong with a cut that leaves nothing
    times_s, poses = resample_track(track.times_s, track.poses, rate_hz)
    start_s = -np.inf if demonstration.start_s is None else demonstration.start_s
    end_s = np.inf if demonstration.end_s is None else demonstration.end_s
    part = (times_s >= start_s - 1e-6) & (times_s < end_s - 1e-6)
    seen = float((poses[part][..., 2] > 0).any(axis=1).mean()) if part.any() else 0.0
    if seen < SEEN_AT_LEAST:
        raise DataError(
            f"the operator is hardly to be seen in {demonstration.name}",
            expected=f"a person in at least {SEEN_AT_LEAST:.0%} of it",
            found=f"{seen:.0%}",
            next_step="Look at the recording with `lockstep pose`, or record it again.",
        )
    embeddings = embedded(poses)
    return times_s[part], EmbeddedDemo(demonstration.name, embeddings[part], poses[part])


def _converted(track: PoseTrack, layout: str) -> PoseTrack:
    try:
        poses = skeleton.convert(track.poses, track.layout, layout)
    except KeyError as error:
        raise DataError(
            f"the track {track.source} does not fit the bundle",
            expected=f"poses that convert to {layout}",
            found=f"{track.layout} ({error.args[0]})",
            next_step="Use a bundle for this layout, or another pose estimator.",
        ) from None
    return PoseTrack(poses, track.times_s, layout, track.image_size, track.source, track.estimator, track.labels)
