"""Events from hand-written matches: what each kind needs, and what must not cause one."""

import numpy as np
import pytest
from documented import EVENTS, are_as_documented
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from shift import DEVIATIONS, RATE_HZ, Shift, make_reference, pass_through, told_with_delay

from engine.events import EventDetector
from engine.matching.base import Delayed, Match
from engine.reference import Phase, Reference


def test_a_cycle_has_a_start_its_phases_and_an_end_with_their_durations():
    shift = Shift().do(*"abc", *"abc").stay(0.0, 2.0, "idle")
    assert [k for k, _ in shift.kinds("cycle_started", "cycle_finished", "cycle_abandoned")] == [
        "cycle_started", "cycle_finished", "cycle_started", "cycle_finished",
    ]  # fmt: skip
    assert shift.kinds("phase_started") == [("phase_started", n) for n in "abcabc"]
    second = [e for e in shift.told if e.event == "cycle_finished"][1]
    assert second.details["durations_s"] == pytest.approx([2.0, 2.0, 2.0], abs=0.5)
    assert second.details["coverage"] > 0.95 and second.cycle == 2 == shift.detector.cycles_finished
    assert all(e.noticed_s >= e.time_s and e.seq == 0 and e.station == "bench" for e in shift.told)
    assert shift.kinds(*DEVIATIONS) == []


@pytest.mark.parametrize("done", ["abc", "ac"])
def test_a_cycle_that_the_next_start_ends_was_over_when_its_work_stopped(done: str):
    """It stops short of the end, and what comes between is too short to be told; where a phase is missing, the leap is thought over."""
    shift = pass_through(Shift().do(*done[:-1]), 4.0, 5.7)
    stopped_s = shift.time_s
    shift.stay(0.0, 0.6, "idle").do(*"abc")
    ended, begun = (next(e for e in shift.told if e.event == kind) for kind in ("cycle_finished", "cycle_started"))
    assert ended.time_s == pytest.approx(stopped_s, abs=0.1)
    assert ended.details["duration_s"] == ended.time_s - begun.time_s
    assert next(e.time_s for e in shift.told if e.event == "phase_finished" and e.phase == "c") == ended.time_s


def test_an_optional_phase_may_be_left_out_in_silence():
    assert Shift(b={"optional": True}).do(*"abc", *"ac", *"abc").kinds(*DEVIATIONS) == []
    assert Shift().do(*"abc", *"ac", *"abc").kinds(*DEVIATIONS) == [("phase_skipped", "b")]


def test_phases_of_one_group_come_in_any_order():
    grouped = Shift(a={"group": "g"}, b={"group": "g"})
    assert grouped.do(*"abc", *"bac", *"abc").kinds(*DEVIATIONS) == []
    assert Shift().do(*"abc", *"bac", *"abc").kinds(*DEVIATIONS) == [("phase_out_of_order", "a")]


@examples(25)
@given(orders=st.lists(st.permutations("abcd"), min_size=1, max_size=4), rest_s=st.sampled_from([0.0, 2.0]))
def test_of_a_procedure_in_any_order_every_order_is_a_cycle(orders: list[list[str]], rest_s: float):
    shift = Shift("abcd", **{name: {"group": "g"} for name in "abcd"})
    for order in orders:
        shift.do(*order).stay(0.0, rest_s, "idle")
    shift.stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS, "cycle_abandoned") == []
    assert len(shift.kinds("cycle_started")) == len(shift.kinds("cycle_finished")) == len(orders)


def test_of_a_procedure_in_any_order_what_is_left_out_or_done_twice_is_told():
    shift = Shift("abcd", **{name: {"group": "g"} for name in "abcd"})
    for order in ("abcd", "dca", "cabbd"):
        shift.do(*order).stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS) == [("phase_skipped", "b"), ("phase_repeated", "b")]
    assert len(shift.kinds("cycle_finished")) == 3


def test_dwelling_beyond_the_limit_is_slow_once_per_visit():
    shift = Shift(b={"limit_s": 3.0}).do("a").do("b", pace=0.4).do("c").do(*"abc")
    assert shift.kinds("slow") == [("slow", "b")]
    (event,) = (e for e in shift.told if e.event == "slow")
    assert event.details["limit_s"] == 3.0 and event.details["dwell_s"] > 3.0


