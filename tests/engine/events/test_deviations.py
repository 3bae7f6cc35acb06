"""Phases skipped, repeated, out of order: what says so in a shift, and what only looks like it."""

import numpy as np
import pytest
from shift import DEVIATIONS, LENGTH_S, RATE_HZ, Shift, pass_through, told_with_delay


def test_taking_up_again_what_was_left_is_no_repetition():
    """Off task in mid-phase; back a little before where it was left, after going away had looked like the next phase."""
    shift = Shift().do("a")
    for position in np.arange(2.0, 3.5, 0.05):
        shift.tick(position)
    for position in np.arange(4.0, 4.9, 0.05):  # turning away resembles c
        shift.tick(position)
    shift.stay(4.9, 4.0, "off_task")
    for position in np.arange(2.8, 4.0, 0.05):
        shift.tick(position)
    assert shift.do("c", "a").kinds(*DEVIATIONS) == []


@pytest.mark.parametrize(("worked_s", "told"), [(0.0, []), (1.5, ["b", "c"])])
def test_what_going_and_coming_back_resembled_takes_nothing_from_what_is_taken_up_soon_after(
    worked_s: float, told: list[str]
):
    shift = Shift().do("a")
    pass_through(shift, 2.0, 3.2)
    pass_through(shift, 4.0, 4.5)  # going away resembles c
    shift.stay(4.5, 4.0, "off_task")
    pass_through(shift, 4.5, 5.2)  # and so does coming back
    shift.stay(5.2, worked_s, "on_task")
    pass_through(shift, 2.4, 4.0).do("c", "a")
    assert shift.kinds(*DEVIATIONS) == [("phase_repeated", phase) for phase in told]


def test_a_phase_begun_well_before_the_operator_left_is_repeated_if_an_earlier_one_is_done_again():
    shift = Shift().do("a", "b")
    for position in np.arange(4.0, 5.4, 0.02):
        shift.tick(position)
    shift.stay(5.4, 4.0, "off_task").do("b", "c")
    assert ("phase_repeated", "b") in shift.kinds(*DEVIATIONS)


def test_going_away_in_the_last_phase_is_not_its_repetition():
    """Going home and going away look alike: the cycle is over, and what is left of the last phase comes afterwards."""
    shift = Shift().do("a", "b", "c").stay(5.9, 4.0, "off_task")
    for position in np.arange(4.5, 6.0, 0.05):
        shift.tick(position)
    assert shift.kinds(*DEVIATIONS) == []


def test_a_passed_phase_for_which_time_was_taken_was_done_late_not_left_out():
    """The phase that came after it went by at a third of the pace: a look-alike hides in it."""
    hidden = Shift("abcd").do(*"ac").do("d", pace=0.33).stay(0.0, 2.0, "idle")
    assert hidden.kinds(*DEVIATIONS[:3], "cycle_finished") == [("phase_out_of_order", "b"), ("cycle_finished", None)]
    slow_throughout = Shift("abcd").do(*"acd", pace=0.33).stay(0.0, 2.0, "idle")
    assert slow_throughout.kinds(*DEVIATIONS[:3]) == [("phase_skipped", "b")]


def noticed_s(live_confidence: float) -> float:
    """When a skip is told by the delayed copy, behind a live answer of this confidence."""
    path = [LENGTH_S * i + j / RATE_HZ for i in (0, 2, 3) for j in range(round(LENGTH_S * RATE_HZ))]
    (skip,) = (e for e in told_with_delay(path, "abcd", live_confidence) if e.event == "phase_skipped")
    assert skip.phase == "b"
    return skip.noticed_s


def test_a_sure_live_answer_lets_a_deviation_be_told_sooner():
    assert noticed_s(0.95) < noticed_s(0.6) - 0.2


def go_back(stalled_s: float) -> list[tuple[str, str | None]]:
    """Phase b, a while in which work seems to stand at the start of c, the last quarter of b, then c."""
    shift = Shift().do(*"ab")
    for tick in range(round(stalled_s * RATE_HZ)):
        shift.tick(2 * LENGTH_S + 0.05 * (tick % 2))
    for position in np.arange(1.75 * LENGTH_S, 2 * LENGTH_S - 1e-9, 1 / RATE_HZ):
        shift.tick(position)
    return shift.do("c").stay(0.0, 2.0, "idle").kinds(*DEVIATIONS[:3])


def test_a_phase_begun_again_unseen_counts_by_the_time_it_took():
    assert go_back(1.2) == [("phase_repeated", "b")]
    assert go_back(0.3) == []


def test_slipping_back_while_standing_still_is_no_repetition():
    shift = Shift().do("a").stay(1.9, 1.0, "paused").stay(0.3, 1.0, "paused")
    for position_s in np.arange(0.3, 2.0, 1 / RATE_HZ):
        shift.tick(float(position_s))
    assert shift.do("b", "c").kinds(*DEVIATIONS) == []


