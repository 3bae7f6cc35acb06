"""How well a live embedding fits each position: a log-likelihood ratio of 'seen here' against 'not at work'.

    log LR_i = temper · slope · (s_i − even),   s_i = mean cosine with the demonstrations' embeddings at position i

Off task scores 0. `even` is −offset / slope, or lower for somebody who looks less alike (see `Emission`). Slope and offset come from
logistic regression of matched against unmatched pairs, whose log-odds at equal weights *are* the log-likelihood ratio;
consecutive frames repeat each other's evidence, which `temper` makes up for. What a single tick may say is bounded twice: `LEAST`
and `MOST` about whether there is work at all, `CLIP` about one position against the best. It says less than that where it repeats
what was said before, and of one position against the best also where it looks like no work of this operator.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engine.reference import Reference

CLIP = 20.0
"""Nats that a single tick may say against a position, beside the best one: poses have outliers."""
LEAST, MOST = -2.0, 8.0
"""Nats that a single tick may say, at the best position, against and for being at work."""
START = 0.75
"""Best similarity assumed of somebody who has just come."""
SHORT_OF_BEST, LEAST_ALIKE = 0.25, 0.5
"""See `Emission`. Cosines; tuning split: people at work look alike with 0.55–1, and within 0.15 of their own best."""
BETTER_S, WORSE_S = 0.5, 30.0
"""How soon a better best is believed, and how slowly it is forgotten."""
FITS, STRAYS = 0.1, 0.3
"""Cosines below the operator's best of late. Closer than the first, a tick is work as they do it. Beyond the second it is something
else, whatever moment it resembles most: turning away, coming back, a move that no demonstration shows."""
STRAY_SAYS = 0.1
"""What such a tick is worth as evidence of where the work is (docs/decisions/011)."""


@dataclass(frozen=True)
class EmissionFit:
    slope: float
    offset: float
    temper: float
    strangers: float = 0.0
    """Likeness that what has nothing to do with the work reaches where it happens to fit best."""

    def as_json(self) -> dict[str, float]:
        return asdict(self)


UNFITTED = EmissionFit(slope=10.0, offset=-5.0, temper=0.1)
"""Of a reference that is still being made."""


def fit_pairs(matched: NDArray[np.floating], unmatched: NDArray[np.floating]) -> tuple[float, float]:
    """Slope and offset of log p(s | matched) − log p(s | unmatched), from similarities of both kinds.

    Logistic regression with a weak Gaussian prior on the slope, so that separable pairs do not make it infinite.
    """
    features = np.concatenate([matched, unmatched]).astype(np.float64)
    signs = np.concatenate([np.ones(len(matched)), -np.ones(len(unmatched))])
    weights = np.concatenate([np.full(len(matched), 0.5 / len(matched)), np.full(len(unmatched), 0.5 / len(unmatched))])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, offset = parameters
        margins = signs * (slope * features + offset)
        pull = -signs * weights / (1.0 + np.exp(np.clip(margins, -50, 50)))
        value = float((weights * np.logaddexp(0.0, -margins)).sum()) + 1e-7 * slope**2
        return value, np.array([(pull * features).sum() + 2e-7 * slope, pull.sum()])

    slope, offset = minimize(
        loss, np.array([5.0, -2.5]), jac=True, method="L-BFGS-B", bounds=[(0.1, 1000.0), (-1000.0, 20.0)]
    ).x
    return float(slope), float(offset)


class Emission:
    """Scores live embeddings against a reference; preallocated, one sgemv per tick.

    How alike somebody looks at best is a trait of the person (and of the camera), so the similarity from which on they count
    as being at work comes down to them: it is `SHORT_OF_BEST` below their best of late, but never below `LEAST_ALIKE`, nor
    below what has nothing to do with the work. And what looks less alike than they do says less of where they are.
    """

    def __init__(self, reference: Reference) -> None:
        # (N, D), shorter than 1 where demonstrations differ: its products are mean cosines.
        self._mean = np.ascontiguousarray(unit(reference.templates).mean(axis=0))
        self._count, self.size = self._mean.shape
        self._likeness = np.empty(self._count, np.float32)
        fit = EmissionFit(**reference.info.emission)
        self._nats = fit.slope * fit.temper
        self._even = -fit.offset / fit.slope
        self._least = max(LEAST_ALIKE, fit.strangers)
        self.best_of_late = START

    @property
    def nbytes(self) -> int:
        return self._mean.nbytes + self._likeness.nbytes

    def reset(self) -> None:
        """Somebody else may be there."""
        self.best_of_late = START

    def __call__(
        self, embedding: NDArray[np.float32], dt_s: float, turned: bool = False, news: float = 1.0
    ) -> NDArray[np.float32]:
        """Embedding (D,), seconds since the last → log-likelihood ratio per position (N,); the next call reuses the array.

        `turned`: the operator faces where nobody at this work looks, so whatever it resembles is not work. `news`: share of what
        this tick says that was not said before (`engine.matching.stillness`).
        """
        np.dot(self._mean, embedding, out=self._likeness)
        best = float(self._likeness.max())
        memory_s = BETTER_S if best > self.best_of_late else WORSE_S
        if not turned:
            self.best_of_late += (1.0 - math.exp(-dt_s / memory_s)) * (best - self.best_of_late)
        even = min(self._even, max(self.best_of_late - SHORT_OF_BEST, self._least))
        worth = news * float(np.interp(self.best_of_late - best, (FITS, STRAYS), (1.0, STRAY_SAYS)))
        at_best = LEAST if turned else news * min(max(self._nats * (best - even), LEAST), MOST)
        np.subtract(self._likeness, np.float32(best), out=self._likeness)
        np.multiply(self._likeness, np.float32(self._nats * worth), out=self._likeness)
        np.maximum(self._likeness, np.float32(-CLIP), out=self._likeness)
        np.add(self._likeness, np.float32(at_best), out=self._likeness)
        return self._likeness


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors (..., D) at length 1; zero vectors stay zero."""
    vectors = np.asarray(vectors, np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)
