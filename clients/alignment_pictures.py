"""Pictures of an alignment: the warping path, which moments belong together, and what a live matcher believed.

Inputs are plain arrays, so that anything with positions on a reference can be drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from numpy.typing import NDArray

from clients.fonts import shortened, use_fonts
from models import skeleton

SEEN = 0.1
"""Joints less sure than this are not drawn."""
_MARGINS = {"left": 0.04, "right": 0.98, "top": 0.86, "bottom": 0.06}
_INK, _SOFT, _LINE, _A, _B, _TRUTH = "#1d2433", "#667085", "#e4e7ec", "#0072b2", "#d55e00", "#d55e00"


def path_figure(cost: NDArray[np.floating], path: NDArray[np.int64], rate_hz: float, names: tuple[str, str]) -> Figure:
    """Cost (T, U) as a map and the path (P, 2) through it, both axes in seconds."""
    use_fonts()
    figure = Figure(figsize=(7.2, 6.2), facecolor="white", layout="constrained")
    axis = figure.subplots()
    extent = (0, cost.shape[1] / rate_hz, 0, cost.shape[0] / rate_hz)
    image = axis.imshow(cost, origin="lower", extent=extent, aspect="auto", cmap="Greys_r", interpolation="nearest")
    axis.plot((path[:, 1] + 0.5) / rate_hz, (path[:, 0] + 0.5) / rate_hz, color=_B, lw=2.2, label="alignment")
    _quiet(axis)
    short = [shortened(name, 40) for name in names]
    axis.set_xlabel(f"{short[1]}, seconds", color=_SOFT)
    axis.set_ylabel(f"{short[0]}, seconds", color=_SOFT)
    axis.set_title("Which moments belong together", loc="left", color=_INK, fontsize=12)
    figure.legend(loc="outside lower right", frameon=False, fontsize=9)
    bar = figure.colorbar(image, ax=axis, fraction=0.04)
    bar.set_label("dissimilarity (1 − cosine): dark is alike", color=_SOFT)
    bar.ax.tick_params(colors=_SOFT)
    bar.outline.set_visible(False)
    return figure


def correspondence_figure(
    poses: tuple[NDArray[np.float32], NDArray[np.float32]],
    layout: str,
    path: NDArray[np.int64],
    rate_hz: float,
    names: tuple[str, str],
    moments: int = 9,
) -> Figure:
    """Skeletons of A (T, K, 3) and B (U, K, 3) at even steps of the path (P, 2), joined over two time lines."""
    use_fonts()
    figure = Figure(figsize=(13, 5.6), facecolor="white")
    upper, lines, lower = figure.subplots(3, 1, gridspec_kw={"height_ratios": [2, 1.3, 2], "hspace": 0.05, **_MARGINS})
    lengths = [len(p) for p in poses]
    chosen = np.linspace(0, len(path) - 1, moments).round().astype(int)
    for axis, which, colour, y in ((upper, 0, _A, 1.0), (lower, 1, _B, -0.06)):
        scale = 0.9 / _height(poses[which])
        for slot, at in enumerate(path[chosen, which]):
            _skeleton(axis, poses[which][at], layout, slot + 0.5, colour, scale)
            axis.text(slot + 0.5, -0.66, f"{at / rate_hz:.2f} s", ha="center", va="center", fontsize=8, color=_SOFT)
        axis.set_xlim(0, moments)
        axis.set_ylim(0.6, -0.72)
        axis.set_aspect("equal")
        axis.axis("off")
        about = f"{shortened(names[which], 80)}, {lengths[which] / rate_hz:.1f} s"
        axis.text(0, y, about, transform=axis.transAxes, color=colour, va="bottom" if which == 0 else "top")
    lines.set_xlim(0, 1)
    lines.set_ylim(0, 1)
    lines.axis("off")
    for i in np.linspace(0, len(path) - 1, 160).round().astype(int):
        a, b = path[i, 0] / max(lengths[0] - 1, 1), path[i, 1] / max(lengths[1] - 1, 1)
        lines.plot([a, b], [0.86, 0.14], color=_LINE, lw=1)
    for slot, i in enumerate(chosen):
        a, b = path[i, 0] / max(lengths[0] - 1, 1), path[i, 1] / max(lengths[1] - 1, 1)
        lines.plot([a, b], [0.86, 0.14], color=_INK, lw=1.2)
        for axis, x, y, edge in ((upper, a, 0.86, 0.6), (lower, b, 0.14, -0.72)):
            figure.add_artist(
                ConnectionPatch(
                    (slot + 0.5, edge), (x, y), "data", "data", axesA=axis, axesB=lines, color="#98a2b3", lw=0.6
                )
            )
    lines.plot([0, 1], [0.86, 0.86], color=_A, lw=3, solid_capstyle="round")
    lines.plot([0, 1], [0.14, 0.14], color=_B, lw=3, solid_capstyle="round")
    title = "Moments that belong together: each bar is the time of a whole recording, from its start to its end"
    figure.suptitle(title, x=_MARGINS["left"], ha="left", color=_INK, fontsize=12)
    return figure


def posterior_figure(
    times_s: NDArray[np.floating],
    belief: NDArray[np.floating],
    duration_s: float,
    phases: Sequence[tuple[str, float, float]] = (),
    truth_s: NDArray[np.floating] | None = None,
    away: NDArray[np.floating] | None = None,
    names: tuple[str, str] | None = None,
) -> Figure:
    """What a live matcher believed: belief (T, N) over reference positions as a heat strip, over time.

    `phases`: name, start and end in seconds; `truth_s` (T,): true positions, NaN where there is none; `away` (T,):
    belief in being off task or idle, drawn below; `names` of the reference and of what was followed.
    """
    use_fonts()
    figure = Figure(figsize=(14, 5.4), facecolor="white", layout="constrained")
    strip, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [6, 1]})
    extent = (float(times_s[0]), float(times_s[-1]), 0.0, duration_s)
    # The square root shows doubt, which the eye would miss beside a peak.
    strip.imshow(np.sqrt(belief.T), origin="lower", extent=extent, aspect="auto", cmap="Blues", vmin=0, vmax=0.7)
    for name, start_s, end_s in phases:
        strip.axhline(start_s, color=_LINE, lw=0.8)
        strip.text(1.005, (start_s + end_s) / 2 / duration_s, name, transform=strip.transAxes, va="center", color=_SOFT)
    if truth_s is not None:
        wrapped = np.append(np.abs(np.diff(truth_s)) > duration_s / 2, False)
        shown = np.where(wrapped, np.nan, truth_s)
        strip.plot(times_s, shown, color=_TRUTH, lw=1.0, ls="--", label="truth" if len(phases) else "offline alignment")
        strip.legend(loc="upper left", frameon=False, fontsize=9)
    strip.set_ylabel("position on the reference, seconds", color=_SOFT)
    if names is not None:
        reference, followed = (shortened(name, 36) for name in names)
        title = f"{followed} followed live against {reference} (darker: the matcher believes more)"
        strip.set_title(title, loc="left", color=_INK, fontsize=12)
    _quiet(strip)
    gone = 1.0 - belief.sum(axis=1) if away is None else away
    below.fill_between(times_s, 0, np.clip(gone, 0, 1), color="#98a2b3", lw=0)
    below.set_ylim(0, 1)
    below.set_yticks([0, 1])
    below.set_ylabel("belief\nin idle or\noff task", color=_SOFT, rotation=0, ha="right", va="center")
    below.set_xlabel("time, seconds", color=_SOFT)
    _quiet(below)
    return figure


def _height(poses: NDArray[np.float32]) -> float:
    """Of a recording's skeletons in pixels: one scale for all of them, which a wrong pose in between does not change."""
    sizes = [float(np.ptp(p[p[:, 2] > SEEN, :2], axis=0).max()) for p in poses if (p[:, 2] > SEEN).any()]
    return max(float(np.percentile(sizes, 90)) if sizes else 1.0, 1e-6)


def _skeleton(axis: Axes, pose: NDArray[np.float32], layout: str, x: float, colour: str, scale: float) -> None:
    seen = pose[:, 2] > SEEN
    if not seen.any():
        axis.text(x, 0.0, "nobody\nseen", ha="center", va="center", fontsize=8, color=_SOFT)
        return
    centre = (pose[seen, :2].min(axis=0) + pose[seen, :2].max(axis=0)) / 2
    xy = scale * (pose[:, :2] - centre) + (x, 0.0)
    for a, b in skeleton.layout(layout).limbs:
        if seen[a] and seen[b]:
            axis.plot(xy[[a, b], 0], xy[[a, b], 1], color=colour, lw=2, solid_capstyle="round")
    axis.scatter(xy[seen, 0], xy[seen, 1], s=5, color=_INK, zorder=3)


def _quiet(axis: Axes) -> None:
    axis.tick_params(colors=_SOFT, length=0)
    for spine in axis.spines.values():
        spine.set_color(_LINE)
