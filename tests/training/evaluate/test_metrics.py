"""The figures agree with the libraries that define them, and behave at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from scipy.stats import kendalltau
from sklearn.svm import SVC

from training.evaluate.metrics import (
    PhaseLogistic,
    PhaseSvm,
    average_precision,
    phase_progress,
    progress_r2,
    squared_distances,
    tau,
)


def test_the_svm_is_sklearns_default_one() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    features = rng.normal(size=(300, 20)) + 0.7 * labels[:, None]
    asked = rng.normal(size=(200, 20)) + 0.7 * rng.integers(0, 3, 200)[:, None]
    expected = SVC().fit(features, labels).predict(asked)
    np.testing.assert_array_equal(PhaseSvm().fit(features, labels).predict(asked), expected)


@pytest.mark.parametrize("classifier", [PhaseSvm, PhaseLogistic])
def test_a_classifier_survives_one_class_and_constant_features(classifier: type) -> None:
    one = classifier().fit(np.ones((5, 3)), np.full(5, 4))
    assert (one.predict(np.zeros((2, 3))) == 4).all()
    flat = classifier().fit(np.ones((6, 3)), np.array([0, 0, 0, 0, 1, 1]))
    assert set(flat.predict(np.ones((3, 3)))) <= {0, 1}


@examples(25)
@given(st.integers(0, 2**16))
def test_tau_is_scipys_over_all_ordered_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = [rng.normal(size=(int(rng.integers(4, 30)), 3)) for _ in range(4)]
    expected = []
    for i, query in enumerate(features):
        for j, other in enumerate(features):
            if i != j:
                found = squared_distances(query[::2], other[::2]).argmin(axis=1)
                value = kendalltau(np.arange(len(found)), found).statistic
                expected.append(0.0 if np.isnan(value) else value)
    assert tau(features) == pytest.approx(np.mean(expected), abs=1e-9)


def test_tau_of_a_clock_is_near_one_of_a_constant_zero_and_of_one_recording_undefined() -> None:
    clock = [np.linspace(0, 1, n)[:, None] for n in (20, 31, 47)]
    assert tau(clock) > 0.97
    assert tau([np.ones((9, 2)), np.ones((7, 2))]) == 0.0
    assert np.isnan(tau(clock[:1]))
    assert np.isnan(tau([np.ones((1, 2)), np.ones((2, 2))]))


def test_average_precision_by_hand() -> None:
    features = [np.array([[0.0], [10.0]]), np.array([[0.1], [10.1], [10.2]]), np.array([[0.2], [50.0]])]
    phases = [np.array([0, 1]), np.array([0, 1, 1]), np.array([0, -1])]
    figures = average_precision(features, phases, (1, 2))
    assert figures[1] == pytest.approx(1.0)
    # Second neighbour: right for every frame of phase 0 and of recording 0; wrong for 10.1 and 10.2, which have one mate.
    assert figures[2] == pytest.approx(np.mean([1.0, np.mean([1.0, 0.5, 0.5]), 1.0]))


def test_average_precision_never_retrieves_the_same_clip_from_another_recording() -> None:
    twin = np.array([[0.0], [1.0]])
    features = [twin, twin, np.array([[0.9], [0.1]])]
    phases = [np.array([0, 1]), np.array([0, 1]), np.array([0, 1])]
    sources = [np.array([7, 7]), np.array([7, 7]), np.array([8, 8])]
    assert average_precision(features, phases, (1,))[1] > 0.5
    assert average_precision(features, phases, (1,), sources=sources)[1] == 0.0
    assert np.isnan(average_precision(features[:1], phases[:1], (5,))[5])


def test_progress_is_measured_from_each_boundary() -> None:
    target = phase_progress(np.array([0, 0, 1, 1]), 3)
    np.testing.assert_allclose(target[:, 0], [-0.5, -0.25, 0, 0.25])
    assert np.isnan(target[:, 1]).all()
    clocks = [np.arange(n)[:, None] / n for n in (10, 20)]
    targets = [phase_progress((np.arange(n) >= n // 2).astype(int), 2) for n in (10, 20)]
    assert progress_r2(clocks, targets, clocks, targets) == pytest.approx(1.0)
    assert np.isnan(progress_r2(clocks, [t * np.nan for t in targets], clocks, targets))


def test_average_precision_is_the_share_of_the_k_nearest_frames_of_all_others_at_every_k() -> None:
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(int(rng.integers(9, 30)), 4)) for _ in range(5)]
    phases = [np.sort(rng.integers(0, 3, len(of))) for of in features]
    found = average_precision(features, phases, (1, 5, 10, 15))
    for k in found:
        shares = []
        for i, (of, own) in enumerate(zip(features, phases, strict=True)):
            others = np.concatenate([f for j, f in enumerate(features) if j != i])
            labels = np.concatenate([p for j, p in enumerate(phases) if j != i])
            nearest = [((others - frame) ** 2).sum(axis=1).argsort()[:k] for frame in of]
            shares.append(np.mean([(labels[at] == phase).mean() for at, phase in zip(nearest, own, strict=True)]))
        assert found[k] == pytest.approx(np.mean(shares))
