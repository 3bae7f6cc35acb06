"""A quick look at how an embedding transfers across people, for choosing configurations without touching validation.

The tuning split is part of the *training* clips, by hash of the clip's id: a model whose configuration is being chosen
trains on the rest, its references come from the rest, and the tuning clips are the unseen people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from training.datasets.base import Clip, Dataset
from training.evaluate.controls import Features
from training.evaluate.label_transfer import forward_hmm, nearest
from training.evaluate.metrics import average_precision
from training.evaluate.streams import Stream, compose

TUNING_SHARE = 5
"""One training clip in so many is for tuning."""
DRAWS = 5


def is_tuning(clip: Clip) -> bool:
    return clip.split == "train" and hashlib.sha256(clip.id.encode()).digest()[0] % TUNING_SHARE == 0


def probe(features: Features, dataset: Dataset, seed: int = 0, *, streams: bool = False) -> dict[str, float]:
    """Phase accuracy (0–1) of tuning clips by transfer from one and from five training clips, and AP@5 (0–1).

    `streams`: the tuning clips are seen as clock-free streams (`streams.compose`), else as they are. Returns
    nn_1, nn_5, hmm_1, hmm_5, ap@5 as means over actions, and each per action as `<action>/<figure>`.
    Raises DataError if no action has labelled clips on both sides of the split.
    """
    rng = np.random.default_rng(seed)
    figures: dict[str, dict[str, float]] = {}
    for action in dataset.actions:
        clips = dataset.select(action=action, split="train", labelled=True)
        unseen = [clip for clip in clips if is_tuning(clip)]
        known = [clip for clip in clips if not is_tuning(clip)]
        if not unseen or not known:
            continue
        queries: Sequence[Clip | Stream] = compose(unseen, seed) if streams else unseen
        embedded = features([query.poses for query in queries])
        truths = [np.asarray(query.phases) for query in queries]
        draws = [rng.choice(len(known), min(5, len(known)), replace=False) for _ in range(DRAWS)]
        drawn = sorted({int(i) for draw in draws for i in draw})
        library = dict(zip(drawn, features([known[i].poses for i in drawn]), strict=True))
        figures[action] = {
            "ap@5": average_precision(embedded, truths, (5,), sources=_sources(queries), every=4 if streams else 1)[5]
        }
        for count in (1, 5):
            for name, transfer in (("nn", nearest), ("hmm", partial(forward_hmm, trimmed=not streams))):
                hits = []
                for draw in draws:
                    references = [(library[int(i)], np.asarray(known[int(i)].phases)) for i in draw[:count]]
                    hits += [
                        float((transfer(references, e) == truth)[truth >= 0].mean())
                        for e, truth in zip(embedded, truths, strict=True)
                    ]
                figures[action][f"{name}_{count}"] = float(np.mean(hits))
    if not figures:
        raise DataError(
            "nothing to probe on",
            expected="labelled training clips on both sides of the tuning split",
            found=f"{len(dataset.select(split='train', labelled=True))} labelled training clips",
        )
    names = next(iter(figures.values()))
    means = {name: float(np.mean([figure[name] for figure in figures.values()])) for name in names}
    return means | {f"{action}/{name}": value for action, figure in figures.items() for name, value in figure.items()}


def _sources(recordings: Sequence[Clip | Stream]) -> list[NDArray[np.int64]]:
    """Number of the clip that each frame shows: streams share clips."""
    number: dict[str, int] = {}
    out = []
    for recording in recordings:
        ids = recording.clip_ids if isinstance(recording, Stream) else (recording.id,)
        numbers = np.array([number.setdefault(name, len(number)) for name in ids])
        out.append(
            numbers[recording.cycle] if isinstance(recording, Stream) else np.full(len(recording.poses), numbers[0])
        )
    return out
