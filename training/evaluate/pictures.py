"""Pictures of an embedding: two clips aligned, nearest neighbours as skeletons, and the space coloured by time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from models import skeleton
from training.datasets.base import Clip
from training.evaluate.controls import Features
from training.evaluate.metrics import squared_distances
from training.evaluate.offline import Action

SHOWN = 9
"""Frames of a clip drawn side by side."""
QUERIES, NEIGHBOURS = 5, 5
TSNE_CLIPS, TSNE_FRAMES = 24, 1200
_PHASE_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Told apart by people with colour-blindness too (Okabe and Ito, 2008)."""
_RIGHT, _WRONG = ("#0072b2", "-"), ("#d55e00", "--")
"""Told apart without colour too: a frame of another phase is dashed."""


def draw_all(folder: Path, model: Features, keypoints: Features, action: Action) -> list[Path]:
    """The three pictures of an action, of its validation clips. Returns the files written."""
    clips = [clip for clip in action.val if len(clip.poses) >= SHOWN]
    if len(clips) < 2:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    shown = sorted(clips, key=lambda clip: clip.id)[:TSNE_CLIPS]
    embedded = model([clip.poses for clip in shown])
    pictures = {
        "alignment": alignment(shown[0], shown[1], embedded[0], embedded[1]),
        "retrieval": retrieval(shown, embedded),
        "tsne": embedding_map(
            {"Lockstep": embedded, "raw keypoints": keypoints([clip.poses for clip in shown])}, action.name
        ),
    }
    files = []
    for name, figure in pictures.items():
        files.append(folder / f"{action.name}_{name}.png")
        figure.savefig(files[-1], dpi=110)
        plt.close(figure)
    return files


def alignment(a: Clip, b: Clip, of_a: NDArray[np.floating], of_b: NDArray[np.floating]) -> plt.Figure:
    """Frames of A above, B below, each of A's joined to its nearest neighbour in B. Lines that cross are mistakes."""
    figure, axes = plt.subplots(2, SHOWN, figsize=(13, 4.6))
    figure.subplots_adjust(left=0.05, right=0.995, top=0.9, bottom=0.04, wspace=0.08, hspace=0.55)
    frames_a, frames_b = (np.linspace(0, len(c.poses) - 1, SHOWN).round().astype(int) for c in (a, b))
    for row, (clip, frames) in enumerate(((a, frames_a), (b, frames_b))):
        for axis, frame in zip(axes[row], frames, strict=True):
            _skeleton(axis, clip, frame)
            axis.set_title(f"{frame / clip.rate_hz:.2f} s", fontsize=8, pad=3 if row == 0 else -2)
        axes[row, 0].set_ylabel(f"clip {clip.id}", fontsize=9)
    found = squared_distances(of_a[frames_a], of_b).argmin(axis=1)
    left, right = axes[1, 0].get_position(), axes[1, -1].get_position()
    centre = [left.x0 + left.width / 2, right.x0 + right.width / 2]
    for column, frame in enumerate(found):
        top = axes[0, column].get_position()
        x = np.interp(frame, [0, len(b.poses) - 1], centre)
        colour = _phase_colour(a, frames_a[column])
        figure.add_artist(
            ConnectionPatch(
                (top.x0 + top.width / 2, top.y0 - 0.01),
                (float(x), left.y1 + 0.06),
                "figure fraction",
                color=colour,
                lw=1.6,
            )
        )
    figure.suptitle(
        f"{a.action}: each frame above is joined to the moment of its nearest neighbour below (colour of frames and lines: phase)",
        fontsize=11,
    )
    return figure