@pytest.mark.parametrize(("live", "told"), [("off_task", []), ("on_task", ["phase_repeated"])])
def test_what_seems_to_be_done_again_while_the_operator_is_going_is_not_told(live: str, told: list[str]):
    """Phases a and b, and b again from its start on, of which the live answer has known for less than a second that it is no work."""
    positions = np.concatenate([np.arange(0, 3.9, 1 / RATE_HZ), np.arange(2.2, 3.9, 1 / RATE_HZ)])
    kinds = [e.event for e in told_with_delay(positions, status_of=lambda tick: live if tick >= 95 else "on_task")]
    assert "off_task" not in kinds
    assert [kind for kind in kinds if kind in DEVIATIONS] == told


def test_whoever_begins_beyond_half_of_the_procedure_is_not_accused_of_each_phase_before():
    shift = Shift("abcde").do(*"abcde").do(*"de").stay(0.0, 2.0, "idle")
    assert shift.kinds("phase_skipped") == []
    assert [k for k, _ in shift.kinds("cycle_finished", "cycle_abandoned")] == ["cycle_finished", "cycle_abandoned"]


def test_the_last_phase_done_again_counts_by_the_time_it_took_where_little_of_it_was_recognised():
    def after(waiting_s: float) -> list[tuple[str, str | None]]:
        """A cycle, a wait, and the last quarter of its last phase once more."""
        shift = Shift().do(*"abc").stay(6.0, waiting_s, "idle")
        for position_s in np.arange(5.5, 6.0 - 1e-9, 1 / RATE_HZ):
            shift.tick(float(position_s))
        return shift.stay(0.0, 2.0, "idle").kinds(*DEVIATIONS[:3])

    assert after(1.2) == [("phase_repeated", "c")]
    assert after(0.2) == []


@pytest.mark.parametrize("waiting", ["idle", "on_task"])
def test_a_phase_that_comes_after_the_last_one_is_late_not_left_out(waiting: str):
    shift = Shift("abcd").do(*"abd").stay(7.95, 1.4, waiting).do("c").stay(0.0, 3.0, "idle")
    assert shift.kinds(*DEVIATIONS) == [("phase_out_of_order", "c")]
    assert [k for k, _ in shift.kinds("cycle_started", "cycle_finished")] == ["cycle_started", "cycle_finished"]


def test_a_cycle_that_only_waits_for_what_was_passed_over_ends_where_the_next_one_begins():
    shift = Shift("abcd").do(*"abd").stay(8.0, 1.4, "idle").do(*"bcd").stay(0.0, 3.0, "idle")
    assert shift.kinds(*DEVIATIONS) == [("phase_skipped", "c"), ("phase_skipped", "a")]
    assert len(shift.kinds("cycle_finished")) == 2


@pytest.mark.parametrize(("share", "told"), [(0.4, []), (0.7, [("phase_repeated", "d")])])
def test_going_home_after_a_late_phase_is_not_what_usually_comes_next(share: float, told: list[tuple[str, str]]):
    shift = Shift("abcd").do(*"abd").do("c")
    for position_s in np.arange(6.0, 6.0 + share * LENGTH_S, 1 / RATE_HZ):
        shift.tick(float(position_s))
    assert shift.stay(0.0, 2.0, "idle").kinds(*DEVIATIONS) == [("phase_out_of_order", "c"), *told]


def test_what_was_left_when_the_cycle_seemed_to_end_is_no_repetition_when_it_is_done_at_last():
    shift = Shift().do(*"abc").stay(6.0, 4.0, "off_task", seen=False)
    shift.stay(5.9, 0.5, "on_task").stay(0.0, 0.15, "on_task")
    for position_s in np.arange(5.2, 6.0 - 1e-9, 1 / RATE_HZ):
        shift.tick(float(position_s))
    assert shift.stay(0.0, 2.0, "idle").kinds("operator_lost", *DEVIATIONS) == [("operator_lost", None)]


def test_phases_after_what_only_seemed_to_be_a_cycle_are_not_out_of_order():
    shift = Shift("abcdef").do(*"abcdef").do(*"cf").stay(6.0, 1.0, "paused").do(*"abcdef").stay(0.0, 2.0, "idle")
    assert shift.kinds("phase_out_of_order", "phase_repeated") == []
    ends = [k for k, _ in shift.kinds("cycle_finished", "cycle_abandoned")]
    assert ends == ["cycle_finished", "cycle_abandoned", "cycle_finished"]


