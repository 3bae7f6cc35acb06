"""Pictures a person understands: the timeline of a run, with its cycles, phases, deviations, and the truth where known."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from matplotlib.patches import Patch
from numpy.typing import NDArray

from clients.colours import phase_colour
from engine.messages import Event
from engine.timeline import STATUSES, Timeline

_STATUS_COLOURS = {"paused": "#475467", "off_task": "#b42318", "idle": "#eaecf0", "lost": "#98a2b3"}
_INK, _SOFT, _LINE = "#1d2433", "#667085", "#e4e7ec"

# Events worth a mark, and its colour; starts and ends of phases are seen in the strip already.
_MARKS = {
    "cycle_finished": ("▲", "#067647"),
    "cycle_abandoned": ("✕", "#b42318"),
    "phase_skipped": ("▼", "#b42318"),
    "phase_repeated": ("■", "#b54708"),
    "phase_out_of_order": ("◆", "#b54708"),
    "paused": ("●", "#475467"),
    "off_task": ("●", "#b42318"),
    "slow": ("●", "#b54708"),
    "operator_lost": ("○", "#b42318"),
    "stream_lost": ("○", "#b42318"),
}


def timeline_figure(timeline: Timeline) -> Figure:
    """Strips of phases (found, and true where known), progress of the cycle, rate, and events, over the run's time."""
    times_s = timeline.column("time_s")
    rows = ["phases", "progress", "rate", "events"]
    figure = Figure(figsize=(14, 6.2), facecolor="white")
    axes = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": [1.5, 2, 1.1, 1.0], "hspace": 0.16})
    for axis, label in zip(axes, rows, strict=True):
        axis.set_ylabel(label, color=_SOFT, rotation=0, ha="right", va="center")
        axis.tick_params(colors=_SOFT, length=0)
        for side in ("top", "right", "left", "bottom"):
            axis.spines[side].set_color(_LINE)
    strip, progress, rate, marks = axes

    _phase_strip(strip, timeline)
    if timeline.has_truth:
        at_work = timeline.column("truth_phase") >= 0
        progress.plot(times_s, _gapped(timeline.column("truth_progress"), at_work), color="#98a2b3", lw=4, label="true")
    working = timeline.column("phase") >= 0
    progress.plot(times_s, _gapped(timeline.column("cycle_progress"), working), color=_INK, lw=1.3, label="found")
    progress.fill_between(
        times_s, 0, timeline.column("confidence"), color="#56b4e9", alpha=0.18, lw=0, label="confidence"
    )
    progress.set_ylim(0, 1.04)
    progress.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)

    rate.plot(times_s, _gapped(timeline.column("rate"), working), color="#0072b2", lw=1.2)
    rate.axhline(1.0, color="#98a2b3", lw=0.8, ls=":")
    rate.set_ylim(0, 3.1)
    rate.text(1.008, 0.5, "1 = expert's pace", transform=rate.transAxes, color=_SOFT, fontsize=9, va="center")

    _event_marks(marks, timeline.events)
    marks.set_xlabel("seconds", color=_SOFT)
    if len(times_s) > 1:
        marks.set_xlim(times_s[0], times_s[-1])
    return figure


def _phase_strip(axis: Any, timeline: Timeline) -> None:
    lanes = [("found", "phase")] + ([("true", "truth_phase")] if timeline.has_truth else [])
    names = timeline.phase_names
    for lane, (_, column) in enumerate(lanes):
        y = len(lanes) - 1 - lane
        for name, start, end in timeline.segments(column):
            axis.broken_barh([(start, end - start)], (y + 0.08, 0.84), facecolors=phase_colour(names.index(name)), lw=0)
    times_s, status = timeline.column("time_s"), timeline.column("status")
    for name, colour in _STATUS_COLOURS.items():
        for start, end in _runs(times_s, status == STATUSES.index(name)):
            # A pause is within a phase: a thin line over its colour. The rest is instead of one.
            span = (len(lanes) - 1 + 0.08, 0.14 if name == "paused" else 0.84)
            axis.broken_barh([(start, end - start)], span, facecolors=colour, lw=0)
    axis.set_ylim(0, len(lanes))
    axis.set_yticks([len(lanes) - 0.5 - lane for lane in range(len(lanes))], [label for label, _ in lanes])
    handles = [Patch(color=phase_colour(i), label=name) for i, name in enumerate(names)]
    seen = [name for name in _STATUS_COLOURS if (status == STATUSES.index(name)).any()]
    handles += [Patch(color=_STATUS_COLOURS[name], label=name.replace("_", " ")) for name in seen]
    axis.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.02),
        ncols=10,
        frameon=False,
        fontsize=9,
        borderaxespad=0,
    )


def _event_marks(axis: Any, events: list[Event]) -> None:
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    kinds = [kind for kind in _MARKS if any(event.event == kind for event in events)]
    for kind in kinds:
        symbol, colour = _MARKS[kind]
        for event in events:
            if event.event == kind:
                axis.text(
                    event.time_s,
                    0.68,
                    symbol,
                    color=colour,
                    ha="center",
                    va="center",
                    fontsize=11,
                    family="DejaVu Sans",
                )
                axis.plot([event.time_s] * 2, [0, 0.45], color=colour, lw=0.8)
    texts = [text for kind in kinds for text in (_MARKS[kind], (kind.replace("_", " ") + "  ", _SOFT))]
    legend: list[Artist] = [
        TextArea(text, textprops={"color": colour, "fontsize": 9, "family": "DejaVu Sans"})
        for text, colour in texts or [("no events", _SOFT)]
    ]
    axis.add_artist(
        AnchoredOffsetbox(
            "upper left",
            child=HPacker(children=legend, pad=0, sep=4),
            bbox_to_anchor=(0, -0.5),
            bbox_transform=axis.transAxes,
            frameon=False,
            pad=0,
            borderpad=0,
        )
    )


def _runs(times_s: NDArray[np.float64], where: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Start and end of each unbroken stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], where.astype(int), [0]])))
    last = len(times_s) - 1
    return [(float(times_s[a]), float(times_s[min(b, last)])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _gapped(values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values with gaps where there is nothing to say, and where progress falls back to a new cycle."""
    out = np.where(where, values, np.nan)
    out[1:][np.abs(np.diff(values)) > 0.5] = np.nan
    return out