def test_without_a_limit_the_demonstrations_set_it():
    assert Shift().do("a").do("b", pace=0.2).do("c").kinds("slow") == [("slow", "b")]
    assert Shift().do("a").do("b", pace=0.7).do("c").kinds("slow") == []


def test_a_phase_that_needs_confirmation_is_finished_only_by_it():
    shift = Shift(b={"confirm": True}).do("a", "b", "c")
    assert ("phase_finished", "b") not in shift.kinds("phase_finished")
    confirmed = Shift(b={"confirm": True}).do("a", "b")
    assert confirmed.detector.confirm("b")
    confirmed.do("c", "a")
    assert confirmed.kinds("phase_confirmed") == [("phase_confirmed", "b")]
    assert ("phase_finished", "b") in confirmed.kinds("phase_finished")
    assert not confirmed.detector.confirm("no such phase")


@pytest.mark.parametrize("scanned_after_s", [0.5, 3.0])
@pytest.mark.parametrize("meanwhile", ["idle", "next cycle"])
def test_the_last_phase_may_be_confirmed_when_its_cycle_is_over(scanned_after_s: float, meanwhile: str):
    """Hands first, scanner next: the confirmation belongs to the cycle that was done, and is no reason for an alert."""
    shift = Shift(c={"confirm": True}).do("a", "b", "c")
    if meanwhile == "idle":
        shift.stay(0.0, scanned_after_s, "idle")
    else:
        pass_through(shift, 0.0, scanned_after_s)
    assert shift.detector.confirm("c")
    shift.stay(0.0, 8.0, "idle")
    assert shift.kinds(*DEVIATIONS) == []
    assert [e.cycle for e in shift.told if e.event == "phase_finished" and e.phase == "c"] == [1]
    assert shift.kinds("cycle_finished") == [("cycle_finished", None)]


@pytest.mark.parametrize("phase", ["b", "c"])
def test_what_nobody_confirms_is_told_once_as_of_its_cycle(phase: str):
    shift = Shift(**{phase: {"confirm": True}}).do(*"abc")
    shift.stay(0.0, 8.0, "idle").do("a")
    (alert,) = (e for e in shift.told if e.event == "phase_skipped")
    assert (alert.phase, alert.cycle, alert.details) == (phase, 1, {"reason": "not confirmed"})
    assert ("phase_finished", phase) not in shift.kinds("phase_finished")


def test_two_cycles_that_nobody_confirms_are_two_alerts():
    shift = Shift(c={"confirm": True}).do(*"abc", *"abc").stay(0.0, 8.0, "idle")
    assert [(e.phase, e.cycle) for e in shift.told if e.event == "phase_skipped"] == [("c", 1), ("c", 2)]


def test_of_a_stream_that_ends_what_was_not_confirmed_is_told():
    shift = Shift(c={"confirm": True}).do(*"abc").stay(5.95, 1.0, "on_task")
    assert [e.event for e in shift.detector.finish([])] == ["phase_skipped"]


@pytest.mark.parametrize(("names", "optional", "done"), [("abcd", "bc", "ad"), ("abc", "c", "ab"), ("abc", "a", "bc")])
def test_however_long_what_is_optional_it_may_be_left_out_in_silence(names: str, optional: str, done: str):
    options = {name: {"optional": True} for name in optional}
    back_to_back = Shift(names, **options).do(*names, *done, *done, *names).stay(0.0, 2.0, "idle")
    assert back_to_back.kinds(*DEVIATIONS, "cycle_abandoned") == []
    assert len(back_to_back.kinds("cycle_finished")) == 4
    resting = Shift(names, **options)
    for _ in range(3):
        resting.do(*done).stay(0.0, 2.0, "idle")
    assert resting.kinds(*DEVIATIONS, "cycle_abandoned") == []
    assert len(resting.kinds("cycle_finished")) == 3


