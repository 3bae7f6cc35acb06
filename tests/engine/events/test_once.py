"""A procedure that is done once at a time: its end is followed by nothing, however much the end resembles the start."""

import pytest
from streams import NOBODY, PHASES, RATE_HZ, TICKS, cycle, events_of, procedure, reference, seen

from engine.matching.hmm import SwitchingMatcher

SEEDS = range(3)
CYCLES = ("cycle_started", "cycle_finished", "cycle_abandoned")
DEVIATIONS = ("phase_skipped", "phase_repeated", "phase_out_of_order")
WHOLE = cycle(*range(PHASES))
AT_END, AT_START = TICKS - 1, 0


def told(seed: int, positions, *kinds: str, cyclic: bool = False) -> list[str]:
    work = procedure(seed)
    return [e.event for e in events_of(reference(work, cyclic=cyclic), seen(work, positions, seed), kinds)]


@pytest.mark.parametrize("seed", SEEDS)
def test_done_once_it_is_started_and_finished_once_with_all_its_phases(seed):
    work = procedure(seed)
    events = events_of(reference(work, cyclic=False), seen(work, [*WHOLE, *[NOBODY] * 60], seed))
    assert [e.event for e in events if e.event in (*CYCLES, *DEVIATIONS)] == ["cycle_started", "cycle_finished"]
    assert [e.phase for e in events if e.event == "phase_started"] == [f"p{p}" for p in range(PHASES)]
    (finished,) = (e for e in events if e.event == "cycle_finished")
    assert finished.time_s == pytest.approx(TICKS / RATE_HZ, abs=0.5) and finished.details["coverage"] > 0.95


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("where", [AT_END, AT_START])
def test_whoever_stands_there_when_it_is_done_has_not_begun_again(seed, where):
    twenty_seconds = round(20 * RATE_HZ)
    standing = told(seed, [*WHOLE, *[where] * twenty_seconds], *CYCLES, *DEVIATIONS, "paused")
    assert standing == ["cycle_started", "cycle_finished"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hand_that_for_a_moment_goes_back_as_at_the_start_begins_nothing_where_no_cycle_follows_at_once(seed):
    """Cyclic work is expected to begin again there, and is believed to have."""
    positions = [*WHOLE, *range(round(0.7 * RATE_HZ)), *[NOBODY] * round(40 * RATE_HZ)]
    assert told(seed, positions, *CYCLES) == ["cycle_started", "cycle_finished"]
    begun_and_left = ["cycle_started", "cycle_abandoned"]
    assert told(seed, positions, *CYCLES, cyclic=True) == ["cycle_started", "cycle_finished", *begun_and_left]


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_does_it_again_after_a_while_is_counted_again(seed):
    rest = [AT_END] * 100
    assert told(seed, [*WHOLE, *rest, *WHOLE, *rest], *CYCLES) == ["cycle_started", "cycle_finished"] * 2


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_it_is_not_finished(seed):
    half_then_gone = [*range(TICKS // 2), *[NOBODY] * round(40 * RATE_HZ)]
    assert told(seed, half_then_gone, *CYCLES) == ["cycle_started", "cycle_abandoned"]


@pytest.mark.parametrize("seed", SEEDS)
def test_out_of_sight_past_its_end_the_work_is_over_and_only_cyclic_work_goes_on(seed):
    """Nothing is seen any more just before the end: what is believed then comes of what may follow alone."""
    work = procedure(seed)
    begins = {}
    for cyclic in (False, True):
        matcher = SwitchingMatcher(reference(work, cyclic=cyclic))
        for embedding in seen(work, range(TICKS - 2), seed):
            matcher.step(embedding, 1 / RATE_HZ)
        for _ in range(8):
            matcher.step(None, 1 / RATE_HZ)
        begins[cyclic] = float(matcher.belief[: TICKS // 4].sum())
    assert begins[False] < 0.25 < 0.4 < begins[True]
