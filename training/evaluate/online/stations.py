"""Rendered stations followed by the whole live path, beside their exact truth (`station_scores` compares the two).

    worker A, three takes ─► reference      worker B, deviations ─pixels→ pose ─► aligner ─► matches, events

`pixels`: drawn and seen by the real pose estimator. Otherwise the true joints, hidden ones missing and the others jittered, take
the estimator's place: no pixels, so hours of work can be judged in minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.aligner import Aligner
from engine.bundle import Bundle
from engine.embedder import open_embedder
from engine.events import EventDetector
from engine.matching.base import Match
from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.hmm import SwitchingMatcher
from engine.messages import Event
from engine.pose.locating import Locator
from engine.pose.opening import open_estimator
from engine.reference import Phase, Reference
from engine.resample import resample_track
from engine.sources.rendered import RenderedStation, StationParams, Truth, simulate
from engine.sources.rendered.truth import STATUSES
from training.evaluate.online import recordings

CYCLES, DEVIATIONS = 6, 4
DEMONSTRATIONS = 3
JITTER_PX = 2.5
"""Of the joints that stand in for the estimator's: about what MediaPipe shows on these figures."""


@dataclass
class Followed:
    """One station's ticks and events beside the truth, all arrays (T,)."""

    truth: Truth
    reference: Reference
    poses: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    times_s: NDArray[np.float64]
    position_s: NDArray[np.float64]
    phase: NDArray[np.int64]
    progress: NDArray[np.float64]
    confidence: NDArray[np.float64]
    status: NDArray[np.str_]
    events: list[Event]
    cycles_finished: int
    frame: NDArray[np.int64] = field(init=False)
    """Newest frame of the truth at each tick."""

    def __post_init__(self) -> None:
        self.frame = np.clip(
            np.searchsorted(self.truth.times_s, self.times_s + 1e-6, side="right") - 1, 0, len(self.truth) - 1
        )

    @property
    def true_phase(self) -> NDArray[np.int64]:
        return self.truth.phase[self.frame]

    @property
    def true_status(self) -> NDArray[np.str_]:
        return np.array(STATUSES)[self.truth.status[self.frame]]

    @property
    def at_work(self) -> NDArray[np.bool_]:
        """Truly at work, a pause in it included."""
        return (self.true_phase >= 0) & np.isin(self.true_status, ("on_task", "paused"))

    @property
    def told_away(self) -> NDArray[np.bool_]:
        return np.isin(self.status, ("off_task", "idle", "lost"))

    @property
    def true_position_s(self) -> NDArray[np.float64]:
        """On the reference's clock: the same share of the same phase."""
        phases = self.reference.info.phases
        start = np.array([phase.start_s for phase in phases])
        length = np.array([phase.end_s - phase.start_s for phase in phases])
        which = np.maximum(self.true_phase, 0)
        return start[which] + self.truth.phase_progress[self.frame] * length[which]


def seen_poses(params: StationParams) -> tuple[Truth, NDArray[np.float32]]:
    """Draws the station and looks at it with the real pose estimator: poses (T, 13, 3), one per frame."""
    estimator = open_estimator()
    try:
        locate = Locator(estimator, layout="body13")
        return simulate(params), np.stack([locate(frame) for frame in RenderedStation(params)])
    finally:
        estimator.close()


def jittered_joints(params: StationParams) -> tuple[Truth, NDArray[np.float32]]:
    """The true joints with noise that drifts from frame to frame, as an estimator's does."""
    truth = simulate(params)
    rng = np.random.default_rng([params.seed, 77])
    poses = truth.joints.copy()
    noise = np.zeros((*poses.shape[1:2], 2))
    for t in range(len(poses)):
        noise = 0.8 * noise + 0.6 * rng.normal(0.0, JITTER_PX, noise.shape)
        poses[t, :, :2] += noise
    poses[poses[..., 2] <= 0] = 0.0
    return truth, poses.astype(np.float32)


def workers(seed: int, count: int) -> Iterator[tuple[list[StationParams], StationParams]]:
    """For each station: three takes of one worker, and another worker with deviations."""
    for i in range(count):
        expert = StationParams.random(100_000 * seed + 2 * i, cycles=1, idle_s=1.0)
        takes = [replace(expert, seed=expert.seed * 1000 + take) for take in range(DEMONSTRATIONS)]
        yield takes, StationParams.random(100_000 * seed + 2 * i + 1, cycles=CYCLES, deviations=DEVIATIONS)


