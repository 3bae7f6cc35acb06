"""The figures of the literature on frame embeddings, on whole clips or on the action frames of streams.

Everywhere: `features` are lists of (T, D) arrays, one per recording; `phases` lists of (T,) phase indices, −1 where a frame
does not count (idle). The definitions are those of LA2DS (ECCV 2024) and, where it is silent, of TCC and CASA.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.svm import SVC

Features = Sequence[NDArray[np.floating]]
Labels = Sequence[NDArray[np.int64]]

_CHUNK = 2048


def squared_distances(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared Euclidean distances (N, M) between rows (N, D) and rows (M, D)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0.0)


class PhaseSvm:
    """sklearn's `SVC()` with its defaults (RBF, C = 1, gamma = 1 / (D · variance)), with the kernel from matrix products.

    Same classifier, a D-th of the time. A single class in the labels is predicted everywhere.
    """

    def fit(self, features: NDArray[np.floating], phases: NDArray[np.int64]) -> PhaseSvm:
        self._seen = np.asarray(features, np.float64)
        variance = self._seen.var()
        self._gamma = 1.0 / (self._seen.shape[1] * variance) if variance > 0 else 1.0
        self._only = phases[0] if (phases == phases[0]).all() else None
        if self._only is None:
            self._svc = SVC(kernel="precomputed", cache_size=500).fit(self._kernel(self._seen), phases)
            self._seen = self._seen[self._svc.support_]
        return self

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.int64]:
        if self._only is not None:
            return np.full(len(features), self._only)
        return np.concatenate([self._predict(features[i : i + _CHUNK]) for i in range(0, len(features), _CHUNK)])

    def _predict(self, features: NDArray[np.floating]) -> NDArray[np.int64]:
        kernel = np.zeros((len(features), self._svc.shape_fit_[0]))
        kernel[:, self._svc.support_] = self._kernel(features)
        return self._svc.predict(kernel)

    def _kernel(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.exp(-self._gamma * squared_distances(features, self._seen))


class PhaseLogistic:
    """Multinomial logistic regression with sklearn's defaults (as CASA's code evaluates)."""

    def fit(self, features: NDArray[np.floating], phases: NDArray[np.int64]) -> PhaseLogistic:
        self._only = phases[0] if (phases == phases[0]).all() else None
        if self._only is None:
            self._model = LogisticRegression(max_iter=2000).fit(np.asarray(features, np.float64), phases)
        return self

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.int64]:
        if self._only is not None:
            return np.full(len(features), self._only)
        return self._model.predict(np.asarray(features, np.float64))


def phase_progress(phases: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(T, classes − 1): (t − t_b) / T for each boundary b, t_b the first frame of phase b + 1 or later; NaN if never."""
    length = len(phases)
    out = np.full((length, classes - 1), np.nan)
    for boundary in range(classes - 1):
        reached = np.flatnonzero(phases > boundary)
        if len(reached):
            out[:, boundary] = (np.arange(length) - reached[0]) / length
    return out


def progress_r2(
    train: Features,
    train_targets: Sequence[NDArray[np.float64]],
    val: Features,
    val_targets: Sequence[NDArray[np.float64]],
) -> float:
    """R² of one linear regression per phase boundary, over all validation frames, mean over boundaries.

    Targets (T, boundaries) as of `phase_progress`; frames with NaN are left out. NaN where nothing can be judged.
    """
    seen, known = np.concatenate(train), np.concatenate(train_targets)
    asked, truth = np.concatenate(val), np.concatenate(val_targets)
    scores = []
    for boundary in range(known.shape[1]):
        usable, judged = np.isfinite(known[:, boundary]), np.isfinite(truth[:, boundary])
        if usable.sum() >= 2 and judged.sum() >= 2:
            model = LinearRegression().fit(seen[usable], known[usable, boundary])
            scores.append(r2_score(truth[judged, boundary], model.predict(asked[judged])))
    return float(np.mean(scores)) if scores else float("nan")


