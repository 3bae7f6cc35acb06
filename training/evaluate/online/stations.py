"""Rendered stations followed by the whole live path, against their exact truth.

    worker A, three takes ─► reference      worker B, deviations ─pixels→ pose ─► aligner ─► matches, events ─► figures

`pixels`: drawn and seen by the real pose estimator. Otherwise the true joints, hidden ones missing and the others jittered, take
the estimator's place: no pixels, so hours of work can be judged in minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

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
from engine.sources.rendered import RenderedStation, StationParams, Truth, TruthEvent, simulate
from training.evaluate.online import recordings, scores
from training.evaluate.online.peers import PEERS

CYCLES, DEVIATIONS = 6, 4
DEMONSTRATIONS = 3
JITTER_PX = 2.5
"""Of the joints that stand in for the estimator's: about what MediaPipe shows on these figures."""
CHANGING_S = 1.0
"""Rates "settled" leave out this much around each change between working and not: turning away takes that long."""
SLACK_S = 2.0
"""A told event may lie this far outside the span in which it happened."""
TOLD = {"phase_skipped": "skip", "phase_repeated": "repeat", "phase_out_of_order": "swap"}


@dataclass
class Followed:
    """One station's ticks and events beside the truth, all arrays (T,)."""

    truth: Truth
    reference: Reference
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
    (embeddings,) = recordings.embed([np.stack([step.tick.pose for step in steps])], bundle)
    events = [event for step in steps for event in step.events] + aligner.finish()
    ticks_s = [step.tick.time_s for step in steps]
    return _gathered(truth, reference, embeddings, ticks_s, [s.match for s in steps], events, aligner.detector)


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
    return _gathered(truth, reference, embeddings, ticks_s.tolist(), matches, events, detector)


