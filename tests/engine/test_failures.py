"""How long a stage waits after a failure: not at all, or longer each time, by what it did before."""

from hypothesis import given
from hypothesis import strategies as st

from engine.failures import CAP_S, FIRST_S, STEADY_S, Failures

soon = st.floats(0.0, STEADY_S, exclude_max=True)
"""Seconds of work before the next failure."""


def test_a_failure_that_stands_alone_costs_no_wait():
    failures = Failures()
    assert [failures.add(worked_s) for worked_s in (0.0, STEADY_S, 3 * STEADY_S, STEADY_S)] == [0.0] * 4


@given(st.lists(soon, min_size=12, max_size=40))
def test_a_stage_that_fails_soon_after_each_start_waits_twice_as_long_each_time_up_to_the_cap(work):
    failures = Failures()
    waits = [failures.add(worked_s) for worked_s in work]
    assert waits[0] == 0.0
    for nth, wait_s in enumerate(waits[1:]):
        longest_s = min(CAP_S, FIRST_S * 2**nth)
        assert longest_s / 2 <= wait_s <= longest_s
    assert min(waits[8:]) >= CAP_S / 2


@given(st.lists(soon, min_size=1, max_size=20))
def test_work_takes_failures_back_one_by_one(work):
    failures = Failures()
    for worked_s in work:
        failures.add(worked_s)
    left = [failures.in_a_row(n * STEADY_S) for n in range(len(work) + 2)]
    assert left == [*range(len(work), 0, -1), 0, 0]


@given(st.lists(st.floats(STEADY_S, 10 * STEADY_S), min_size=1, max_size=50))
def test_a_stage_that_works_between_its_failures_never_waits(work):
    failures = Failures()
    assert [failures.add(worked_s) for worked_s in work] == [0.0] * len(work)
