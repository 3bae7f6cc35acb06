"""Objectives: what is aligned costs less than what is not, padding and labels that are unknown cost nothing."""

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from training.objectives import OBJECTIVES, Ticks
from training.objectives.lav import soft_dtw


def ticks(streams: int = 4, length: int = 12, cyclic: bool = False, exact: bool = False) -> Ticks:
    """Two recordings of one action, two streams of each, all from start to end at one pace."""
    progress = torch.linspace(0, 1, length).repeat(streams, 1)
    return Ticks(
        mask=torch.ones(streams, length, dtype=torch.bool),
        at_work=torch.ones(streams, length, dtype=torch.bool),
        time_s=progress * 2,
        progress=progress,
        recording=torch.arange(streams) // 2,
        action=torch.zeros(streams, dtype=torch.long),
        cyclic=torch.full((streams,), cyclic),
        trimmed=torch.ones(streams, dtype=torch.bool),
        exact=torch.full((streams,), exact),
    )


def aligned(known: Ticks) -> torch.Tensor:
    """Embeddings that are a half-circle walked with progress: the same moment is the same point."""
    angle = known.progress * np.pi
    return F.normalize(torch.stack([angle.cos(), angle.sin(), 0.1 * torch.ones_like(angle)], -1), dim=-1)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_aligned_embedding_costs_less_than_a_shuffled_and_than_a_constant_one(name):
    torch.manual_seed(0)
    known = ticks(exact=True)
    z = aligned(known)
    shuffled = torch.stack([row[torch.randperm(len(row))] for row in z])
    constant = F.normalize(torch.ones_like(z), dim=-1)
    loss = float(OBJECTIVES[name](z, known))
    assert loss < float(OBJECTIVES[name](shuffled, known))
    assert loss < float(OBJECTIVES[name](constant, known))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_padding_costs_nothing(name):
    torch.manual_seed(0)
    known = ticks(exact=True)
    z = aligned(known)
    padded = F.normalize(torch.cat([z, torch.randn(4, 5, 3)], 1), dim=-1)

    def pad(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, torch.zeros(4, 5, dtype=values.dtype)], 1)

    more = dataclasses.replace(known, mask=pad(known.mask), time_s=pad(known.time_s), progress=pad(known.progress))
    torch.manual_seed(1)
    alone = OBJECTIVES[name](z, known)
    torch.manual_seed(1)
    torch.testing.assert_close(OBJECTIVES[name](padded, more), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_finite_even_where_there_is_nothing_to_compare(name):
    known = ticks(streams=1)
    z = aligned(known).requires_grad_()
    OBJECTIVES[name](z, known).sum().backward()
    assert z.grad is None or torch.isfinite(z.grad).all()


@pytest.mark.parametrize("name", ["cross_video", "tcc"])
def test_recordings_that_are_no_whole_execution_are_not_aligned_across_people(name):
    known = dataclasses.replace(ticks(), trimmed=torch.zeros(4, dtype=torch.bool))
    assert float(OBJECTIVES[name](aligned(known), known)) == 0


def test_a_look_alike_moment_of_another_stream_costs_even_where_no_pair_of_streams_shows_both():
    """Four streams, each half of the procedure; in the second embedding both halves look the same."""
    known = ticks(exact=True)
    known.progress[:2], known.progress[2:] = known.progress[:2] / 2, 0.5 + known.progress[2:] / 2
    halves_alike = aligned(dataclasses.replace(known, progress=known.progress % 0.5))
    objective = OBJECTIVES["progress_contrastive"]
    assert float(objective(aligned(known), known)) < float(objective(halves_alike, known))


def test_for_a_cyclic_action_the_end_is_near_the_start():
    def circle(known: Ticks) -> torch.Tensor:
        angle = known.progress * 2 * np.pi
        return torch.stack([angle.cos(), angle.sin()], -1)

    once, again = ticks(), ticks(cyclic=True)
    assert float(OBJECTIVES["cross_video"](circle(again), again)) < float(OBJECTIVES["cross_video"](circle(once), once))


def test_soft_dtw_goes_to_the_cheapest_path_as_it_hardens():
    torch.manual_seed(0)
    cost = torch.rand(1, 4, 3)
    cheapest = np.inf
    for moves in product([(1, 0), (0, 1), (1, 1)], repeat=5):
        i = j = 0
        total = float(cost[0, 0, 0])
        for di, dj in moves:
            if (i, j) == (3, 2):
                break
            i, j = i + di, j + dj
            if i > 3 or j > 2:
                break
            total += float(cost[0, i, j])
        if (i, j) == (3, 2):
            cheapest = min(cheapest, total)
    found = soft_dtw(cost, torch.tensor([4]), torch.tensor([3]), 1e-3)
    assert float(found) == pytest.approx(cheapest, abs=0.02)