def test_whoever_always_takes_long_over_a_phase_has_not_hidden_another_in_it():
    """The worker of whom this is known skips b; of whom it is not known, b may have been done within the time of d."""

    def ended_with(*d_of_earlier_cycles: float) -> list[tuple[str, str | None]]:
        """`d_of_earlier_cycles`: the paces of d, which may have been done several times."""
        shift = Shift("abcde")
        for _ in range(3):
            shift.do(*"abc")
            for pace in d_of_earlier_cycles:
                shift.do("d", pace=pace)
            shift.do("e")
        shift.told = []
        return shift.do(*"ac").do("d", pace=0.33).do("e").stay(0.0, 2.0, "idle").kinds(*DEVIATIONS[:3])

    assert ended_with(0.4) == [("phase_skipped", "b")]
    assert ended_with(1.0) == [("phase_out_of_order", "b")]
    assert ended_with(0.8, 0.8) == [("phase_out_of_order", "b")]


@pytest.mark.parametrize(("back_at_s", "told"), [(4.9, []), (4.0, [("phase_repeated", "c")])])
def test_what_goes_on_where_it_was_left_after_a_mere_semblance_is_no_repetition(
    back_at_s: float, told: list[tuple[str, str]]
):
    """Half of c, a moment that resembles b, and c again: from where it was left, or from its start."""
    shift = pass_through(Shift().do(*"ab"), 4.0, 5.0)
    pass_through(pass_through(shift, 2.5, 2.8), back_at_s, 6.0)
    assert shift.do("a").kinds(*DEVIATIONS[:3]) == told


@pytest.mark.parametrize(("status", "told"), [("paused", []), ("on_task", [("phase_repeated", "b")])])
def test_a_position_that_drifted_while_somebody_stood_still_is_no_place_to_go_back_from(
    status: str, told: list[tuple[str, str]]
):
    shift = pass_through(Shift("abcd").do("a"), 2.0, 3.2)
    for position_s in np.arange(3.2, 4.2, 1 / RATE_HZ):
        shift.tick(float(position_s), status)
    pass_through(shift, 3.2, 4.0).do("c", "d").stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS[:3]) == told


def test_slipping_back_in_steps_is_one_repetition():
    shift = Shift().do(*"ab")
    pass_through(pass_through(shift, 3.2, 4.0), 2.3, 4.0)
    assert shift.do("c", "a").kinds(*DEVIATIONS[:3]) == [("phase_repeated", "b")]
    third = Shift().do(*"ab", "b", "b").do("c", "a")
    assert third.kinds(*DEVIATIONS[:3]) == [("phase_repeated", "b")] * 2


@pytest.mark.parametrize(("worked_s", "times"), [(1.3, 1), (1.9, 2)])
def test_what_is_begun_again_after_most_of_its_time_is_another_repetition(worked_s: float, times: int):
    shift = pass_through(Shift("abcd").do("a", "b"), 2.0, 2.0 + worked_s)
    pass_through(shift, 1.2 + worked_s, 4.0).do("c", "d").stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS[:3]) == [("phase_repeated", "b")] * times


def test_a_cycle_that_follows_at_once_with_its_second_phase_is_the_next_cycle():
    """Nothing is lacking, so it is not the same cycle in which something would be done again."""
    shift = pass_through(Shift("abcde").do(*"abcd"), 8.0, 9.8).do(*"bacde").stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS[:3], "cycle_finished") == [
        ("cycle_finished", None), ("phase_out_of_order", "a"), ("cycle_finished", None),
    ]  # fmt: skip


@pytest.mark.parametrize(("share", "told"), [(0.4, [("phase_skipped", "d")]), (0.5, [])])
def test_going_home_is_not_yet_the_last_phase(share: float, told: list[tuple[str, str]]):
    shift = pass_through(Shift("abcd").do(*"abcd").do(*"abc"), 6.0, 6.0 + share * LENGTH_S)
    assert shift.do(*"abcd").kinds(*DEVIATIONS[:3]) == told


def test_a_sure_live_answer_does_not_make_going_home_the_last_phase():
    path = [*np.arange(0, 8, 0.05), *np.arange(0, 6 + 0.42 * LENGTH_S, 0.05), *np.arange(0, 4, 0.05)]
    told = [e.phase for e in told_with_delay(path, "abcd", confidence=0.95) if e.event in DEVIATIONS]
    assert told == ["d"]


def test_a_moments_hesitation_at_the_start_takes_nothing_back():
    """What was seen of a before it counts with the end of a, which is all that is recognised after it."""
    shift = pass_through(Shift().do(*"abc").stay(0.0, 2.0, "idle"), 0.0, 0.25).stay(0.25, 0.4, "paused")
    assert pass_through(shift, 1.75, 6.0).stay(0.0, 2.0, "idle").kinds(*DEVIATIONS) == []