def _gathered(
    truth: Truth,
    reference: Reference,
    embeddings: NDArray[np.float32],
    ticks_s: list[float],
    matches: list[Match],
    events: list[Event],
    detector: EventDetector,
) -> Followed:
    return Followed(
        truth,
        reference,
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


def score(followings: list[Followed]) -> dict[str, Any]:
    """Every figure of online.md §5 over all stations together."""
    at: dict[str, list[NDArray[Any]]] = defaultdict(list)
    counts: dict[str, list[Any]] = defaultdict(list)
    hours = 0.0
    for f in followings:
        period_s = f.reference.duration_s
        working = f.true_phase >= 0
        error = scores.circular_error(f.position_s, f.true_position_s, period_s)
        away = np.isin(f.status, ("off_task", "idle", "lost"))
        status = np.array(["on_task", "paused", "off_task", "idle"])[f.truth.status[f.frame]]
        at_work = working & np.isin(status, ("on_task", "paused"))
        disturbed = _disturbed(f)
        at["right"].append((f.phase == f.true_phase)[at_work])
        at["error"].append(error[at_work])
        at["clean"].append(error[at_work & ~disturbed])
        at["deviating"].append(error[at_work & disturbed])
        truth_progress = f.true_position_s / period_s
        counter = (np.arange(len(error)) / len(error) * f.truth.cycle.max()) % 1.0
        at["progress"].append(scores.circular_error(f.progress, truth_progress, 1.0)[at_work])
        at["counter"].append(scores.circular_error(counter, truth_progress, 1.0)[at_work])
        told_work = at_work & ~away
        at["confidence"].append(f.confidence[told_work])
        at["aligned"].append((error <= scores.ALIGNED_S)[told_work])
        at["missed_absence"].append(~away[np.isin(status, ("off_task", "idle"))])
        at["false_absence"].append(away[at_work])
        changed = f.times_s[1:][np.diff(at_work.astype(int)) != 0]
        far = np.abs(f.times_s[:, None] - changed).min(axis=1, initial=np.inf) > CHANGING_S
        at["missed_absence_settled"].append(~away[np.isin(status, ("off_task", "idle")) & far])
        at["false_absence_settled"].append(away[at_work & far])
        told_phase = np.where(away, -1, f.phase)
        for overlap in scores.OVERLAPS:
            counts[f"f1@{overlap}"].append(scores.segmental_f1(f.true_phase, told_phase, overlap / 100))
        counts["edit"].append(scores.edit_score(f.true_phase, told_phase))
        counts["pos"].append(scores.order_score(f.true_phase, told_phase))
        jumps = [e.start_s for e in f.truth.events_of("skip", "repeat", "swap")]
        counts["recovery"] += scores.recovery_s(f.times_s, error <= scores.ALIGNED_S, jumps)
        _score_events(f, counts)
        hours += (f.times_s[-1] - f.times_s[0]) / 3600
    joined = {name: np.concatenate(arrays) for name, arrays in at.items()}
    recovery = np.array(counts["recovery"]) if counts["recovery"] else np.array([np.nan])
    return {
        "phase_accuracy": float(joined["right"].mean()),
        "position_error_median_s": float(np.median(joined["error"])),
        "position_error_p95_s": float(np.quantile(joined["error"], 0.95)),
        "misaligned_clean": float((joined["clean"] > scores.ALIGNED_S).mean()),
        "misaligned_deviations": float((joined["deviating"] > scores.ALIGNED_S).mean())
        if len(joined["deviating"])
        else None,
        "cycle_progress_mae": float(joined["progress"].mean()),
        "cycle_progress_mae_frame_counter": float(joined["counter"].mean()),
        "calibration_error": scores.calibration_error(joined["confidence"], joined["aligned"]),
        "recovery_median_s": float(np.quantile(recovery, 0.5, method="nearest")),
        "recovery_p95_s": float(np.quantile(recovery, 0.95, method="nearest")),
        **{f"f1@{o}": scores.f1(*map(int, np.sum(counts[f"f1@{o}"], axis=0))) for o in scores.OVERLAPS},
        "edit": float(np.mean(counts["edit"])),
        "pos": float(np.mean(counts["pos"])),
        **_event_figures(counts, hours),
        "off_task_true_positive_rate": float(1 - joined["missed_absence"].mean())
        if len(joined["missed_absence"])
        else None,
        "off_task_false_positive_rate": float(joined["false_absence"].mean()),
        "off_task_true_positive_rate_settled": float(1 - joined["missed_absence_settled"].mean())
        if len(joined["missed_absence_settled"])
        else None,
        "off_task_false_positive_rate_settled": float(joined["false_absence_settled"].mean()),
        "stations": len(followings),
        "hours": hours,
    }


def _disturbed(f: Followed) -> NDArray[np.bool_]:
    """Ticks of cycles in which something went wrong."""
    wrong = {e.cycle for e in f.truth.events if e.kind not in ("cycle", "phase")}
    return np.isin(f.truth.cycle[f.frame], sorted(wrong))


def _deviations(truth: Truth, kind: str) -> list[TruthEvent]:
    """Two phases that have changed places are two events of the truth but one mistake."""
    events = truth.events_of(kind)
    if kind != "swap":
        return events
    first = {event.cycle: event for event in reversed(events)}
    last = {event.cycle: event for event in events}
    return [replace(first[cycle], end_s=last[cycle].end_s) for cycle in sorted(first)]


def settled_s(truth: Truth, deviation: TruthEvent) -> float:
    """When it is certain, to who knows all that has been done so far, that this is a deviation and which.

    A phase left out may be made up for (it would be out of order) until work goes beyond what came instead of it, or the cycle
    ends; a phase is repeated from the start of its second execution on; of two phases that changed places the earlier one is out
    of order once it begins.
    """
    if deviation.kind == "repeat":
        return deviation.start_s
    own = sorted((e for e in truth.events_of("phase") if e.cycle == deviation.cycle), key=lambda e: e.start_s)
    later = [e.start_s for e in own if e.start_s > deviation.start_s + 1e-6]
    (cycle_end,) = (e.end_s for e in truth.events_of("cycle") if e.cycle == deviation.cycle)
    return later[0] if later else cycle_end


def _score_events(f: Followed, counts: dict[str, list[Any]]) -> None:
    for kind, truth_kind in TOLD.items():
        true = _deviations(f.truth, truth_kind)
        told = [e for e in f.events if e.event == kind]
        cycle_end = {e.cycle: e.end_s for e in f.truth.events_of("cycle")}
        spans = [(e.start_s, cycle_end.get(e.cycle, e.end_s) if truth_kind == "skip" else e.end_s) for e in true]
        pairs, missed, false = scores.pair_events(spans, [e.time_s for e in told], SLACK_S)
        right = [(i, j) for i, j in pairs if truth_kind == "swap" or told[j].phase == true[i].phase]
        wrong = len(pairs) - len(right)
        counts[truth_kind].append((len(right), len(missed) + wrong, len(false) + wrong))
        never = [np.inf] * (len(missed) + wrong)
        counts["deviation_delay"] += [told[j].noticed_s - settled_s(f.truth, true[i]) for i, j in right] + never
        counts["onset_delay"] += [told[j].noticed_s - true[i].start_s for i, j in right] + never
        counts["report_delay"] += [told[j].noticed_s - told[j].time_s for _, j in right]
    true = f.truth.events_of("pause")
    told = [e for e in f.events if e.event == "paused"]
    pairs, missed, false = scores.pair_events([(e.start_s, e.end_s) for e in true], [e.noticed_s for e in told], 0.5)
    counts["pause"].append((len(pairs), len(missed), len(false)))
    counts["pause_delay"] += [told[j].noticed_s - true[i].start_s for i, j in pairs] + [np.inf] * len(missed)
    absences = [(e.start_s, e.end_s) for e in f.truth.events_of("leave", "turn")]
    told_s = [e.time_s for e in f.events if e.event in ("off_task", "operator_lost")]
    pairs, missed, false = scores.pair_events(absences, told_s, SLACK_S)
    # Who leaves the picture is told twice, as away from the task and as not seen: the second time is not false.
    again, _, _ = scores.pair_events(absences, [told_s[j] for j in false], SLACK_S)
    counts["absence"].append((len(pairs), len(missed), len(false) - len(again)))
    cycles = f.truth.events_of("cycle")
    ends = [e.time_s for e in f.events if e.event == "cycle_finished"]
    counts["cycles"].append((len(cycles), len(ends)))
    pairs, _, _ = scores.pair_events([(e.end_s, e.end_s) for e in cycles], ends, 3.0)
    counts["boundary"] += [abs(ends[j] - cycles[i].end_s) for i, j in pairs]


def _event_figures(counts: dict[str, list[Any]], hours: float) -> dict[str, Any]:
    total = {kind: np.sum(counts[kind], axis=0) for kind in ("skip", "repeat", "swap", "pause", "absence")}
    deviations = total["skip"] + total["repeat"] + total["swap"]
    cycles = np.array(counts["cycles"])
    delays, boundary = np.array(counts["deviation_delay"]), np.array(counts["boundary"])
    pause_delay = np.array(counts["pause_delay"])
    return {
        **{f"{kind}_f1": _f1(total[kind]) for kind in ("skip", "repeat", "swap", "absence")},
        "deviation_f1": _f1(deviations),
        "deviation_delay_median_s": _quantile(delays, 0.5),
        "deviation_delay_from_onset_median_s": _quantile(np.array(counts["onset_delay"]), 0.5),
        "report_delay_median_s": _quantile(np.array(counts["report_delay"]), 0.5),
        "deviations_reported_within_s": scores.within(delays),
        "false_deviations_per_hour": float(deviations[2] / hours),
        "pause_recall": float(total["pause"][0] / sum(total["pause"][:2])) if any(total["pause"][:2]) else None,
        "pause_delay_median_s": _quantile(pause_delay, 0.5),
        "pause_delay_p95_s": _quantile(pause_delay, 0.95),
        "false_pauses_per_hour": float(total["pause"][2] / hours),
        "cycles_true": int(cycles[:, 0].sum()),
        "cycles_counted": int(cycles[:, 1].sum()),
        "cycle_count_error": float(np.abs(cycles[:, 0] - cycles[:, 1]).sum() / max(cycles[:, 0].sum(), 1)),
        "cycle_boundary_median_s": _quantile(boundary, 0.5),
        "cycle_boundary_p95_s": _quantile(boundary, 0.95),
        "deviations_true": int(deviations[0] + deviations[1]),
    }


def _f1(counts: NDArray[np.int64]) -> float | None:
    """Of (found, missed, false); None where nothing happened and nothing was told."""
    return scores.f1(*map(int, counts)) if counts.any() else None


def _quantile(values: NDArray[np.float64], share: float) -> float | None:
    if not len(values):
        return None
    value = float(np.quantile(values, share, method="nearest"))
    return value if np.isfinite(value) else None


def peer_figures(followings: list[Followed]) -> dict[str, dict[str, float]]:
    """The peers on the same embeddings and references: phase accuracy and misalignment at work."""
    out: dict[str, dict[str, list[NDArray[Any]]]] = {name: defaultdict(list) for name in PEERS}
    for f in followings:
        reference = f.reference.templates[0]
        working = f.true_phase >= 0
        for name, peer in PEERS.items():
            ticks = peer(reference, f.embeddings, int(f.truth.cycle.max()))
            position_s = ticks / f.reference.info.rate_hz
            phase = np.array([f.reference.phase_index(s) for s in position_s])
            error = scores.circular_error(position_s, f.true_position_s, f.reference.duration_s)
            out[name]["right"].append((phase == f.true_phase)[working])
            out[name]["error"].append(error[working])
    return {
        name: {
            "phase_accuracy": float(np.concatenate(arrays["right"]).mean()),
            "misaligned": float((np.concatenate(arrays["error"]) > scores.ALIGNED_S).mean()),
            "position_error_median_s": float(np.median(np.concatenate(arrays["error"]))),
        }
        for name, arrays in out.items()
    }
