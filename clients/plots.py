"""Pictures a person understands: the timeline of a run, with its cycles, phases, deviations, and the truth where known.

A run of few cycles is drawn tick by tick. Of a shift, whose cycles would be thinner than a line, every cycle's time is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray
from rich.cells import cell_len

from clients.colours import DARK_COLOURS, PHASE_COLOURS, phase_colour
from clients.fonts import shortened, use_fonts
from engine.messages import Event
from engine.timeline import STATUSES, Timeline

WIDTH_IN = 14.0
MARGIN_IN = 1.6
MANY_CYCLES = 60
"""From so many on a cycle would be narrower than a fifth of an inch, and is drawn as one bar."""
LANE_IN = 0.24
NAME_SHOWN = 28
"""Characters of a phase's name in the legend."""

_STATUS_COLOURS = {"paused": "#475467", "off_task": "#b42318", "idle": "#eaecf0", "lost": "#98a2b3"}
_INK, _SOFT, _LINE = "#1d2433", "#667085", "#e4e7ec"

# Events worth a mark, its shape and colour; starts and ends of phases are seen in the strip already.
_MARKS = {
    "cycle_finished": ("^", "#067647"),
    "cycle_abandoned": ("X", "#b42318"),
    "phase_skipped": ("v", "#b42318"),
    "phase_repeated": ("s", "#b54708"),
    "phase_out_of_order": ("D", "#b54708"),
    "slow": ("p", "#b54708"),
    "paused": ("o", "#475467"),
    "off_task": ("o", "#b42318"),
    "operator_lost": ("*", "#b42318"),
    "stream_lost": ("*", "#b42318"),
    "stage_down": ("*", "#b42318"),
}
_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)