Recorded = tuple[Truth, NDArray[np.float32]]


def station_reference(takes: Iterable[Recorded], bundle: Bundle, space: str = "lockstep") -> Reference:
    """As a user would make it: each recording cut to its cycle, phases marked on the first."""
    demos: list[EmbeddedDemo] = []
    phases: list[Phase] = []
    for truth, poses in takes:
        (cycle,) = truth.events_of("cycle")
        if not phases:
            phases = [
                Phase(name=str(e.phase), start_s=e.start_s - cycle.start_s, end_s=e.end_s - cycle.start_s)
                for e in truth.events_of("phase")
            ]
        ticks_s, at_ticks = resample_track(truth.times_s, poses, bundle.info.rate_hz)
        within = (ticks_s >= cycle.start_s) & (ticks_s <= cycle.end_s)
        embed = recordings.embed([at_ticks], bundle) if space == "lockstep" else recordings.embed_keypoints([at_ticks])
        demos.append(EmbeddedDemo(f"take {len(demos) + 1}", embed[0][within], at_ticks[within]))
    return build_reference(demos, phases, bundle)


def follow(recorded: Recorded, reference: Reference, bundle: Bundle) -> Followed:
    """The live path, pose by pose: resampler, embedder, matcher and events as a station has them."""
    truth, poses = recorded
    aligner = Aligner(open_embedder(bundle), reference)
    steps = [
        step for t, pose in zip(truth.times_s, poses, strict=True) for step in aligner.push(float(t), float(t), pose)
    ]
    at_ticks = np.stack([step.tick.pose for step in steps])
    (embeddings,) = recordings.embed([at_ticks], bundle)
    events = [event for step in steps for event in step.events] + aligner.finish()
    ticks_s = [step.tick.time_s for step in steps]
    return _gathered(
        truth, reference, at_ticks, embeddings, ticks_s, [s.match for s in steps], events, aligner.detector
    )


def follow_keypoints(recorded: Recorded, reference: Reference) -> Followed:
    """The control: the same matcher and events, on normalised joints."""
    truth, poses = recorded
    rate_hz = reference.info.rate_hz
    ticks_s, at_ticks = resample_track(truth.times_s, poses, rate_hz)
    (embeddings,) = recordings.embed_keypoints([at_ticks])
    matcher, detector = SwitchingMatcher(reference), EventDetector(reference)
    matches: list[Match] = []
    events: list[Event] = []
    for pose, embedding, time_s in zip(at_ticks, embeddings, ticks_s.tolist(), strict=True):
        seen = bool((pose[:, 2] > 0).any())
        matches.append(matcher.step(embedding if seen else None, 1 / rate_hz, pose))
        events += detector.step(matches[-1], time_s, time_s, seen)
    events += detector.finish(matcher.remaining())
    return _gathered(truth, reference, at_ticks, embeddings, ticks_s.tolist(), matches, events, detector)


def belief_of(followed: Followed) -> NDArray[np.float32]:
    """What the matcher believed of each position of the reference at each tick (T, N): it follows once more."""
    matcher = SwitchingMatcher(followed.reference)
    dt_s = 1 / followed.reference.info.rate_hz
    beliefs = []
    for pose, embedding in zip(followed.poses, followed.embeddings, strict=True):
        matcher.step(embedding if (pose[:, 2] > 0).any() else None, dt_s, pose)
        beliefs.append(matcher.belief)
    return np.stack(beliefs)


def _gathered(
    truth: Truth,
    reference: Reference,
    poses: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    ticks_s: list[float],
    matches: list[Match],
    events: list[Event],
    detector: EventDetector,
) -> Followed:
    return Followed(
        truth,
        reference,
        poses,
        embeddings,
        times_s=np.array(ticks_s),
        position_s=np.array([m.position_s for m in matches]),
        phase=np.array([m.phase for m in matches]),
        progress=np.array([m.cycle_progress for m in matches]),
        confidence=np.array([m.confidence for m in matches]),
        status=np.array([m.status for m in matches]),
        events=events,
        cycles_finished=detector.cycles_finished,
    )