def test_a_phase_done_twice_is_not_slow_for_both_together():
    shift = Shift(b={"limit_s": 3.0}).do("a", "b", "b", "c")
    assert shift.kinds(*DEVIATIONS) == [("phase_repeated", "b")]
    slow = Shift(b={"limit_s": 3.0}).do("a", "b").do("b", pace=0.5).do("c")
    assert ("slow", "b") in slow.kinds("slow")


def test_a_phase_of_one_tick_is_not_slow_for_taking_three():
    shift = Shift("ab")
    phases = (Phase(name="a", start_s=0.0, end_s=3.95), Phase(name="b", start_s=3.95, end_s=4.0))
    info = shift.reference.info.model_copy(update={"phases": phases, "durations_s": ((3.95, 0.05),)})
    shift.reference = Reference(info, shift.reference.mean, shift.reference.variance, shift.reference.poses)
    shift.detector = EventDetector(shift.reference, station="bench")
    for _ in range(3):
        pass_through(shift, 0.0, 4.0).stay(3.95, 0.15, "on_task").stay(0.0, 2.0, "idle")
    assert shift.kinds(*DEVIATIONS) == []
    assert len(shift.kinds("cycle_finished")) == 3


@pytest.mark.parametrize("leap_s", [-1000.0, 3600.0])
def test_a_clock_that_leaps_in_mid_cycle_ends_it_where_work_was_last_seen(leap_s: float):
    shift = Shift().do(*"abc", "a", "b")
    left_s = shift.time_s
    shift.time_s += leap_s
    shift.do("c").stay(0.0, 2.0, "idle").do(*"abc").stay(0.0, 2.0, "idle")
    ends = [e for e in shift.told if e.event in ("cycle_finished", "cycle_abandoned")]
    assert [e.event for e in ends] == ["cycle_finished", "cycle_abandoned", "cycle_finished"]
    assert ends[1].time_s == pytest.approx(left_s, abs=0.2)
    assert all(0 < e.details["duration_s"] < 10 for e in ends if e.event == "cycle_finished")
    assert shift.kinds(*DEVIATIONS) == []


def test_whoever_has_been_out_of_the_picture_for_half_a_minute_has_abandoned_the_cycle():
    shift = Shift().do("a", "b").stay(4.0, 29.0, "lost", seen=False)
    assert shift.kinds("cycle_abandoned") == []
    assert shift.stay(4.0, 4.0, "lost", seen=False).kinds("cycle_abandoned") == [("cycle_abandoned", None)]


def test_a_pause_begins_and_ends_once_and_a_short_stop_is_none():
    assert Shift().do("a").stay(2.0, 0.4, "paused").do("b").kinds("paused") == []
    shift = Shift().do("a").stay(2.0, 3.0, "paused").do("b")
    assert [k for k, _ in shift.kinds("paused", "resumed")] == ["paused", "resumed"]
    paused = next(e for e in shift.told if e.event == "paused")
    assert paused.noticed_s - paused.time_s <= 1.5


def test_leaving_the_task_and_the_picture_is_told_and_the_cycle_goes_on():
    shift = Shift().do("a").stay(2.0, 3.0, "off_task").do("b").stay(4.0, 3.0, "lost", seen=False).do("c", "a")
    kinds = ("off_task", "back_on_task", "operator_lost", "operator_found", "cycle_finished", "cycle_abandoned")
    assert [k for k, _ in shift.kinds(*kinds)] == [*kinds[:4], "cycle_finished"]


def test_half_a_cycle_is_abandoned_not_counted():
    shift = Shift().do("a", "b").stay(4.0, 4.0, "idle")
    assert [k for k, _ in shift.kinds("cycle_finished", "cycle_abandoned")] == ["cycle_abandoned"]


def test_unsure_ticks_decide_nothing():
    shift = Shift()
    for _ in range(3):
        for position in np.arange(0, 6, 0.05):
            shift.tick(position, confidence=0.2)
    assert shift.told == []


def test_a_flicker_to_another_phase_is_no_visit():
    shift = Shift().do("a")
    shift.tick(4.5)
    shift.do("b", "c", "a")
    assert shift.kinds(*DEVIATIONS) == []
    assert shift.kinds("phase_started") == [("phase_started", n) for n in "abca"]


