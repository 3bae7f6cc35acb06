"""The offline evaluation: the paper's protocol and the clock-free one, for a model and for its controls.

    training clips ──features──► classifiers, regressions, references ──► judged on validation clips  (paper)
                                                                      └─► judged on streams of them   (clock-free)

Seed s of a run draws everything random: subsets of labelled clips, reference clips, streams. Labels always come from
trimmed training clips, as they would in practice.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from training.datasets.base import Clip, Dataset
from training.evaluate.controls import Features
from training.evaluate.label_transfer import boundary_errors, nearest
from training.evaluate.metrics import (
    PhaseLogistic,
    PhaseSvm,
    average_precision,
    phase_progress,
    progress_r2,
    tau,
)
from training.evaluate.streams import Stream, compose

SHARES = (1.0, 0.5, 0.1)
KS = (5, 10, 15)
REFERENCES = (1, 5)
STREAM_FRAMES = 4
"""On streams, accuracy and AP@K ask every fourth action frame (of all of them): neighbours are 33 ms apart."""
NOT_IN_THE_PAPER = frozenset({"jump_rope", "strum_guitar"})
"""Of Penn Action's 15 actions the literature leaves out these two."""

Figures = dict[str, list[float]]
"""Figure → its value for each seed (one value where nothing is random)."""


@dataclass(frozen=True)
class Action:
    """What there is to judge one action by. Without labels, only τ."""

    name: str
    train: tuple[Clip, ...]
    """Labelled training clips."""
    val: tuple[Clip, ...]
    labelled: bool

    @property
    def classes(self) -> int:
        return 1 + max(int(clip.phases.max()) for clip in (*self.train, *self.val) if clip.phases is not None)


def choose_actions(dataset: Dataset, names: Sequence[str] | None = None) -> tuple[list[Action], dict[str, str]]:
    """The actions that can be judged, and why the others cannot.

    Raises DataError for a name the data lack, or where no action has validation clips.
    """
    unknown = sorted(set(names or ()) - set(dataset.actions))
    if unknown:
        raise DataError(
            f"no clip of {', '.join(unknown)}",
            expected=f"one of {', '.join(dataset.actions)}",
            next_step="Correct --actions.",
        )
    actions, left_out = [], {}
    for name in names or [action for action in dataset.actions if action not in NOT_IN_THE_PAPER]:
        train = dataset.select(action=name, split="train", labelled=True)
        val = dataset.select(action=name, split="val", labelled=True)
        if train and val:
            actions.append(Action(name, train, val, True))
        elif len(dataset.select(action=name, split="val")) >= 2:
            actions.append(Action(name, (), dataset.select(action=name, split="val"), False))
            if train or val:
                left_out[name] = f"labels only in {'train' if train else 'val'}: nothing but τ can be said"
        else:
            left_out[name] = "fewer than two validation clips, or none with labels"
    if not actions:
        raise DataError(
            f"nothing to evaluate in {dataset.name}",
            expected="an action with labelled training clips and labelled validation clips (or two validation clips, for τ)",
            found="; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no action of the paper",
            next_step="Add clips, mark their split in index.csv, or name actions with --actions.",
        )
    return actions, left_out


@dataclass(frozen=True)
class Candidate:
    """What is judged, and where. `stream_seeds`: on the streams of so many seeds (None: all; 0: not on streams)."""

    features: Features
    paper: bool = True
    stream_seeds: int | None = None


