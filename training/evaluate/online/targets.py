"""The figures of followed stations in words, and what was promised of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]

LEAST_HOURS = 2.0
"""Of less, a rate per hour says nothing: one event in an hour is anything from 0 to 5.6 an hour (95 % of a Poisson count)."""
OURS = "¹"
"""Marks a target that is ours, not one of the design notes."""


@dataclass(frozen=True)
class Row:
    """A figure of `station_scores.score` in words, with its target if it has one."""

    name: str
    words: str
    sign: str = ""
    bound: float = 0.0
    ours: bool = False
    share_of: str | None = None
    """What counts is the share of this other figure."""
    where: str | None = None
    """How often there was something to find: where there was, and the figure is missing, it never came."""

    @property
    def per_hour(self) -> bool:
        return self.name.endswith("_per_hour")

    @property
    def target(self) -> str:
        if not self.sign:
            return ""
        return f"{self.sign} {self.bound:g}{' per hour' if self.per_hour else ''}{OURS if self.ours else ''}"

    def value(self, figures: Figures) -> float | int | None:
        """As in the record, but for rates per hour: of them the number of events, since hours are few."""
        value = figures.get(self.name)
        if value is None:
            return None
        if self.per_hour:
            return round(value * figures["hours"])
        return value / figures[self.share_of] if self.share_of else value

    def reached(self, figures: Figures) -> bool | None:
        """None: nothing happened that could be judged."""
        value = self.value(figures)
        if value is None:
            return False if self.where and figures.get(self.where) else None
        return value >= self.bound if self.sign == "≥" else value <= self.bound

    def verdict(self, runs: Sequence[Figures]) -> str:
        """Of all runs together: ✓ where each reached the target, rates per hour over the hours of all."""
        if not self.sign:
            return ""
        if self.per_hour:
            hours = sum(run["hours"] for run in runs)
            rate = sum(self.value(run) or 0 for run in runs) / hours
            return "too short" if hours < LEAST_HOURS else f"{rate:.2f} per hour {mark(rate <= self.bound)}"
        judged = [reached for run in runs if (reached := self.reached(run)) is not None]
        if not judged:
            return ""
        return mark(all(judged)) + (f" ({sum(judged)} of {len(judged)})" if any(judged) and not all(judged) else "")


def mark(reached: bool | None) -> str:
    return "" if reached is None else "✓" if reached else "✗"


ROWS = (
    Row("hours", "hours judged"),
    Row("stations", "stations"),
    Row("cycles_true", "cycles, truly"),
    Row("deviations_true", "deviations, truly (skipped, repeated or swapped phases)"),
    Row("phase_accuracy", "phase accuracy", "≥", 0.90, ours=True),
    Row("position_error_median_s", "position error, median (s)", "≤", 0.15),
    Row("position_error_p95_s", "position error, 95th percentile (s)", "≤", 0.5),
    Row("misaligned_clean", "misaligned, cycles without deviation", "≤", 0.02),
    Row("misaligned_deviations", "misaligned, cycles with one", "≤", 0.05),
    Row("cycle_progress_mae", "cycle progress, mean error", "≤", 0.02),
    Row(
        *("cycle_progress_mae", "the same, as a share of a frame counter's", "≤", 0.5),
        share_of="cycle_progress_mae_frame_counter",
    ),
    Row("calibration_error", "calibration error of the confidence", "≤", 0.03),
    Row("recovery_median_s", "recovery after a jump, median (s)", "≤", 0.7, where="deviations_true"),
    Row("recovery_p95_s", "recovery after a jump, 95th percentile (s)", "≤", 1.5, where="deviations_true"),
    Row("skip_f1", "F1 of skipped phases", "≥", 0.90),
    Row("repeat_f1", "F1 of repeated phases", "≥", 0.90),
    Row("swap_f1", "F1 of swapped phases", "≥", 0.90),
    Row("deviation_f1", "F1 of all three", "≥", 0.90),
    Row(
        *("deviation_delay_median_s", "delay of their alarm, from when it is certain, median (s)", "≤", 1.5),
        where="deviations_true",
    ),
    Row("deviation_delay_from_onset_median_s", "the same, from when it began, median (s)"),
    Row("report_delay_median_s", "the same, from the time that the event names, median (s)"),
    Row("false_deviations_per_hour", "false alarms of deviations", "≤", 0.5),
    Row("false_slow_per_hour", "false `slow`"),
    Row("pause_recall", "pauses told", "≥", 0.95),
    Row("pause_delay_median_s", "delay of a pause, median (s)", "≤", 1.5, where="pauses_true"),
    Row("pause_delay_p95_s", "delay of a pause, 95th percentile (s)"),
    Row("false_pauses_per_hour", "false pauses"),
    Row("cycle_count_error", "error of the number of cycles", "≤", 0.005),
    Row("cycle_boundary_median_s", "error of the end of a cycle, median (s)", "≤", 0.5),
    Row("cycle_boundary_p95_s", "error of the end of a cycle, 95th percentile (s)"),
    Row("off_task_true_positive_rate", "away, told so (share of ticks)", "≥", 0.95),
    Row("off_task_false_positive_rate", "at work, told as away (share of ticks)", "≤", 0.01),
    Row("off_task_true_positive_rate_settled", "away, told so, settled"),
    Row("off_task_false_positive_rate_settled", "at work, told as away, settled"),
    Row("absence_f1", "F1 of absences"),
    Row("f1@10", "segmental F1 at 10 % overlap"),
    Row("f1@25", "segmental F1 at 25 % overlap"),
    Row("f1@50", "segmental F1 at 50 % overlap"),
    Row("edit", "segmental edit score"),
    Row("pos", "procedure order similarity (POS)"),
)
