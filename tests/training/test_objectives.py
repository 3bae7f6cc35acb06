"""Objectives: what is aligned costs less than what is not, padding and labels that are unknown cost nothing."""

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from training.objectives import OBJECTIVES, Ticks, WeightedObjectives
from training.objectives.lav import soft_dtw
from training.objectives.progress_prototypes import ProgressPrototypes, _paths


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


@dataclasses.dataclass
class Wanted:
    name: str
    weight: float = 1.0
    options: dict[str, float] = dataclasses.field(default_factory=dict)


def loss_of(name: str, z: torch.Tensor, known: Ticks, dim: int = 3) -> torch.Tensor:
    return WeightedObjectives([Wanted(name)], dim, procedures=1)(z, known)["loss"]


def learned(known: Ticks, **options: float) -> ProgressPrototypes:
    """Directions that have come to lie where `aligned` puts each moment."""
    prototypes = ProgressPrototypes(3, 1, **options)
    moments = dataclasses.replace(known, progress=prototypes.centres[None])
    prototypes.directions.data = aligned(moments).detach().clone()
    return prototypes


def aligned(known: Ticks) -> torch.Tensor:
    """Embeddings that are a half-circle walked with progress: the same moment is the same point."""
    angle = known.progress * np.pi
    return F.normalize(torch.stack([angle.cos(), angle.sin(), 0.1 * torch.ones_like(angle)], -1), dim=-1)


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"progress_prototypes"}))
def test_an_aligned_embedding_costs_less_than_a_shuffled_and_than_a_constant_one(name):
    torch.manual_seed(0)
    known = ticks(exact=True)
    z = aligned(known)
    shuffled = torch.stack([row[torch.randperm(len(row))] for row in z])
    constant = F.normalize(torch.ones_like(z), dim=-1)
    loss = float(loss_of(name, z, known))
    assert loss < float(loss_of(name, shuffled, known))
    assert loss < float(loss_of(name, constant, known))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_padding_costs_nothing(name):
    torch.manual_seed(0)
    known = ticks(exact=True)
    z = aligned(known)
    padded = F.normalize(torch.cat([z, torch.randn(4, 5, 3)], 1), dim=-1)

    def pad(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, torch.zeros(4, 5, dtype=values.dtype)], 1)

    longer = {field: pad(getattr(known, field)) for field in ("mask", "at_work", "time_s", "progress")}
    more = dataclasses.replace(known, **longer)
    torch.manual_seed(1)
    alone = loss_of(name, z, known)
    torch.manual_seed(1)
    torch.testing.assert_close(loss_of(name, padded, more), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_finite_even_where_there_is_nothing_to_compare(name):
    known = dataclasses.replace(ticks(streams=1), trimmed=torch.zeros(1, dtype=torch.bool))
    z = aligned(known).requires_grad_()
    loss_of(name, z, known).sum().backward()
    assert z.grad is None or torch.isfinite(z.grad).all()


@pytest.mark.parametrize("exact", [True, False])
def test_directions_are_learned_until_every_moment_is_told_from_the_others(exact):
    torch.manual_seed(0)
    known = ticks(exact=exact)
    z = aligned(known)
    prototypes = ProgressPrototypes(3, 1)
    optimiser = torch.optim.Adam(prototypes.parameters(), 0.01)
    first = float(prototypes(z, known).detach())
    for _ in range(100):
        optimiser.zero_grad()
        prototypes(z, known).backward()
        optimiser.step()
    shuffled = torch.stack([row[torch.randperm(len(row))] for row in z])
    assert prototypes(z, known).item() < 0.5 * first
    assert prototypes(z, known).item() < prototypes(shuffled, known).item()


def test_whoever_is_faster_at_first_is_laid_along_the_directions_as_they_are_not_by_equal_shares():
    """Two people: equal shares for both, but what the second shows runs ahead and is waited for."""
    known = ticks(streams=2, length=40)
    true = known.progress.clone()
    true[1] = known.progress[1] ** 0.75
    z = aligned(dataclasses.replace(known, progress=true))
    by_shares, by_paths = learned(known)(z, known), learned(known, band=0.2, settle=0)(z, known)
    assert by_paths.item() < by_shares.item()


@pytest.mark.parametrize("first_exact", [True, False])
def test_exact_progress_is_never_laid_along_a_path_whoever_else_is_in_the_batch(first_exact):
    """Two people, of whom only one has exact progress and shows something else there than the directions say."""
    known = ticks(streams=2, length=40)
    true = known.progress.clone()
    odd = 0 if first_exact else 1
    true[odd] = known.progress[odd] ** 0.75
    z = aligned(dataclasses.replace(known, progress=true))
    both = dataclasses.replace(known, exact=torch.tensor([first_exact, not first_exact]))
    alone = learned(known)(z, both)
    assert float(learned(known, band=0.2, settle=0)(z, both)) == pytest.approx(float(alone), rel=0.02)


@examples(40)
@given(seed=st.integers(0, 10_000), band=st.floats(0.05, 0.5), executions=st.integers(1, 3))
def test_a_path_stays_in_its_band_and_never_goes_back_within_an_execution(seed, band, executions):
    rng = np.random.default_rng(seed)
    runs = [np.sort(rng.uniform(0, 1, rng.integers(2, 30))) for _ in range(executions)]
    progress = np.concatenate(runs).astype(np.float32)
    first = np.cumsum([0] + [len(run) for run in runs[:-1]])
    scores = torch.randn(len(progress), 64, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    bins = _paths(scores.numpy(), progress, np.zeros(len(progress), np.int64), band, 30.0)
    assert (np.abs((bins + 0.5) / 64 - progress) <= band + 2 / 64).all()
    within = np.ones(len(progress) - 1, bool)
    within[first[1:] - 1] = False
    falls = np.diff(progress) < 0
    assert (np.diff(bins)[within & ~falls] >= 0).all()


@pytest.mark.parametrize("name", ["cross_video", "tcc", "progress_prototypes"])
def test_recordings_that_are_no_whole_execution_are_not_aligned_across_people(name):
    known = dataclasses.replace(ticks(), trimmed=torch.zeros(4, dtype=torch.bool))
    assert float(loss_of(name, aligned(known), known)) == 0


def test_a_look_alike_moment_of_another_stream_costs_even_where_no_pair_of_streams_shows_both():
    """Four streams, each half of the procedure; in the second embedding both halves look the same."""
    known = ticks(exact=True)
    known.progress[:2], known.progress[2:] = known.progress[:2] / 2, 0.5 + known.progress[2:] / 2
    halves_alike = aligned(dataclasses.replace(known, progress=known.progress % 0.5))
    name = "progress_contrastive"
    assert float(loss_of(name, aligned(known), known)) < float(loss_of(name, halves_alike, known))


def test_for_a_cyclic_action_the_end_is_near_the_start():
    def circle(known: Ticks) -> torch.Tensor:
        angle = known.progress * 2 * np.pi
        return torch.stack([angle.cos(), angle.sin()], -1)

    once, again = ticks(), ticks(cyclic=True)
    name = "cross_video"
    assert float(loss_of(name, circle(again), again)) < float(loss_of(name, circle(once), once))


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
