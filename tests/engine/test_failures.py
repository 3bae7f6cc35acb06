"""How long a stage waits after a failure: not at all, or longer each time, by what it did before."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.failures import CAP_S, EARLY_S, FIRST_S, LATER, STEADY_S, Failures

early = st.floats(0.0, EARLY_S, exclude_max=True)
later = st.floats(EARLY_S, STEADY_S, exclude_max=True)
steady = st.floats(STEADY_S, 10 * STEADY_S)
"""Seconds of work before the next failure."""


def test_a_failure_that_stands_alone_costs_no_wait():
    failures = Failures()
    assert failures.add(0.0) == 0.0


@given(st.lists(early, min_size=12, max_size=40))
def test_a_stage_that_fails_as_it_starts_waits_twice_as_long_each_time_up_to_the_cap(work):
    failures = Failures()
    waits = [failures.add(worked_s) for worked_s in work]
    assert waits[0] == 0.0
    for nth, wait_s in enumerate(waits[1:]):
        longest_s = min(CAP_S, FIRST_S * 2**nth)
        assert longest_s / 2 <= wait_s <= longest_s
    assert min(waits[8:]) >= CAP_S / 2


@given(st.lists(later, min_size=60, max_size=80))
def test_a_stage_that_works_a_little_before_each_failure_is_given_longer_but_not_for_ever(work):
    failures = Failures()
    waits = [failures.add(worked_s) for worked_s in work]
    assert max(waits[: round(1 / LATER)]) <= FIRST_S
    assert min(waits[40:]) >= CAP_S / 2


@given(st.lists(early, min_size=1, max_size=20))
def test_work_takes_failures_back(work):
    failures = Failures()
    for worked_s in work:
        failures.add(worked_s)
    left = [failures.in_a_row(n * STEADY_S) for n in range(round(len(work) / LATER) + 1)]
    assert left[0] == len(work) and left[-1] == 0
    assert all(before > after for before, after in pairwise(left))


@given(st.lists(steady, min_size=1, max_size=50))
def test_a_stage_that_works_between_its_failures_never_waits(work):
    failures = Failures()
    assert [failures.add(worked_s) for worked_s in work] == [0.0] * len(work)