def test_a_cycle_joined_in_its_midst_accuses_nobody():
    assert Shift().do("b", "c", *"abc").kinds(*DEVIATIONS) == []


def test_of_a_cycle_that_was_abandoned_what_is_missing_is_not_told_one_by_one():
    shift = Shift("abcdef").do(*"abcdef").stay(0.0, 2.0, "idle").do("e").stay(0.0, 35.0, "off_task")
    assert shift.kinds("cycle_abandoned", *DEVIATIONS[:3]) == [("cycle_abandoned", None)]


def test_a_stream_that_ends_with_the_cycle_finishes_it():
    """The delayed copy is twelve ticks behind when the recording stops."""
    reference, lag = make_reference(), 12
    path = np.arange(0, 6.0 - 1e-9, 1 / RATE_HZ)

    def delayed(at: int, behind: int) -> Delayed:
        return Delayed(path[at], reference.phase_index(path[at]), 1.0, 1.0, behind / RATE_HZ)

    def ended(ticks: int) -> list[str]:
        detector, told = EventDetector(reference), []
        for tick in range(ticks):
            past = delayed(max(tick - lag, 0), min(tick, lag))
            match = Match(path[tick], 0, 0.0, 0.0, 1.0, 0.95, "on_task", 1.0, past)
            told += detector.step(match, tick / RATE_HZ, tick / RATE_HZ, True)
        before = [e.event for e in told]
        assert "cycle_finished" not in before
        return [e.event for e in detector.finish([delayed(ticks - 1 - b, b) for b in range(lag - 1, -1, -1)])]

    assert ended(len(path))[-1] == "cycle_finished"
    assert "cycle_finished" not in ended(len(path) // 2)
    assert EventDetector(reference).finish([]) == []


@pytest.mark.parametrize("worked_s", [0.5, 1.0])
def test_a_pause_is_told_however_soon_after_the_start_of_the_cycle_it_comes(worked_s: float):
    """The delayed copy still walks through the work when the live answer already stands."""
    positions = np.minimum(np.arange(80) / RATE_HZ, worked_s)
    told = told_with_delay(positions, status_of=lambda tick: "paused" if tick > worked_s * RATE_HZ else "on_task")
    assert [event.event for event in told] == ["cycle_started", "phase_started", "paused"]


def test_time_that_goes_back_leaves_nothing_of_pauses_to_come():
    shift = Shift().do("a")
    for _ in range(3):
        shift.time_s = 0.0
        shift.do("a")
    assert len(shift.detector.state()["json"]) < 4000


def test_the_time_in_which_a_cycle_is_not_yet_believed_counts_for_its_first_phase():
    shift = Shift().do(*"abc").stay(0.0, 2.0, "idle").do(*"abc").stay(0.0, 2.0, "idle")
    second = [e for e in shift.told if e.event == "cycle_finished"][1]
    assert second.details["durations_s"] == pytest.approx([2.0, 2.0, 2.0], abs=0.15)
    dwelt = [e.details["duration_s"] for e in shift.told if e.event == "phase_finished"]
    assert dwelt == pytest.approx([2.0] * 6, abs=0.15)


def test_events_are_what_the_protocol_documents():
    """Everything that a detector can tell, and in each event the phase and the details that docs/protocol.md promises."""
    worked = Shift(b={"limit_s": 3.0}).do(*"abc").do(*"ac").do(*"bac").do(*"abbc").do("a").do("b", pace=0.4).do("c")
    left = Shift().do("a").stay(2.0, 3.0, "paused").do("b").stay(4.0, 3.0, "off_task").do("c").do("a")
    left.stay(1.9, 3.0, "lost", seen=False).do("b").stay(4.0, 3.0, "idle")
    confirmed = Shift(b={"confirm": True}).do("a", "b")
    confirmed.detector.confirm("b")
    confirmed.do("c").do(*"abc", "a").stay(0.0, 6.0, "idle")
    told = [*worked.told, *left.told, *confirmed.told]
    are_as_documented(told)
    elsewhere = {kind for kind in EVENTS if kind.startswith(("stream_", "stage_"))}
    assert {event.event for event in told} == set(EVENTS) - elsewhere