def tau(features: Features, *, every: int = 2) -> float:
    """Kendall's τ-b of the nearest neighbours' order, mean over all ordered pairs of recordings.

    Of each recording every `every`-th frame is looked up (squared Euclidean) among the same frames of the other, as in
    TCC. Neighbours that are all one frame have no order: 0. NaN with fewer than two recordings of two such frames.
    """
    sampled = [np.asarray(f[::every], np.float64) for f in features]
    sampled = [f for f in sampled if len(f) >= 2]
    if len(sampled) < 2:
        return float("nan")
    pool = np.concatenate(sampled)
    starts = np.cumsum([0] + [len(f) for f in sampled[:-1]])
    values = []
    for i, query in enumerate(sampled):
        distances = squared_distances(query, pool)
        found = [
            distances[:, start : start + len(other)].argmin(axis=1)
            for j, (start, other) in enumerate(zip(starts, sampled, strict=True))
            if j != i
        ]
        values.append(_tau_of_sequences(np.stack(found)))
    return float(np.mean(np.concatenate(values)))


def _tau_of_sequences(ranks: NDArray[np.intp]) -> NDArray[np.float64]:
    """τ-b (N,) of each row (N, T) against 0…T−1: `scipy.stats.kendalltau`, many rows at once. 0 for a constant row."""
    rows, length = ranks.shape
    concordance, ties = np.zeros(rows), np.zeros(rows)
    for gap in range(1, length):
        step = ranks[:, gap:] - ranks[:, :-gap]
        concordance += np.sign(step).sum(axis=1)
        ties += (step == 0).sum(axis=1)
    pairs = length * (length - 1) / 2
    return np.divide(concordance, np.sqrt(pairs * (pairs - ties)), out=np.zeros(rows), where=ties < pairs)


def average_precision(
    features: Features,
    phases: Labels,
    ks: Sequence[int] = (5, 10, 15),
    *,
    sources: Sequence[NDArray[np.int64]] | None = None,
    every: int = 1,
) -> dict[int, float]:
    """AP@K: the share of a frame's K nearest frames that are in its phase, mean over a recording, then over recordings.

    Candidates are the frames of all other recordings. `sources` numbers the clip each frame comes from (needed where
    recordings share clips): candidates of the query's own clip are left out too. Only every `every`-th frame asks.
    Values 0–1; NaN with fewer than two recordings.
    """
    if sources is None:
        sources = [np.full(len(p), i) for i, p in enumerate(phases)]
    acting = [np.flatnonzero(p >= 0) for p in phases]
    sizes = [len(a) for a in acting]
    pool = np.concatenate([np.asarray(f[a], np.float32) for f, a in zip(features, acting, strict=True)])
    labels = np.concatenate([p[a] for p, a in zip(phases, acting, strict=True)])
    clip = np.concatenate([s[a] for s, a in zip(sources, acting, strict=True)])
    norms = (pool**2).sum(axis=1)
    scores: dict[int, list[float]] = {k: [] for k in ks}
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        own = slice(start, start + size)
        asking = np.arange(start, start + size, every)
        distances = norms[None] - 2 * pool[asking] @ pool.T
        distances[:, own] = np.inf
        distances[clip[asking][:, None] == clip[None]] = np.inf
        most = min(max(ks), int(np.isfinite(distances).sum(axis=1).min()) if len(asking) else 0)
        if most == 0:
            continue
        nearest = np.argpartition(distances, most - 1, axis=1)[:, :most]
        order = np.take_along_axis(distances, nearest, axis=1).argsort(axis=1)
        same = labels[np.take_along_axis(nearest, order, axis=1)] == labels[asking][:, None]
        for k in ks:
            scores[k].append(float(same[:, :k].mean()))
    return {k: float(np.mean(values)) if values else float("nan") for k, values in scores.items()}
