"""A reference as one picture: skeletons over the phase strip, how distinct each moment is, and every demonstration's pace."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.cells import cell_len

from clients.colours import DARK_COLOURS, phase_colour
from clients.fonts import use_fonts
from engine.reference import Reference
from models import skeleton

WIDTH_IN = 14.0
MARGIN_IN = 1.3
WIDTH_SHOWN_IN = WIDTH_IN - 1.35 * MARGIN_IN
SKELETON_IN = 2.1
STRIP_IN = 0.42
CURVE_IN = 0.8
BAR_IN = 0.26
SEEN = 0.3
"""Joints less sure than this are drawn faintly."""
_INK, _SOFT, _LINE = "#1d2433", "#667085", "#e4e7ec"


def save_reference_picture(reference: Reference, path: Path, title: str) -> None:
    """PNG, SVG or PDF by the name's ending."""
    reference_figure(reference, title).savefig(path, dpi=110)


def reference_figure(reference: Reference, title: str) -> Figure:
    """Everything over the reference's own clock, seconds."""
    use_fonts()
    demos = len(reference.info.demonstrations)
    bars_in = demos * BAR_IN if demos > 1 else 0.0
    heights = [SKELETON_IN, STRIP_IN, CURVE_IN, *([bars_in] if bars_in else [])]
    longest_s = max([reference.duration_s, *(sum(phases) for phases in reference.info.durations_s)])
    hidden = _too_long(reference, longest_s)
    listed = wrap("   ".join(hidden.values()), 160, break_long_words=False) if hidden else []
    gap_in, top_in, bottom_in = 0.18, 0.75, 0.62 + 0.2 * len(listed)
    height_in = sum(heights) + gap_in * (len(heights) - 1) + top_in + bottom_in
    figure = Figure(figsize=(WIDTH_IN, height_in), facecolor="white")
    axes = []
    y = height_in - top_in
    for height in heights:
        y -= height
        box = (MARGIN_IN / WIDTH_IN, y / height_in, WIDTH_SHOWN_IN / WIDTH_IN, height / height_in)
        axis = figure.add_axes(box)
        axis.set_xlim(0, longest_s)
        _quiet(axis)
        axes.append(axis)
        y -= gap_in
    _skeletons(axes[0], reference, figure)
    _strip(axes[1], reference, set(hidden))
    _distinctness(axes[2], reference)
    if bars_in:
        _demonstrations(axes[3], reference)
    axes[-1].tick_params(labelbottom=True, colors=_SOFT, length=0)
    axes[-1].set_xlabel("seconds", color=_SOFT)
    figure.text(MARGIN_IN / WIDTH_IN, 0.12 / height_in, "\n".join(listed), va="bottom", color=_SOFT, fontsize=9)

    info = reference.info
    figure.text(MARGIN_IN / WIDTH_IN, 1 - 0.28 / height_in, title, color=_INK, fontsize=15, weight="bold", va="center")
    facts = [
        f"{reference.duration_s:.2f} s",
        _count(len(info.phases), "phase"),
        _count(demos, "demonstration"),
        "cyclic" if info.cyclic else "not cyclic",
        f"{info.layout} at {info.rate_hz:g} Hz",
        f"bundle {info.bundle} {info.bundle_sha256[:12]}",
    ]
    figure.text(MARGIN_IN / WIDTH_IN, 1 - 0.55 / height_in, "  ·  ".join(facts), color=_SOFT, fontsize=10, va="center")
    return figure


def _skeletons(axis: Axes, reference: Reference, figure: Figure) -> None:
    """Poses at equal times, each drawn above its own moment, all at one scale so that the movement shows."""
    poses = reference.poses
    seen = poses[poses[..., 2] > SEEN][:, :2]
    axis.set_ylim(0, 1)
    axis.tick_params(labelleft=False, left=False)
    if len(seen) < 2:
        axis.text(0.5, 0.5, "no joints seen", transform=axis.transAxes, color=_SOFT, ha="center")
        return
    low, high = np.percentile(seen, [1, 99], axis=0)
    middle, extent = (low + high) / 2, np.maximum(high - low, 1.0)
    box = axis.get_position()
    width_in, height_in = box.width * WIDTH_IN, box.height * figure.get_size_inches()[1]
    seconds_per_in = axis.get_xlim()[1] / width_in
    used_in = reference.duration_s / seconds_per_in
    scale_in = 0.92 * height_in / extent[1]  # inches per pixel: the whole height is used
    count = int(np.clip(used_in / (1.05 * scale_in * extent[0]), 3, 16))
    scale_in = min(scale_in, 0.95 * used_in / count / extent[0])
    limbs = np.array(skeleton.layout(reference.info.layout).limbs)
    for k in range(count):
        time_s = (k + 0.5) / count * reference.duration_s
        pose = poses[min(int(time_s * reference.info.rate_hz), len(poses) - 1)]
        xy = (pose[:, :2] - middle) * scale_in * [1, -1]  # pictures have y downwards
        xy = np.column_stack([time_s + xy[:, 0] * seconds_per_in, 0.5 + xy[:, 1] / height_in])
        sure = pose[limbs, 2].min(axis=1)
        drawn = sure > 0.02
        axis.add_collection(
            LineCollection(
                list(xy[limbs[drawn]]),
                colors=phase_colour(reference.phase_index(time_s)),
                linewidths=3.0,
                capstyle="round",
                alpha=np.where(sure[drawn] > SEEN, 1.0, 0.25).tolist(),
                clip_on=False,
            )
        )
        joints = pose[:, 2] > SEEN
        axis.scatter(xy[joints, 0], xy[joints, 1], s=7, color=_INK, zorder=3, linewidths=0, clip_on=False)