def timeline_figure(timeline: Timeline, title: str = "") -> Figure:
    """Over the run's time: phases (found, and true where known), progress of the cycle, rate and events; of a run of many
    cycles, how long each phase of each cycle took, and events."""
    use_fonts()
    finished = [event for event in timeline.events if event.event == "cycle_finished"]
    many = len(finished) >= MANY_CYCLES
    occurred = {event.event for event in timeline.events} - ({"cycle_finished"} if many else set())  # bars show them
    kinds = [kind for kind in _MARKS if kind in occurred]
    events_in = LANE_IN * max(1, len(kinds)) + 0.1
    heights = [3.2, events_in] if many else [1.3, 1.8, 1.0, events_in]
    legend = _phase_legend(timeline, with_statuses=not many)
    columns = _columns([str(patch.get_label()) for patch in legend])
    top_in, gap_in, bottom_in = 0.5 + 0.22 * -(-len(legend) // columns), 0.36, 0.6
    height_in = top_in + sum(heights) + gap_in * (len(heights) - 1) + bottom_in
    figure = Figure(figsize=(WIDTH_IN, height_in), facecolor="white")
    axes, y = [], height_in - top_in
    for height in heights:
        y -= height
        box = (MARGIN_IN / WIDTH_IN, y / height_in, 1 - (MARGIN_IN + 0.4) / WIDTH_IN, height / height_in)
        axis = figure.add_axes(box)
        axis.tick_params(colors=_SOFT, length=0, labelbottom=False)
        for spine in axis.spines.values():
            spine.set_color(_LINE)
        axes.append(axis)
        y -= gap_in
    if title:
        figure.text(MARGIN_IN / WIDTH_IN, 1 - 0.24 / height_in, title, color=_INK, fontsize=13, va="center")
    anchor = (0, 1 + 0.05 / heights[0])
    axes[0].legend(handles=legend, loc="lower left", bbox_to_anchor=anchor, ncols=columns, **_plain(borderaxespad=0))

    times_s = timeline.column("time_s")
    last_s = max(1.0, float(times_s[-1])) if len(times_s) else 1.0
    for axis in axes:
        axis.set_xlim(0.0, last_s)
    if many:
        _cycle_times(axes[0], finished, timeline.phase_names)
    else:
        _phase_strip(axes[0], timeline, last_s)
        _progress(axes[1], timeline)
        _rate(axes[2], timeline)
    _event_marks(axes[-1], timeline.events, kinds, fine=many)
    _time_axis(axes[-1], last_s)
    return figure


def _phase_legend(timeline: Timeline, *, with_statuses: bool) -> list[Patch]:
    names = timeline.phase_names
    numbered = len(names) > len(PHASE_COLOURS)  # colours come again, numbers do not
    patches = [
        Patch(color=phase_colour(i), label=shortened(f"{i + 1} {name}" if numbered else name, NAME_SHOWN))
        for i, name in enumerate(names)
    ]
    if with_statuses:
        status = timeline.column("status")
        seen = [name for name in _STATUS_COLOURS if (status == STATUSES.index(name)).any()]
        patches += [Patch(color=_STATUS_COLOURS[name], label=name.replace("_", " ")) for name in seen]
    return patches


def _columns(labels: Sequence[str]) -> int:
    """How many entries of a legend fit side by side: about 13 characters an inch, and 0.6 inches for the patch."""
    widest_in = max((cell_len(label) for label in labels), default=1) / 13 + 0.6
    return max(1, min(len(labels), int((WIDTH_IN - MARGIN_IN - 0.4) / widest_in)))


def _phase_strip(axis: Axes, timeline: Timeline, last_s: float) -> None:
    lanes = [("found", "phase")] + ([("true", "truth_phase")] if timeline.has_truth else [])
    names = timeline.phase_names
    numbered = len(names) > len(PHASE_COLOURS)
    in_per_s = (WIDTH_IN - MARGIN_IN - 0.4) / last_s
    for lane, (_, column) in enumerate(lanes):
        y = len(lanes) - 1 - lane
        for name, start, end in _joined(timeline.segments(column), len(names)):
            index = names.index(name)
            axis.broken_barh([(start, end - start)], (y + 0.08, 0.84), facecolors=phase_colour(index), lw=0)
            # Named where there is room: colours alone are little help to many, and come again after the eighth.
            room = int(13 * (end - start) * in_per_s) - 1
            words = name if cell_len(name) <= room else str(index + 1) if numbered and room >= 1 else ""
            ink = "white" if phase_colour(index) in DARK_COLOURS else _INK
            axis.text((start + end) / 2, y + 0.55, words, color=ink, fontsize=9, ha="center", va="center")
    times_s, status = timeline.column("time_s"), timeline.column("status")
    for name, colour in _STATUS_COLOURS.items():
        for start, end in _runs(times_s, status == STATUSES.index(name)):
            # A pause is within a phase: a thin line over its colour. The rest is instead of one.
            span = (len(lanes) - 1 + 0.08, 0.14 if name == "paused" else 0.84)
            axis.broken_barh([(start, end - start)], span, facecolors=colour, lw=0)
    axis.set_ylim(0, len(lanes))
    axis.set_yticks([len(lanes) - 0.5 - lane for lane in range(len(lanes))], [f"phase {label}" for label, _ in lanes])


def _joined(segments: Sequence[tuple[str, float, float]], phases: int) -> list[tuple[str, float, float]]:
    """Pieces of one phase as one: a cycle gets its number in the middle of its first phase. Of a single phase each is a cycle."""
    joined: list[tuple[str, float, float]] = []
    for name, start, end in segments:
        if phases > 1 and joined and joined[-1][0] == name and joined[-1][2] == start:
            start = joined.pop()[1]
        joined.append((name, start, end))
    return joined


def _progress(axis: Axes, timeline: Timeline) -> None:
    times_s = timeline.column("time_s")
    if timeline.has_truth:
        at_work = timeline.column("truth_phase") >= 0
        axis.plot(times_s, _gapped(timeline.column("truth_progress"), at_work), color="#98a2b3", lw=4, label="true")
    working = timeline.column("phase") >= 0
    axis.plot(times_s, _gapped(timeline.column("cycle_progress"), working), color=_INK, lw=1.3, label="found")
    confidence = timeline.column("confidence")
    axis.fill_between(times_s, 0, confidence, color="#56b4e9", alpha=0.18, lw=0, label="confidence")
    axis.set_ylim(0, 1.04)
    axis.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axis.set_title("progress of the cycle", loc="left", color=_SOFT, fontsize=10, pad=4)
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, **_plain(borderaxespad=0.2))


