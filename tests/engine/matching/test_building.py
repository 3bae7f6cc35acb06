"""References from demonstrations: one clock, phases carried over, and what cannot become a reference."""

from dataclasses import replace

import numpy as np
import pytest
from streams import BUNDLE, RATE_HZ, SIZE, follow, procedure, reference, seen

from engine.errors import BadReference
from engine.matching import dtw
from engine.matching.building import EmbeddedDemo, build_reference
from engine.matching.emission import Emission, EmissionFit, unit
from engine.matching.fitting import NATS_APART, between
from engine.reference import Phase, Reference


def demo(embeddings: np.ndarray, name: str = "demo") -> EmbeddedDemo:
    return EmbeddedDemo(name, embeddings, np.zeros((len(embeddings), 13, 3), np.float32))


def test_a_slower_demonstration_is_put_on_the_first_ones_clock_with_its_own_durations():
    work = procedure(1, 120)
    slower = seen(work, np.arange(0, 120, 0.5), noise=0.01)
    halves = [Phase(name="a", start_s=0, end_s=3), Phase(name="b", start_s=3, end_s=6)]
    built = build_reference([demo(work), demo(slower)], halves, BUNDLE)
    assert built.templates.shape == (2, 120, work.shape[1])
    assert np.sum(built.templates[0] * built.templates[1], axis=1).min() > 0.9
    assert built.info.durations_s[0] == pytest.approx((3, 3))
    assert built.info.durations_s[1] == pytest.approx((6, 6), abs=0.3)


def test_a_reference_of_one_phase_counts_the_whole_recording():
    built = build_reference([demo(procedure(2, 50))], None, BUNDLE)
    assert [(p.start_s, p.end_s) for p in built.info.phases] == [(0.0, 2.5)]


def test_a_reference_survives_its_file(tmp_path):
    work = procedure(3)
    built = build_reference([demo(work), demo(seen(work, range(200)))], None, BUNDLE)
    built.save(tmp_path / "a.ref")
    loaded = Reference.load(tmp_path / "a.ref")
    assert loaded.info == built.info
    assert follow(loaded, work[:40]) == follow(built, work[:40])


@pytest.mark.parametrize(
    ("embeddings", "phases", "says"),
    [
        (np.zeros((0, 8), np.float32), None, "too short"),
        (np.eye(8, dtype=np.float32)[:1], None, "too short"),
        (np.ones((30, 8), np.float32), None, "nothing moves"),
        (np.full((30, 8), np.nan, np.float32), None, "not numbers"),
        (procedure(0, 40), [Phase(name="a", start_s=0, end_s=9)], "outside"),
        (procedure(0, 40), [Phase(name="a", start_s=1, end_s=1)], "ends before"),
        (procedure(0, 40), [Phase(name="a", start_s=0, end_s=1), Phase(name="a", start_s=1, end_s=2)], "two phases"),
        (procedure(0, 40), [Phase(name="a", start_s=0, end_s=1.5), Phase(name="b", start_s=1, end_s=2)], "overlaps"),
    ],
)
def test_what_cannot_be_a_reference_is_refused_with_the_reason(embeddings, phases, says):
    with pytest.raises(BadReference, match=says):
        build_reference([demo(embeddings)], phases, BUNDLE)


def test_no_demonstration_is_refused():
    with pytest.raises(BadReference, match="no demonstration"):
        build_reference([], None, BUNDLE)


def test_phases_of_one_tick_are_followed():
    work = procedure(4, 60)
    tick = 1 / RATE_HZ
    marks = [Phase(name=f"p{i}", start_s=i * tick, end_s=(i + 1) * tick) for i in range(60)]
    built = build_reference([demo(work)], marks, BUNDLE)
    phases = [m.phase for m in follow(built, work)]
    assert np.abs(np.array(phases) - np.arange(60))[10:].max() <= 1


def test_warping_paths_join_the_ends_and_never_go_back():
    a, b = procedure(5, 40), seen(procedure(5, 40), np.arange(0, 40, 0.4))
    path = dtw.align(a, b)
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [39, len(b) - 1]
    assert (np.diff(path, axis=0) >= 0).all()
    with pytest.raises(ValueError, match="at least one tick"):
        dtw.align(a[:0], b)


@pytest.mark.parametrize("ticks", [60, 200, 1000])
def test_a_tick_tells_moments_half_a_second_apart_by_the_same_evidence_however_fast_the_work_changes(ticks):
    """Smoother work (more ticks for the same path) changes less in half a second, so each bit of likeness must weigh more."""
    path = procedure(6, 60)
    work = between(path, np.linspace(0, 59, ticks))
    fit = EmissionFit(**reference(work).info.emission)
    half_a_second_apart = np.median(1 - np.sum(work[:-10] * work[10:], axis=1))
    assert fit.slope * fit.temper * half_a_second_apart == pytest.approx(NATS_APART, rel=1e-3)


def test_what_has_nothing_to_do_with_the_work_scores_below_zero_even_where_it_fits_best():
    work = procedure(6)
    emission = Emission(reference(work))
    strangers = unit(np.random.default_rng(5).normal(size=(300, SIZE)))
    scores = [float(emission(stranger, 0.0).max()) for stranger in strangers]
    assert np.mean(np.array(scores) < 0) > 0.9
    assert min(float(emission(seen_again, 0.0).max()) for seen_again in seen(work, range(0, 200, 10))) > 0


def test_a_boundary_that_several_demonstrations_mark_is_put_at_the_median_of_the_marks():
    """The first demonstration's mark is a second late; two others agree with each other."""
    work = procedure(4)
    phases = [Phase(name="a", start_s=0, end_s=6), Phase(name="b", start_s=6, end_s=10)]
    marked = [replace(demo(work, name), starts_s={"b": 5.0}) for name in ("second", "third")]
    reference = build_reference([demo(work, "first"), *marked], phases, BUNDLE)
    assert [phase.end_s for phase in reference.info.phases] == [pytest.approx(5.0, abs=0.1), 10]
    assert reference.info.phases[1].start_s == reference.info.phases[0].end_s
