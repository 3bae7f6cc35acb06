"""The figures of followed stations: what was told against what is true, over all stations together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.messages import Event
from engine.sources.rendered import Truth, TruthEvent
from training.evaluate.online import scores
from training.evaluate.online.peers import PEERS
from training.evaluate.online.stations import Followed

CHANGING_S = 1.0
"""Rates "settled" leave out this much around each change between working and not: turning away takes that long."""
SLACK_S = 2.0
"""A told event may lie this far outside the span in which it happened."""
TOLD = {"phase_skipped": "skip", "phase_repeated": "repeat", "phase_out_of_order": "swap"}


def score(followings: list[Followed]) -> dict[str, Any]:
    """Every figure of online.md §5 over all stations together."""
    at: dict[str, list[NDArray[Any]]] = defaultdict(list)
    counts: dict[str, list[Any]] = defaultdict(list)
    hours = 0.0
    for f in followings:
        period_s = f.reference.duration_s
        error = scores.circular_error(f.position_s, f.true_position_s, period_s)
        at_work, away, gone = f.at_work, f.told_away, np.isin(f.true_status, ("off_task", "idle"))
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
        at["missed_absence"].append(~away[gone])
        at["false_absence"].append(away[at_work])
        changed = f.times_s[1:][np.diff(at_work.astype(int)) != 0]
        far = np.abs(f.times_s[:, None] - changed).min(axis=1, initial=np.inf) > CHANGING_S
        at["missed_absence_settled"].append(~away[gone & far])
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
    recovery = np.array(counts["recovery"])
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
        "recovery_median_s": _quantile(recovery, 0.5),
        "recovery_p95_s": _quantile(recovery, 0.95),
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


def deviations(truth: Truth, kind: str) -> list[TruthEvent]:
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
        true = deviations(f.truth, truth_kind)
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
    slow = [(_dwelt_s(f, e), e.details["limit_s"]) for e in f.events if e.event == "slow"]
    counts["slow"].append((len(slow), sum(took_s <= limit_s for took_s, limit_s in slow)))  # type: ignore[operator]
    cycles = f.truth.events_of("cycle")
    ends = [e.time_s for e in f.events if e.event == "cycle_finished"]
    counts["cycles"].append((len(cycles), len(ends)))
    pairs, _, _ = scores.pair_events([(e.end_s, e.end_s) for e in cycles], ends, 3.0)
    counts["boundary"] += [abs(ends[j] - cycles[i].end_s) for i, j in pairs]


def _dwelt_s(f: Followed, slow: Event) -> float:
    """Seconds truly spent at work, pauses included, in the phase that was told as slow, in that cycle."""
    now = min(int(np.searchsorted(f.times_s, slow.time_s)), len(f.frame) - 1)
    cycle = f.truth.cycle[f.frame]
    names = [phase.name for phase in f.reference.info.phases]
    there = f.at_work & (cycle == cycle[now]) & (f.true_phase == names.index(str(slow.phase)))
    return float(there.sum() / f.reference.info.rate_hz)


def _event_figures(counts: dict[str, list[Any]], hours: float) -> dict[str, Any]:
    total = {kind: np.sum(counts[kind], axis=0) for kind in ("skip", "repeat", "swap", "pause", "absence")}
    deviations = total["skip"] + total["repeat"] + total["swap"]
    slow = np.sum(counts["slow"], axis=0)
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
        "pauses_true": int(sum(total["pause"][:2])),
        "slow_told": int(slow[0]),
        "false_slow_per_hour": float(slow[1] / hours),
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
        for name, peer in PEERS.items():
            ticks = peer(reference, f.embeddings, int(f.truth.cycle.max()))
            position_s = ticks / f.reference.info.rate_hz
            phase = np.array([f.reference.phase_index(s) for s in position_s])
            error = scores.circular_error(position_s, f.true_position_s, f.reference.duration_s)
            out[name]["right"].append((phase == f.true_phase)[f.at_work])
            out[name]["error"].append(error[f.at_work])
    return {
        name: {
            "phase_accuracy": float(np.concatenate(arrays["right"]).mean()),
            "misaligned": float((np.concatenate(arrays["error"]) > scores.ALIGNED_S).mean()),
            "position_error_median_s": float(np.median(np.concatenate(arrays["error"]))),
        }
        for name, arrays in out.items()
    }
