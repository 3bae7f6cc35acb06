"""The stream benchmark as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TARGETS: dict[str, tuple[str, float]] = {
    "phase_accuracy": ("≥", 0.90),
    "position_error_median_s": ("≤", 0.15),
    "position_error_p95_s": ("≤", 0.5),
    "misaligned_clean": ("≤", 0.02),
    "misaligned_deviations": ("≤", 0.05),
    "cycle_progress_mae": ("≤", 0.02),
    "calibration_error": ("≤", 0.03),
    "recovery_median_s": ("≤", 0.7),
    "recovery_p95_s": ("≤", 1.5),
    "deviation_f1": ("≥", 0.90),
    "deviation_delay_median_s": ("≤", 1.5),
    "false_deviations_per_hour": ("≤", 0.5),
    "pause_recall": ("≥", 0.95),
    "pause_delay_median_s": ("≤", 1.5),
    "cycle_count_error": ("≤", 0.005),
    "cycle_boundary_median_s": ("≤", 0.5),
    "off_task_true_positive_rate": ("≥", 0.95),
    "off_task_false_positive_rate": ("≤", 0.01),
}
"""Of the project's design notes on the live side."""


def markdown(record: Mapping[str, Any]) -> str:
    lines = [
        f"Command: `{record['command']}`",
        "",
        f"{record['bundle']}, seed {record['seed']}, {record['machine']}.",
        "",
    ]
    if "penn" in record:
        lines += ["### Penn Action streams: phase accuracy", ""]
        for condition, methods in record["penn"].items():
            if isinstance(methods, Mapping) and "per_action" in methods:
                lines += _accuracies(condition, methods)
        if record["penn"].get("skipped"):
            lines += [f"Left out: {record['penn']['skipped']}.", ""]
    for section, title in (
        ("station", "Rendered stations through the pose estimator"),
        ("station_joints", "Rendered stations, true joints with jitter"),
    ):
        if section in record:
            lines += [f"### {title}", "", *_station(record[section])]
    return "\n".join(lines) + "\n"


def _accuracies(condition: str, methods: Mapping[str, Any]) -> list[str]:
    actions = list(next(iter(methods["per_action"].values())))
    rows = [f"| {condition.replace('_', ' ')} | mean | {' | '.join(actions)} |", "|---" * (len(actions) + 2) + "|"]
    for name, per_action in methods["per_action"].items():
        cells = " | ".join(f"{per_action[action]:.3f}" for action in actions)
        rows.append(f"| {name} | **{methods[name]:.3f}** | {cells} |")
    details = ", ".join(f"{name} {value:.3f}" for name, value in methods["lockstep_details"].items())
    return [*rows, "", f"Lockstep besides: {details}.", ""]


def _station(figures: Mapping[str, Any]) -> list[str]:
    rows = ["| figure | lockstep | target | matcher on raw keypoints |", "|---|---|---|---|"]
    for name, value in figures.items():
        if isinstance(value, Mapping):
            continue
        shown, control = _shown(value), _shown(figures["keypoints"][name])
        if name in TARGETS:
            sign, limit = TARGETS[name]
            rows.append(f"| {name} | {shown} | {sign} {limit:g}{_verdict(value, sign, limit)} | {control} |")
        else:
            rows.append(f"| {name} | {shown} | | {control} |")
    curve = ", ".join(f"{limit} s: {share:.2f}" for limit, share in figures["deviations_reported_within_s"].items())
    rows += ["", f"Deviations reported within — {curve}.", ""]
    peers = figures.get("peers", {})
    if peers:
        rows += ["| peer | phase accuracy | misaligned | position error, median s |", "|---|---|---|---|"]
        rows += [
            f"| {name} | {p['phase_accuracy']:.3f} | {p['misaligned']:.3f} | {p['position_error_median_s']:.2f} |"
            for name, p in peers.items()
        ]
        rows.append("")
    return rows


def _verdict(value: float | None, sign: str, limit: float) -> str:
    """None: nothing happened that could be judged."""
    return "" if value is None else " ✓" if (value >= limit if sign == "≥" else value <= limit) else " ✗"


def _shown(value: float | int | None) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
