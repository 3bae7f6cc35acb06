"""The rendered station's ground truth, without drawing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine.errors import ConfigError
from engine.sources.rendered import NOMINAL_S, PHASES, Deviation, StationParams, Truth, simulate
from engine.sources.rendered.options import parse_options, station_params
from engine.sources.rendered.performance import TruthByFrame
from engine.sources.rendered.truth import STATUSES

ON_TASK, PAUSED, OFF_TASK, IDLE = range(4)


def order_of_phases(truth: Truth, cycle: int) -> list[str]:
    """Names of the phases of a cycle as the frames have them, runs collapsed."""
    phases = truth.phase[(truth.cycle == cycle) & (truth.phase >= 0)]
    progress = truth.phase_progress[(truth.cycle == cycle) & (truth.phase >= 0)]
    starts = np.flatnonzero((np.diff(phases) != 0) | (np.diff(progress) < -0.5)) + 1
    return [PHASES[phases[i]] for i in [0, *starts]]


@examples(25)
@given(seed=st.integers(0, 10**6), deviations=st.integers(0, 3))
def test_any_random_worker_does_every_cycle_and_progress_only_grows_within_a_phase(seed: int, deviations: int) -> None:
    truth = simulate(StationParams.random(seed, cycles=3, deviations=deviations))
    assert set(truth.cycle[truth.phase >= 0]) == {1, 2, 3}
    assert (truth.phase[truth.status == IDLE] == -1).all()
    assert ((truth.phase_progress >= 0) & (truth.phase_progress <= 1)).all()
    assert ((truth.cycle_progress >= 0) & (truth.cycle_progress <= 1)).all()
    same = (np.diff(truth.phase) == 0) & (truth.phase[1:] >= 0)
    steps = np.diff(truth.phase_progress)[same]
    assert ((steps >= -1e-9) | (steps < -0.9)).all()  # back only where a phase begins again
    assert np.isfinite(truth.joints).all()


@examples(25)
@given(seed=st.integers(0, 10**6))
def test_a_worker_moves_smoothly(seed: int) -> None:
    params = StationParams.random(seed, cycles=2)
    step_px = np.hypot(*np.moveaxis(np.diff(simulate(params).joints[:, :, :2], axis=0), 2, 0))
    # A quick hand at the nominal pace: 40 pixels a frame are about 4 m/s.
    assert step_px[:, :7].max() < 40 * max(1.0, params.speed) * max(1.0, params.view.zoom)


def test_the_same_parameters_give_the_same_truth_and_another_day_another() -> None:
    params = StationParams.random(5, cycles=1)
    assert np.array_equal(simulate(params).joints, simulate(params).joints)
    assert simulate(replace(params, seed=6)).joints.shape != simulate(params).joints.shape or not np.array_equal(
        simulate(replace(params, seed=6)).joints, simulate(params).joints
    )


def test_a_cycle_at_speed_one_takes_its_nominal_time() -> None:
    truth = simulate(StationParams(cycles=1, speed_variation=0.0))
    (cycle,) = truth.events_of("cycle")
    assert cycle.end_s - cycle.start_s == pytest.approx(sum(NOMINAL_S))
    assert order_of_phases(truth, 1) == list(PHASES)


def test_a_skipped_phase_is_missing_and_reported_when_it_was_passed() -> None:
    truth = simulate(StationParams(cycles=2, deviations=(Deviation("skip", 2, 2),)))
    assert order_of_phases(truth, 2) == ["pick", "place", "inspect", "hand_off"]
    (skip,) = truth.events_of("skip")
    inspect = next(e for e in truth.events_of("phase") if e.cycle == 2 and e.phase == "inspect")
    assert (skip.phase, skip.cycle, skip.start_s) == ("fasten", 2, inspect.start_s)


def test_a_skipped_last_phase_is_reported_in_its_own_cycle() -> None:
    truth = simulate(StationParams(cycles=2, deviations=(Deviation("skip", 4, 1),)))
    (skip,) = truth.events_of("skip")
    (first, _) = truth.events_of("cycle")
    assert skip.start_s == pytest.approx(first.end_s)


def test_a_repeated_phase_is_done_twice() -> None:
    truth = simulate(StationParams(cycles=1, deviations=(Deviation("repeat", 1, 1),)))
    assert order_of_phases(truth, 1) == ["pick", "place", "place", "fasten", "inspect", "hand_off"]


def test_swapped_phases_change_places() -> None:
    truth = simulate(StationParams(cycles=1, deviations=(Deviation("swap", 1, 1),)))
    assert order_of_phases(truth, 1) == ["pick", "fasten", "place", "inspect", "hand_off"]


@pytest.mark.parametrize(("kind", "status"), [("pause", PAUSED), ("leave", OFF_TASK), ("turn", OFF_TASK)])
def test_off_the_work_progress_stands_still_for_as_long_as_asked(kind: str, status: int) -> None:
    truth = simulate(StationParams(cycles=1, deviations=(Deviation(kind, 2, 1, 6.0, 0.5),)))  # type: ignore[arg-type]
    away = truth.status == status
    assert away.sum() == pytest.approx(6.0 * 30, abs=2)
    assert np.ptp(truth.phase_progress[away]) < 0.03
    assert truth.phase_progress[away].mean() == pytest.approx(0.5, abs=0.02)


def test_who_leaves_the_picture_is_not_visible_and_comes_back() -> None:
    truth = simulate(StationParams(cycles=1, deviations=(Deviation("leave", 1, 1, 9.0),)))
    seen = truth.joints[:, :, 2].max(axis=1) > 0
    (leave,) = truth.events_of("leave")
    middle = np.abs(truth.times_s - (leave.start_s + leave.end_s) / 2) < 1.5
    assert not seen[middle].any()
    assert seen[truth.times_s > leave.end_s].all()


def test_the_bench_hides_the_legs_and_nothing_else_at_work() -> None:
    truth = simulate(StationParams(cycles=1))
    assert truth.joints[:, 9:, 2].max() == 0
    assert truth.joints[:, :9, 2].min() == 1


def test_single_frames_can_be_looked_up_in_any_order() -> None:
    params = StationParams.random(2, cycles=1, deviations=(Deviation("pause", 1, 1, 3.0),))
    truth, lookup = simulate(params), TruthByFrame(params)
    for index in (500, 3, 240, 239, len(truth) - 1):
        found, expected = lookup[index], truth.frame(index)
        assert (found.phase, found.status, found.deviations) == (expected.phase, expected.status, expected.deviations)
        assert found.phase_progress == pytest.approx(expected.phase_progress)
        assert np.allclose(found.joints, expected.joints)


def test_truth_survives_json_and_its_parameters_make_the_same_recording(tmp_path) -> None:
    truth = simulate(StationParams.random(9, cycles=2, deviations=2))
    truth.save(tmp_path / "truth.json")
    document = json.loads((tmp_path / "truth.json").read_text())
    assert document["statuses"] == list(STATUSES)
    assert len(document["frames"]["joints"]) == len(truth)
    again = simulate(StationParams.from_json(document["params"]))
    assert np.array_equal(again.joints, truth.joints)
    assert again.events == truth.events


def test_options_in_one_line_say_everything() -> None:
    params = station_params(parse_options("seed=3,worker=8,cycles=4,speed=1.2,idle=0,skip=fasten@2+1@3,pause=4@1:2.5"))
    assert (params.seed, params.cycles, params.speed, params.idle_s) == (3, 4, 1.2, 0)
    assert params.body == StationParams.random(8).body
    assert params.deviations == (
        Deviation("skip", 2, 2),
        Deviation("skip", 0, 3),
        Deviation("pause", 3, 1, 2.5),
    )


@pytest.mark.parametrize(
    "text",
    [
        "colour=red",
        "cycles",
        "cycles=many",
        "skip=6@1",
        "skip=pick",
        "skip=pick@9",
        "swap=5@1",
        "pause=pick@1:-3",
        "seed=-1",
        "speed=0",
        "fps=1000",
        "pause=1@1:nan",
        "idle=inf",
        "deviations=9",
        "cycles=-1",
        "skip=1@0",
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        station_params(parse_options(text))
    assert "\n" not in str(caught.value)
