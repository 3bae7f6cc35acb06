"""Objectives are the formulas they cite: against plain NumPy, stream by stream, where labelled ticks stand anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from training.objectives import Ticks  # noqa: E402
from training.objectives.contrastive_regression import contrastive_regression  # noqa: E402
from training.objectives.cross_video import cross_video  # noqa: E402
from training.objectives.lav import contrastive_idm, lav  # noqa: E402
from training.objectives.sequence_contrastive import sequence_contrastive  # noqa: E402
from training.objectives.tcc import tcc  # noqa: E402

Array = NDArray[np.float64]
STREAMS, LENGTH, WIDTH = 6, 14, 5


@pytest.fixture(params=range(3))
def batch(request: pytest.FixtureRequest) -> tuple[Array, Ticks]:
    """Three recordings, two streams of each; what others did before, and padding, stands around what is labelled."""
    rng = np.random.default_rng(request.param)
    mask = np.zeros((STREAMS, LENGTH), bool)
    time_s = np.zeros((STREAMS, LENGTH))
    for row in range(STREAMS):
        start, count = int(rng.integers(0, 5)), int(rng.integers(5, 10))
        mask[row, start : start + count] = True
        time_s[row, start : start + count] = np.sort(rng.uniform(0, 3, count))
    z = rng.normal(size=(STREAMS, LENGTH, WIDTH))
    every = torch.ones(STREAMS, dtype=torch.bool)
    ticks = Ticks(
        torch.tensor(mask),
        torch.tensor(mask),
        torch.tensor(time_s),
        torch.tensor(time_s / 3),
        torch.arange(STREAMS) // 2,
        torch.zeros(STREAMS, dtype=torch.long),
        ~every,
        every,
        ~every,
    )
    return z / np.linalg.norm(z, axis=-1, keepdims=True), ticks


def pairs(z: Array, labels: torch.Tensor, ticks: Ticks, same: bool) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Embeddings and labels of each ordered pair of streams, of the same recording or of different ones, labelled ticks only."""
    mask, recording, known = ticks.mask.numpy(), ticks.recording.numpy(), labels.numpy()
    for a, b in itertools.permutations(range(len(z)), 2):
        if (recording[a] == recording[b]) == same:
            yield z[a][mask[a]], known[a][mask[a]], z[b][mask[b]], known[b][mask[b]]


def softmax(scores: Array) -> Array:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def squared(a: Array, b: Array) -> Array:
    return ((a[:, None] - b[None]) ** 2).sum(axis=-1)


def gaussian(z: Array, labels: torch.Tensor, ticks: Ticks, same: bool, sigma: float) -> float:
    losses = []
    for a, at_a, b, at_b in pairs(z, labels, ticks, same):
        weight = np.exp(-(((at_a[:, None] - at_b[None]) / sigma) ** 2) / 2)
        shown = weight.max(axis=1) > 0.135
        target = weight[shown] / weight[shown].sum(axis=1, keepdims=True)
        divergence = target * (np.log(target.clip(1e-9)) - np.log(softmax(a @ b.T / 0.1)[shown]))
        losses.append(divergence.sum(axis=1))
    return float(np.concatenate(losses).mean())


def test_contrastive_regression_is_la2ds_s_loss(batch) -> None:
    z, ticks = batch
    losses = []
    for a, at_a, b, at_b in pairs(z, ticks.time_s, ticks, same=True):
        predicted = softmax(-np.sqrt(squared(a, b)) / 0.1) @ at_b
        losses.append(((predicted - at_a) ** 2)[(at_a >= at_b.min()) & (at_a <= at_b.max())])
    assert float(contrastive_regression(torch.tensor(z), ticks)) == pytest.approx(np.concatenate(losses).mean())


def test_tcc_is_cycle_back_regression(batch) -> None:
    z, ticks = batch
    losses = []
    for a, at_a, b, _ in pairs(z, ticks.progress, ticks, same=False):
        neighbour = softmax(-squared(a, b) / 0.1) @ b
        back = softmax(-squared(neighbour, a) / 0.1)
        mean = back @ at_a
        variance = np.maximum((back * (at_a[None] - mean[:, None]) ** 2).sum(axis=1), 1e-4)
        losses.append((at_a - mean) ** 2 / variance + 0.001 * np.log(variance))
    assert float(tcc(torch.tensor(z), ticks)) == pytest.approx(np.concatenate(losses).mean())


def test_sequence_contrastive_and_cross_video_are_divergences_from_a_gaussian(batch) -> None:
    z, ticks = batch
    over_time = gaussian(z, ticks.time_s, ticks, True, 0.12)
    assert float(sequence_contrastive(torch.tensor(z), ticks)) == pytest.approx(over_time, rel=1e-5)
    over_progress = gaussian(z, ticks.progress, ticks, False, 0.07)
    assert float(cross_video(torch.tensor(z), ticks)) == pytest.approx(over_progress, rel=1e-5)


def test_contrastive_idm_is_lav_s_regulariser(batch) -> None:
    z, ticks = batch
    losses = []
    for stream, mask, time_s in zip(z, ticks.mask.numpy(), ticks.time_s.numpy(), strict=True):
        distance, gap = squared(stream[mask], stream[mask]), ((time_s[mask][:, None] - time_s[mask][None]) / 0.5) ** 2
        beyond = (1 + gap) * np.maximum(2.0 - distance, 0)
        losses.append(np.where(gap > 1, beyond, distance / (1 + gap)).ravel())
    assert float(contrastive_idm(torch.tensor(z), ticks, 0.5, 2.0)) == pytest.approx(np.concatenate(losses).mean())


def test_lav_aligns_what_is_labelled_and_nothing_else(batch) -> None:
    z, ticks = batch
    costs = []
    for a, _, b, _ in pairs(z, ticks.time_s, ticks, same=False):
        total = np.full((len(a) + 1, len(b) + 1), np.inf)
        total[0, 0] = 0.0
        for i, j in itertools.product(range(len(a)), range(len(b))):
            before = -np.array([total[i, j], total[i, j + 1], total[i + 1, j]]) / 0.1
            total[i + 1, j + 1] = squared(a, b)[i, j] - 0.1 * np.logaddexp.reduce(before)
        costs.append(total[-1, -1] / (len(a) + len(b)))
    idm = float(contrastive_idm(torch.tensor(z), ticks, 0.5, 2.0))
    assert float(lav(torch.tensor(z), ticks, pairs=1000)) == pytest.approx(np.mean(costs) + 0.5 * idm)


@pytest.mark.parametrize("objective", [contrastive_regression, tcc, lav, sequence_contrastive, cross_video])
def test_no_gradient_reaches_what_has_no_label(batch, objective) -> None:
    z, ticks = batch
    given = torch.tensor(z, requires_grad=True)
    (gradient,) = torch.autograd.grad(objective(given, ticks), given)
    assert gradient[ticks.mask].abs().sum() > 0
    assert gradient[~ticks.mask].abs().max() == 0