class Judge:
    """One model on one action: embeds and learns from the training clips once, then judges both protocols."""

    def __init__(self, features: Features, action: Action, seeds: Sequence[int]) -> None:
        self._features, self._action, self._seeds = features, action, seeds
        if not action.labelled:
            return
        self._train = features([clip.poses for clip in action.train])
        self._labels = [_phases(clip) for clip in action.train]
        self._targets = [phase_progress(labels, action.classes) for labels in self._labels]
        self._classifiers: dict[tuple[str, float, int], PhaseSvm | PhaseLogistic] = {}
        self._draws = {share: len(seeds) if self._size(share) < len(action.train) else 1 for share in SHARES}
        for share in SHARES:
            for number, seed in enumerate(seeds[: self._draws[share]]):
                chosen = _draw(seed, action, self._size(share))
                seen = np.concatenate([self._train[i] for i in chosen])
                labels = np.concatenate([self._labels[i] for i in chosen])
                self._classifiers["acc", share, number] = PhaseSvm().fit(seen, labels)
                self._classifiers["logreg", share, number] = PhaseLogistic().fit(seen, labels)

    def paper(self) -> Figures:
        """Accuracy, progress, τ and AP@K on the trimmed validation clips."""
        val = self._features([clip.poses for clip in self._action.val])
        figures: Figures = {"tau": [tau(val)]}
        if self._action.labelled:
            labels = [_phases(clip) for clip in self._action.val]
            for share in SHARES:
                for number in range(self._draws[share]):
                    self._accuracy(figures, share, number, np.concatenate(val), np.concatenate(labels))
            targets = [phase_progress(phases, self._action.classes) for phases in labels]
            figures["progress"] = [progress_r2(self._train, self._targets, val, targets)]
            precision = average_precision(val, labels, KS)
            figures |= {f"ap@{k}": [precision[k]] for k in KS}
        return figures

    def clock_free(self, seeds: int | None = None) -> Figures:
        """The same figures on streams of the first `seeds` seeds, and label transfer from one and five training clips.

        Labelled actions only.
        """
        figures: Figures = {}
        clips = {clip.id: clip for clip in self._action.val}
        for number, seed in enumerate(self._seeds[:seeds]):
            streams = compose(self._action.val, seed)
            embedded = self._features([stream.poses for stream in streams])
            truths = [_phases(stream) for stream in streams]
            acting = [truth >= 0 for truth in truths]
            asked = np.concatenate([e[a] for e, a in zip(embedded, acting, strict=True)])
            labels = np.concatenate([t[a] for t, a in zip(truths, acting, strict=True)])
            for share in SHARES:
                self._accuracy(figures, share, number, asked[::STREAM_FRAMES], labels[::STREAM_FRAMES])
            targets = [_stream_targets(stream, clips, self._action.classes) for stream in streams]
            _append(figures, "progress", progress_r2(self._train, self._targets, embedded, targets))
            moving = [(stream.cycle == 0) & ~stream.is_pause for stream in streams]
            _append(figures, "tau", tau([e[m] for e, m in zip(embedded, moving, strict=True)]))
            precision = average_precision(embedded, truths, KS, sources=_sources(streams), every=STREAM_FRAMES)
            for k in KS:
                _append(figures, f"ap@{k}", precision[k])
            drawn = _draw(seed, self._action, min(max(REFERENCES), len(self._train)), ordered=False)
            for count in REFERENCES:
                references = [(self._train[i], self._labels[i]) for i in drawn[:count]]
                carried = [nearest(references, e) for e in embedded]
                hits = np.concatenate([(c == t)[a] for c, t, a in zip(carried, truths, acting, strict=True)])
                _append(figures, f"transfer@{count}", float(hits.mean()))
                errors = [boundary_errors(c, stream) for c, stream in zip(carried, streams, strict=True)]
                pooled = np.concatenate(errors)
                _append(figures, f"boundary_s@{count}", float(np.median(pooled)) if len(pooled) else float("nan"))
        return figures

    def _size(self, share: float) -> int:
        return max(1, round(share * len(self._action.train)))

    def _accuracy(
        self, figures: Figures, share: float, number: int, features: NDArray[np.floating], labels: NDArray[np.int64]
    ) -> None:
        for kind in ("acc", "logreg"):
            classifier = self._classifiers[kind, share, min(number, self._draws[share] - 1)]
            _append(figures, f"{kind}@{share}", float((classifier.predict(features) == labels).mean()))


def evaluate(
    candidates: Mapping[str, Candidate],
    actions: Sequence[Action],
    seeds: Sequence[int],
    on_step: Callable[[str], None] = lambda what: None,
) -> dict[str, dict[str, dict[str, Figures]]]:
    """{"paper" | "clock_free": {candidate: {action: figures}}}. `on_step` is told what begins, once per candidate and action."""
    results: dict[str, dict[str, dict[str, Figures]]] = {"paper": {}, "clock_free": {}}
    for action in actions:
        for name, candidate in candidates.items():
            on_step(f"{action.name}: {name}")
            on_streams = action.labelled and candidate.stream_seeds != 0
            if not (candidate.paper or on_streams):
                continue
            judge = Judge(candidate.features, action, seeds)
            if candidate.paper:
                results["paper"].setdefault(name, {})[action.name] = judge.paper()
            if on_streams:
                results["clock_free"].setdefault(name, {})[action.name] = judge.clock_free(candidate.stream_seeds)
    return results


def _phases(recording: Clip | Stream) -> NDArray[np.int64]:
    assert recording.phases is not None  # only labelled clips, and streams of them, come here
    return recording.phases


def _draw(seed: int, action: Action, size: int, *, ordered: bool = True) -> NDArray[np.intp]:
    """Indices of training clips: the same for every model."""
    rng = np.random.default_rng([seed, zlib.crc32(action.name.encode()), size])
    chosen = rng.choice(len(action.train), size, replace=False)
    return np.sort(chosen) if ordered else chosen


def _append(figures: Figures, name: str, value: float) -> None:
    figures.setdefault(name, []).append(value)


def _sources(streams: Sequence[Stream]) -> list[NDArray[np.int64]]:
    """Number of the clip that each frame of each stream shows: streams share clips."""
    number: dict[str, int] = {}
    return [
        np.array([number.setdefault(name, len(number)) for name in stream.clip_ids])[stream.cycle] for stream in streams
    ]


def _stream_targets(stream: Stream, clips: Mapping[str, Clip], classes: int) -> NDArray[np.float64]:
    """(T, classes − 1) progress as of `phase_progress`, of the clip frame that is seen; NaN while idle."""
    out = np.full((len(stream.poses), classes - 1), np.nan)
    for cycle, name in enumerate(stream.clip_ids):
        target = phase_progress(_phases(clips[name]), classes)
        here = stream.cycle == cycle
        frames = stream.source_frame[here]
        low = np.floor(frames).astype(int)
        out[here] = target[low] + (frames - low)[:, None] / len(target)
    return out
