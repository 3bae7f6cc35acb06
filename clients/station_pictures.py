"""Pictures of followed rendered stations beside their truth: belief, timeline, and how soon deviations were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from clients.alignment_pictures import posterior_figure
from clients.colours import phase_colour
from engine.messages import Event
from engine.sources.rendered import Truth, TruthEvent
from training.evaluate.online.station_scores import deviations
from training.evaluate.online.stations import Followed

_INK, _SOFT, _LINE, _AWAY, _TRUE, _TOLD = "#1d2433", "#667085", "#e4e7ec", "#98a2b3", "#b54708", "#b42318"
_TRULY = {
    "skip": "skips {}",
    "repeat": "repeats {}",
    "swap": "{} before its turn",
    "pause": "pauses",
    "leave": "leaves",
    "turn": "turns away",
}
_SAID = {
    "phase_skipped": "skipped {}",
    "phase_repeated": "repeated {}",
    "phase_out_of_order": "{} out of order",
    "paused": "paused",
    "off_task": "off task",
    "operator_lost": "nobody seen",
    "slow": "slow in {}",
    "cycle_abandoned": "cycle abandoned",
}
_RAISED = "alarm, when it was raised; a skip: once nothing makes up for it"
ASKED_S = 1.5
"""The median delay of an alarm that is asked."""


def draw_station(folder: Path, name: str, title: str, followed: Followed, belief: NDArray[np.floating]) -> None:
    """Writes NAME_belief.png and NAME_timeline.png; `belief` (T, N) is over the reference's positions."""
    belief_figure(title, followed, belief).savefig(folder / f"{name}_belief.png", dpi=120)
    timeline_figure(title, followed).savefig(folder / f"{name}_timeline.png", dpi=120)


def belief_figure(title: str, followed: Followed, belief: NDArray[np.floating]) -> Figure:
    """Heat strip of the belief over the reference with the true position on it, and what was wrong and was told above it."""
    reference = followed.reference
    phases = [(phase.name, phase.start_s, phase.end_s) for phase in reference.info.phases]
    truth_s = np.where(followed.at_work, followed.true_position_s, np.nan)
    away = 1.0 - belief.sum(axis=1)
    figure = posterior_figure(followed.times_s, belief, reference.duration_s, phases, truth_s, away)
    strip, below = figure.axes
    for i, event in enumerate(_wrong(followed.truth)):
        strip.axvspan(event.start_s, max(event.end_s, event.start_s + 0.15), color=_TRUE, alpha=0.16, lw=0)
        strip.text(
            event.start_s, 1.11 + 0.045 * (i % 2), _label(_TRULY, event.kind, event.phase), **_text(strip, _TRUE)
        )
    for i, told in enumerate(_alarms(followed.events)):
        strip.axvline(told.noticed_s, color=_TOLD, lw=0.9, ls=":")
        strip.text(told.noticed_s, 1.01 + 0.045 * (i % 2), _label(_SAID, told.event, told.phase), **_text(strip, _TOLD))
    legend = [
        Patch(color="#2f6fb0", label="belief of the live matcher"),
        Line2D([], [], color="#d55e00", lw=1.4, ls="--", label="true position"),
        Patch(color=_TRUE, alpha=0.3, label="deviation of the worker (upper words)"),
        Line2D([], [], color=_TOLD, lw=1.1, ls=":", label=f"{_RAISED} (lower words)"),
    ]
    for drawn in strip.findobj(Legend):
        drawn.remove()
    below.legend(handles=legend, loc="upper center", bbox_to_anchor=(0.5, -0.55), ncols=4, frameon=False, fontsize=9)
    strip.set_ylabel("position in the procedure (s on the reference)", color=_SOFT)
    below.set_xlabel("time of the recording (s)", color=_SOFT)
    figure.suptitle(f"{title}: where the live matcher believed the work to be", color=_INK, fontsize=12)
    return figure