def _rate(axis: Axes, timeline: Timeline) -> None:
    working = timeline.column("phase") >= 0
    axis.plot(timeline.column("time_s"), _gapped(timeline.column("rate"), working), color="#0072b2", lw=1.2)
    axis.axhline(1.0, color="#98a2b3", lw=0.8, ls=":")
    axis.set_ylim(0, 3.1)
    axis.set_yticks([0, 1, 2, 3], ["0", "1×", "2×", "3×"])
    axis.set_title("rate (1× = the reference's)", loc="left", color=_SOFT, fontsize=10, pad=4)


def _cycle_times(axis: Axes, finished: list[Event], names: list[str]) -> None:
    """Every finished cycle as a bar up to its end: its phases' durations on top of each other."""
    known = [
        (event.time_s, durations)
        for event in finished
        if isinstance(durations := event.details.get("durations_s"), list) and len(durations) == len(names)
    ]
    if not known:
        return
    ends_s = np.array([time_s for time_s, _ in known])
    tops = np.cumsum([durations for _, durations in known], axis=1)
    widths = np.minimum(np.diff(ends_s, prepend=ends_s[0] - tops[0, -1]), tops[:, -1])
    bottoms = np.column_stack([np.zeros(len(tops)), tops[:, :-1]])
    for index in range(len(names)):
        heights = tops[:, index] - bottoms[:, index]
        colour = phase_colour(index)
        axis.bar(ends_s, heights, -widths, bottoms[:, index], align="edge", color=colour, lw=0)
    median_s = float(np.median(tops[:, -1]))
    axis.axhline(median_s, color=_INK, lw=1.0, ls=":")
    axis.set_ylim(
        0, 1.08 * float(min(tops[:, -1].max(), 4 * median_s))
    )  # one forgotten cycle does not flatten the rest
    axis.set_ylabel("time of a cycle, seconds", color=_SOFT)
    about = f"median {median_s:.1f} s, {len(known)} cycles"
    axis.text(1.0, 1.01, about, transform=axis.transAxes, color=_SOFT, fontsize=10, ha="right", va="bottom")


def _event_marks(axis: Axes, events: Sequence[Event], kinds: Sequence[str], *, fine: bool) -> None:
    """A lane for each kind that occurred, named and counted at its left; `fine`: strokes, of which more find room."""
    labels = []
    for lane, kind in enumerate(kinds):
        marker, colour = _MARKS[kind]
        at_s = [event.time_s for event in events if event.event == kind]
        axis.axhline(lane, color=_LINE, lw=0.8, zorder=0)
        shape, area, line = ("|", 60.0, 0.9) if fine else (marker, 38.0, 0.0)
        y = [lane] * len(at_s)
        axis.scatter(at_s, y, s=area, marker=shape, color=colour, linewidths=line, zorder=2, clip_on=False)
        labels.append(f"{kind.replace('_', ' ')}  {len(at_s)}")
    axis.set_ylim(max(1, len(kinds)) - 0.4, -0.6)
    axis.set_yticks(range(len(kinds)), labels, fontsize=9)
    if not kinds:
        axis.set_yticks([0], ["no events"])


def _time_axis(axis: Axes, last_s: float) -> None:
    step_s = next((step for step in _STEPS_S if last_s / step <= 14), _STEPS_S[-1])
    axis.tick_params(labelbottom=True)
    axis.xaxis.set_major_locator(MultipleLocator(step_s))
    if last_s <= 180:
        axis.set_xlabel("time, seconds", color=_SOFT)
    elif step_s < 900:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{int(s) // 60}:{int(s) % 60:02d}"))
        axis.set_xlabel("time, minutes:seconds", color=_SOFT)
    else:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{int(s) // 3600}:{int(s) // 60 % 60:02d}"))
        axis.set_xlabel("time, hours:minutes", color=_SOFT)


def _plain(**more: float) -> dict[str, object]:
    return {"frameon": False, "fontsize": 9, "labelcolor": _INK, **more}


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