def retrieval(clips: list[Clip], embedded: list[NDArray[np.floating]]) -> plt.Figure:
    """Query frames of the first clip, and their nearest frames, one per other clip. Dashed where the phase differs."""
    query = clips[0]
    asked = np.linspace(0, len(query.poses) - 1, QUERIES).round().astype(int)
    figure, axes = plt.subplots(QUERIES, NEIGHBOURS + 1, figsize=(9.5, 1.75 * QUERIES))
    figure.subplots_adjust(left=0.02, right=0.98, top=0.93, bottom=0.02, wspace=0.12, hspace=0.16)
    for row, frame in enumerate(asked):
        _skeleton(axes[row, 0], query, frame)
        _framed(axes[row, 0], "#333333")
        best = []
        for clip, features in zip(clips[1:], embedded[1:], strict=True):
            distances = squared_distances(embedded[0][frame : frame + 1], features)[0]
            best.append((float(distances.min()), clip, int(distances.argmin())))
        best.sort(key=lambda entry: entry[0])
        for axis, entry in zip(axes[row, 1:], [*best, *[None] * NEIGHBOURS], strict=False):
            axis.axis("off" if entry is None else "on")
            if entry is not None:
                _, clip, at = entry
                _skeleton(axis, clip, at)
                if query.phases is not None and clip.phases is not None:
                    _framed(axis, *(_RIGHT if query.phases[frame] == clip.phases[at] else _WRONG))
    axes[0, 0].set_title("query", fontsize=9)
    axes[0, 1].set_title("nearest →", fontsize=9)
    figure.suptitle(f"{query.action}: nearest frame in each of five other clips (dashed: another phase)", fontsize=11)
    return figure


def embedding_map(spaces: Mapping[str, list[NDArray[np.floating]]], name: str) -> plt.Figure:
    """t-SNE of each space, coloured by how far into its clip a frame is. Aligned people share colours."""
    figure, axes = plt.subplots(
        1, len(spaces), figsize=(5.2 * len(spaces) + 0.6, 4.8), squeeze=False, layout="constrained"
    )
    for axis, (space, features) in zip(axes[0], spaces.items(), strict=True):
        points = np.concatenate(features)
        when = np.concatenate([np.arange(len(f)) / max(len(f) - 1, 1) for f in features])
        keep = np.linspace(0, len(points) - 1, min(TSNE_FRAMES, len(points))).astype(int)
        perplexity = min(30.0, (len(keep) - 1) / 3)
        at = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(points[keep].astype(np.float64))
        dots = axis.scatter(*at.T, c=when[keep], cmap="viridis", s=9, linewidths=0)
        axis.set(title=f"{name}: {space}", xticks=[], yticks=[])
    figure.colorbar(dots, ax=axes[0].tolist(), label="time within the clip (0 start, 1 end)", shrink=0.9)
    figure.suptitle("t-SNE, a dot per frame; where clips are aligned, neighbours share a colour", fontsize=11)
    return figure


def _skeleton(axis: Axes, clip: Clip, frame: int) -> None:
    """One pose in a square around the person over the whole clip."""
    seen = clip.poses[..., 2] > 0
    if seen.any():
        low, high = clip.poses[seen][:, :2].min(axis=0), clip.poses[seen][:, :2].max(axis=0)
        centre, half = (low + high) / 2, 0.56 * float((high - low).max()) + 1e-3
        axis.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] + half, centre[1] - half))
    pose = clip.poses[frame]
    layout = skeleton.layout(clip.layout)
    for a, b in layout.limbs:
        if min(pose[a, 2], pose[b, 2]) > 0:
            side = layout.joints[a].split("_")[0]
            colour = {"left": "#d1642f", "right": "#2f6fd1"}.get(side, "#555555")
            axis.plot(pose[[a, b], 0], pose[[a, b], 1], color=colour, lw=1.8, solid_capstyle="round")
    head = pose[0]
    if layout.joints[0] == "head" and head[2] > 0:
        axis.plot(head[0], head[1], "o", color="#555555", ms=5)
    axis.set(xticks=[], yticks=[], aspect="equal")
    _framed(axis, _phase_colour(clip, frame))


def _phase_colour(clip: Clip, frame: int) -> str:
    return _PHASE_COLOURS[int(clip.phases[frame]) % len(_PHASE_COLOURS)] if clip.phases is not None else "#888888"


def _framed(axis: Axes, colour: str, dashes: str = "-") -> None:
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=1.8, linestyle=dashes)