def timeline_figure(title: str, followed: Followed) -> Figure:
    """Phases and cycles as they were above, as they were told below; deviations over the one, alarms under the other."""
    figure = Figure(figsize=(14, 4.6), facecolor="white", layout="constrained")
    axis = figure.subplots()
    times_s = followed.times_s
    was = np.where(followed.at_work, followed.true_phase, -1)
    said = np.where(followed.told_away, -1, followed.phase)
    for y, labels in ((1.15, was), (0.0, said)):
        edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
        ends_s = np.append(times_s, times_s[-1])
        for a, b in pairwise(edges):
            colour = phase_colour(int(labels[a])) if labels[a] >= 0 else _LINE
            axis.broken_barh([(ends_s[a], ends_s[b] - ends_s[a])], (y, 0.85), facecolors=colour, lw=0)
    for event in (event for event in followed.truth.events if event.kind == "cycle"):
        axis.plot([event.end_s] * 2, [1.15, 2.0], color=_INK, lw=1.4)
        axis.text(
            (event.start_s + event.end_s) / 2, 1.575, f"cycle {event.cycle}", ha="center", va="center", color=_INK
        )
    for told in (event for event in followed.events if event.event == "cycle_finished"):
        axis.plot([told.time_s] * 2, [0.0, 0.85], color=_INK, lw=1.4)
    for i, event in enumerate(_wrong(followed.truth)):
        axis.plot([event.start_s, max(event.end_s, event.start_s + 0.15)], [2.08] * 2, color=_TRUE, lw=4)
        axis.text(event.start_s, 2.2 + 0.22 * (i % 2), _label(_TRULY, event.kind, event.phase), color=_TRUE, fontsize=9)
    for i, told in enumerate(_alarms(followed.events)):
        y = -0.3 - 0.26 * (i % 3)  # alarms may follow each other within a second
        axis.plot([told.noticed_s] * 2, [0.0, y + 0.08], color=_TOLD, lw=0.8)
        axis.text(told.noticed_s + 0.15, y, _label(_SAID, told.event, told.phase), color=_TOLD, fontsize=9, va="center")
    axis.set_yticks([1.575, 0.425], ["as it was", "as it was told"])
    axis.set_ylim(-1.0, 2.7)
    axis.set_xlim(float(times_s[0]), float(times_s[-1]))
    axis.set_xlabel("time of the recording (s)", color=_SOFT)
    legend: list[Artist] = [
        Patch(color=phase_colour(i), label=phase.name) for i, phase in enumerate(followed.reference.info.phases)
    ]
    legend += [
        Patch(color=_LINE, label="away or between cycles"),
        Line2D([], [], color=_INK, lw=1.4, label="end of a cycle"),
        Line2D([], [], color=_TRUE, lw=4, label="deviation of the worker"),
        Line2D([], [], color=_TOLD, lw=0.8, label=_RAISED),
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.suptitle(f"{title}: what happened, and what was told", color=_INK, fontsize=12)
    _bare(axis)
    return figure


def delay_figure(curves: Mapping[str, Mapping[str, float]]) -> Figure:
    """Share of the deviations that were told within so many seconds: label → seconds → share, as the records have them.
    Every other curve is the control of the one before."""
    figure = Figure(figsize=(7.2, 4.6), facecolor="white", layout="constrained")
    axis = figure.subplots()
    for i, (label, shares) in enumerate(curves.items()):
        seconds = [0.0, *map(float, shares)]
        percent = [0.0, *(100 * share for share in shares.values())]
        axis.plot(seconds, percent, color=phase_colour(i), lw=2, ls=("-", "--")[i % 2], label=label)
    axis.plot([ASKED_S], [50], "D", color=_INK, ms=7, label=f"asked: half of them within {ASKED_S:g} s")
    axis.set_xlim(0, 5)
    axis.set_ylim(0, 104)
    axis.set_xlabel("seconds since the deviation was certain", color=_SOFT)
    axis.set_ylabel("deviations told (%)", color=_SOFT)
    axis.set_title("How soon skipped, repeated and swapped phases are told", color=_INK, fontsize=12)
    axis.grid(color=_LINE)
    axis.legend(frameon=False, loc="lower right", fontsize=9)
    _bare(axis)
    return figure


def _wrong(truth: Truth) -> list[TruthEvent]:
    """In order of time."""
    return sorted((event for kind in _TRULY for event in deviations(truth, kind)), key=lambda event: event.start_s)


def _alarms(told: Sequence[Event]) -> list[Event]:
    return [event for event in told if event.event in _SAID]


def _label(words: Mapping[str, str], kind: str, phase: str | None) -> str:
    return words[kind].format(phase)


def _text(axis: Axes, colour: str) -> dict[str, Any]:
    """Words above an axis, at a time."""
    return {"transform": axis.get_xaxis_transform(), "color": colour, "fontsize": 8, "va": "bottom"}


def _bare(axis: Axes) -> None:
    axis.tick_params(colors=_SOFT, length=0)
    for spine in axis.spines.values():
        spine.set_color(_LINE)