@pytest.mark.parametrize("seems_at_work_s", [0.0, 0.2])
def test_leaps_while_standing_still_are_not_followed(seems_at_work_s: float):
    """Of a belief that leaps within a pause the first ticks may seem to be work."""
    shift = pass_through(Shift("abcd").do(*"ab"), 4.0, 5.0).stay(5.0, 0.5, "paused")
    shift.stay(0.1, seems_at_work_s, "on_task").stay(0.1, 1.5, "paused")
    pass_through(shift, 5.0, 8.0).do("a")
    assert shift.kinds(*DEVIATIONS) == []
    assert [k for k, _ in shift.kinds("cycle_started", "cycle_finished")] == ["cycle_started", "cycle_finished", "cycle_started"]  # fmt: skip


def test_what_hid_another_phase_may_still_be_done_itself():
    """b was done after c and taken for d: then d comes, from its start on."""
    shift = Shift("abcde").do(*"abcde").do(*"ac")
    for position_s in np.arange(6.0, 7.2, 0.33 / RATE_HZ):
        shift.tick(float(position_s))
    assert pass_through(shift, 4.5, 4.8).do("d", "e", "a").kinds(*DEVIATIONS) == [("phase_out_of_order", "b")]


def test_a_worker_who_left_out_the_end_may_begin_the_next_cycle_with_its_second_phase():
    shift = pass_through(Shift("abcde").do(*"abcde").do(*"abcd"), 8.0, 8.5).stay(8.5, 0.7, "idle")
    pass_through(shift, 2.7, 4.0).do(*"acde").stay(0.0, 2.0, "idle")
    assert shift.kinds("cycle_finished", *DEVIATIONS[:3]) == [
        ("cycle_finished", None), ("phase_skipped", "e"), ("cycle_finished", None),
        ("phase_out_of_order", "a"), ("cycle_finished", None),
    ]  # fmt: skip


def test_half_a_phase_taken_up_again_from_further_back_is_not_sooner_believed_to_be_a_repetition():
    """Nobody begins anew what they have not come to the end of: it may be their going away, which takes a while to be seen."""
    shift = pass_through(pass_through(Shift().do("a"), 2.0, 3.3), 2.5, 3.0)
    assert shift.stay(3.0, 4.0, "off_task").kinds(*DEVIATIONS) == []


def test_after_an_absence_what_resembles_a_later_start_begins_no_cycle():
    shift = pass_through(Shift("abcde").do(*"abcde").do(*"abc"), 6.0, 7.0).stay(7.0, 4.0, "off_task")
    pass_through(shift.stay(9.6, 0.6, "on_task"), 2.7, 3.4)
    told = pass_through(shift, 6.5, 10.0).do("a").kinds("cycle_finished", "cycle_abandoned", *DEVIATIONS)
    assert told == [("cycle_finished", None)] * 2


def test_coming_back_across_the_first_quarter_neither_ends_the_cycle_nor_leaves_out_its_last_phase():
    """Going away resembled the last phase, and coming back a moment near the start."""
    shift = pass_through(Shift("abcde").do(*"abc"), 6.0, 7.0)
    pass_through(pass_through(shift, 8.4, 8.7).stay(8.7, 4.0, "off_task"), 2.05, 2.7)
    pass_through(shift, 7.0, 10.0).do("a", "b")
    assert shift.kinds("cycle_finished", "cycle_abandoned", *DEVIATIONS) == [("cycle_finished", None)]


@pytest.mark.parametrize(("reached", "told"), [(6.8, []), (7.5, [("phase_repeated", "d")])])
def test_a_phase_that_has_only_begun_is_not_repeated_by_being_done(reached: float, told: list[tuple[str, str]]):
    """Done after c, b resembles the beginning of d for as long as it lasts."""
    shift = pass_through(Shift("abcde").do("a", "c"), 6.0, 6.5)
    pass_through(pass_through(shift, 2.0, 4.0), 6.4, reached)
    pass_through(pass_through(shift, 3.8, 4.4), 6.2, 8.0).do("e")
    assert shift.kinds(*DEVIATIONS) == [("phase_out_of_order", "b"), *told]


@pytest.mark.parametrize(("between", "told"), [("off_task", []), ("idle", [("phase_skipped", "a")])])
def test_whoever_is_only_just_back_has_not_left_out_what_came_before(between: str, told: list):
    """They go on with what they had begun before they went, or their coming resembles work."""
    shift = Shift("abcd").do(*"abcd").stay(0.0, 4.0, between).do(*"bcd").stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS) == told
    assert shift.kinds("cycle_finished") == [("cycle_finished", None)] * 2


def test_a_moment_lost_at_the_start_of_a_phase_has_hidden_no_other():
    """It is a large share of the little that has been seen of the phase, and small beside what the passed one takes."""
    shift = Shift("abcd").do(*"abcdb").stay(4.0, 0.4, "on_task").do(*"cd").stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS) == [("phase_skipped", "a")]
