"""A running matcher meets what streams can bring: holes, nonsense, and clocks that misbehave."""

import numpy as np
import pytest
from streams import PHASES, RATE_HZ, SIZE, cycle, procedure, reference, seen

from engine.matching import fitting, open_matcher
from engine.matching.emission import EmissionFit

DT_S = 1 / RATE_HZ


@pytest.fixture
def running():
    """A matcher in mid-cycle, and the embeddings that follow."""
    work = procedure(0)
    matcher = open_matcher(reference(work))
    embeddings = seen(work, cycle(*range(PHASES)))
    for embedding in embeddings[:100]:
        last = matcher.step(embedding, DT_S)
    return matcher, embeddings[100:], last


@pytest.mark.parametrize(
    "nonsense", [None, np.zeros(SIZE, np.float32), np.full(SIZE, np.nan, np.float32), np.full(SIZE, np.inf, np.float32)]
)
def test_a_missing_zero_or_broken_embedding_is_no_evidence_at_all(running, nonsense):
    matcher, _, last = running
    match = matcher.step(nonsense, DT_S)
    assert abs(match.position_s - last.position_s) < 0.2
    assert match.status == "on_task"
    assert np.isfinite([match.confidence, match.rate]).all()


@pytest.mark.parametrize("dt_s", [0.0, -1.0, -3600.0, float("nan"), float("inf")])
def test_time_that_stands_still_or_goes_back_moves_nothing(running, dt_s):
    matcher, embeddings, last = running
    match = matcher.step(embeddings[0], dt_s)
    assert abs(match.position_s - last.position_s) < 0.3
    again = [matcher.step(embedding, DT_S) for embedding in embeddings[1:40]]
    assert abs(again[-1].position_s - 6.95) < 0.3


def test_after_an_hour_nothing_is_known_and_work_is_found_again(running):
    matcher, embeddings, _ = running
    match = matcher.step(None, 3600.0)
    assert match.confidence < 0.9
    for embedding in embeddings[1:60]:
        match = matcher.step(embedding, DT_S)
    assert abs(match.position_s - 7.95) < 0.3 and match.status == "on_task"


def test_a_once_through_procedure_ends_idle_and_does_not_start_over_by_itself():
    work = procedure(1)
    matcher = open_matcher(reference(work, cyclic=False))
    embeddings = [*seen(work, range(200)), *seen(work, [-1] * 60)]
    matches = [matcher.step(embedding, DT_S) for embedding in embeddings]
    assert matches[190].status == "on_task"
    assert matches[-1].status in ("idle", "off_task")


def test_unseen_operators_are_lost_and_found(running):
    matcher, embeddings, _ = running
    gone = [matcher.step(None, DT_S) for _ in range(20)]
    assert gone[-1].status == "lost" and gone[-1].eta_s is None
    assert gone[-1].confidence < gone[0].confidence
    for embedding in embeddings[:20]:
        match = matcher.step(embedding, DT_S)
    assert match.status == "on_task"


def test_evidence_as_steep_as_can_be_fitted_overflows_nowhere():
    work = procedure(2)
    steep = fitting.with_emission(reference(work), EmissionFit(slope=1000.0, offset=-600.0, temper=0.8))
    matcher = open_matcher(steep)
    with np.errstate(over="raise"):
        matches = [matcher.step(embedding, DT_S) for embedding in seen(work, range(120))]
    assert np.isfinite(matcher.belief).all()
    assert abs(matches[-1].position_s - 119 / 20) < 0.2