def _too_long(reference: Reference, longest_s: float) -> dict[int, str]:
    """Phases whose name finds no room in the strip, and how they are listed below."""
    in_per_s = WIDTH_SHOWN_IN / longest_s
    return {
        index: f"{index + 1}:\u00a0{phase.name.replace(' ', chr(0xA0))}"  # no line may break within a name
        for index, phase in enumerate(reference.info.phases)
        if 0.095 * cell_len(phase.name) >= (phase.end_s - phase.start_s) * in_per_s
    }


def _strip(axis: Axes, reference: Reference, hidden: set[int]) -> None:
    axis.set_ylim(0, 1)
    axis.tick_params(labelleft=False, left=False)
    for index, phase in enumerate(reference.info.phases):
        axis.axvspan(phase.start_s, phase.end_s, color=phase_colour(index), lw=0)
        axis.axvline(phase.end_s, color="white", lw=1.5)
        label = str(index + 1) if index in hidden else phase.name
        ink = "white" if phase_colour(index) in DARK_COLOURS else _INK
        middle_s = (phase.start_s + phase.end_s) / 2
        axis.text(middle_s, 0.5, label, ha="center", va="center", color=ink, fontsize=11)
    axis.set_ylabel("phases", color=_SOFT, rotation=0, ha="right", va="center")


def _distinctness(axis: Axes, reference: Reference) -> None:
    """How far every moment is from its look-alikes (near 0, they cannot be told apart), and from other takes of itself."""
    times_s = (np.arange(len(reference)) + 0.5) / reference.info.rate_hz
    values = distinctness(reference)
    axis.fill_between(times_s, 0, values, color="#56b4e9", alpha=0.35, lw=0)
    axis.plot(times_s, values, color="#0072b2", lw=1.2)
    spread = reference.variance / 2  # mean 1 − cosine to the mean, for unit vectors
    about = "distinct: how unlike its nearest look-alike a moment is (near 0 it cannot be told apart)"
    if len(reference.info.demonstrations) > 1:
        axis.plot(times_s, spread, color="#d55e00", lw=1.2, ls="--")
        about += "; dashed: how unlike each other the demonstrations are there"
    axis.text(0.995, 0.98, about, transform=axis.transAxes, color=_SOFT, fontsize=8, ha="right", va="top")
    axis.set_ylim(0, 1.4 * max(0.05, float(values.max()), float(spread.max())))
    axis.tick_params(colors=_SOFT, length=0, labelsize=8)
    axis.set_ylabel("distinct", color=_SOFT, rotation=0, ha="right", va="center", labelpad=14)


def distinctness(reference: Reference, apart_s: float = 0.5) -> NDArray[np.float64]:
    """(N,) 1 − cosine to the most similar position at least `apart_s` away (wrapping where cyclic), 0–2."""
    count = len(reference)
    unit = reference.mean / np.maximum(np.linalg.norm(reference.mean, axis=1, keepdims=True), 1e-9)
    similarity = unit @ unit.T
    distance = np.abs(np.arange(count)[:, None] - np.arange(count))
    if reference.info.cyclic:
        distance = np.minimum(distance, count - distance)
    near = distance < min(apart_s * reference.info.rate_hz, count / 4)
    return 1.0 - np.where(near, -1.0, similarity).max(axis=1)


def _demonstrations(axis: Axes, reference: Reference) -> None:
    """One bar per demonstration, its phases at the pace at which it did them."""
    info = reference.info
    axis.set_ylim(len(info.demonstrations) - 0.5, -0.5)
    for row, durations in enumerate(info.durations_s):
        start_s = 0.0
        for index, duration_s in enumerate(durations):
            axis.barh(row, duration_s, left=start_s, height=0.72, color=phase_colour(index), edgecolor="white", lw=1)
            start_s += duration_s
        axis.text(start_s, row, f" {start_s:.1f} s", va="center", color=_SOFT, fontsize=8, clip_on=False)
    names = [name if len(name) <= 16 else f"…{name[-15:]}" for name in info.demonstrations]
    axis.set_yticks(range(len(names)), names, fontsize=8, color=_SOFT)


def _quiet(axis: Axes) -> None:
    axis.tick_params(labelbottom=False, colors=_SOFT, length=0)
    for side in axis.spines.values():
        side.set_visible(False)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
