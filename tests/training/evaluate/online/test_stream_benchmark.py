"""The stream benchmark: its figures on cases worked out by hand, its peers, and a rendered station end to end."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engine.messages import Event
from engine.sources.rendered import Deviation, StationParams
from training.evaluate.online import peers, penn, recordings, scores, station_scores, stations, tables


def test_the_end_of_a_cycle_is_next_to_its_start():
    assert scores.circular_error(np.array([0.1, 5.0]), np.array([9.9, 4.0]), 10.0) == pytest.approx([0.2, 1.0])


def test_calibration_error_is_the_gap_between_confidence_and_being_right():
    confidence = np.full(100, 0.75)
    assert scores.calibration_error(confidence, np.arange(100) < 75) == pytest.approx(0.0)
    assert scores.calibration_error(confidence, np.arange(100) < 25) == pytest.approx(0.5)


def test_recovery_is_counted_from_the_jump_and_only_once_it_lasts():
    times_s = np.arange(0, 5, 0.1)
    aligned = np.ones(50, bool)
    aligned[10:20] = False
    aligned[15] = True
    assert scores.recovery_s(times_s, aligned, [1.0]) == pytest.approx([1.0])
    assert scores.recovery_s(times_s, np.zeros(50, bool), [1.0]) == [np.inf]


def test_told_events_are_paired_with_the_true_ones_once():
    pairs, missed, false = scores.pair_events([(1.0, 2.0), (10.0, 10.0)], [1.5, 1.6, 20.0], 0.5)
    assert (pairs, missed, false) == ([(0, 0)], [1], [1, 2])
    assert scores.f1(1, 1, 2) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("told", "edit", "pos"),
    [
        ([0, 2, 1, 3], 0.5, 0.75),  # a swap is two edits, and one mistake of order
        ([0, 1, 3], 0.75, 0.75),
        ([0, 4, 2, 3], 0.75, 0.5),  # a wrong phase is one edit, and one phase too few and one too many
        ([2, 0, 1, 3], 0.5, 0.5),
        ([3, 2, 1, 0, 3, 2, 1, 0], 0.25, 0.0),  # as bad as telling nothing, and no worse
        ([], 0.0, 0.0),
    ],
)
def test_the_order_of_phases_is_scored_by_edits_and_by_mistakes(told, edit, pos):
    truth, said = np.repeat([0, 1, 2, 3], 5), np.repeat(np.array(told, dtype=int), 5)
    assert scores.edit_score(truth, said) == edit
    assert scores.order_score(truth, said) == pos


def test_phases_that_changed_places_around_one_that_was_left_out_are_two_mistakes():
    assert scores.order_score(np.array([0, 1, 2]), np.array([2, 0])) == pytest.approx(1 / 3)


def test_segments_are_found_where_they_overlap_enough():
    truth = np.repeat([0, 1, 2, 3], 5)
    assert scores.segmental_f1(truth, truth, 0.5) == (4, 0, 0)
    assert scores.segmental_f1(truth, np.where(truth == 2, -1, truth), 0.5) == (3, 1, 0)


@pytest.mark.parametrize("name", ["argmax", "spring", "dtw", "frame_counter", "t/T"])
def test_every_peer_follows_the_reference_itself(name):
    rng = np.random.default_rng(0)
    work = np.cumsum(rng.normal(size=(60, 16)), axis=0)
    work = (work / np.linalg.norm(work, axis=1, keepdims=True)).astype(np.float32)
    assert np.abs(peers.PEERS[name](work, work, 1) - np.arange(60)).mean() < 3


def test_labels_become_phases_on_the_clock_of_the_clip():
    phases = recordings.phases_of(np.array([0, 0, 1, 1, 1, 0]), 2.0)
    assert [(p.name, p.start_s, p.end_s) for p in phases] == [("0", 0, 1), ("1", 1, 2.5), ("0.5", 2.5, 3)]


def test_an_environment_without_matchmaker_is_named_with_the_reason(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such thing >&2\nexit 1\n")
    python.chmod(0o755)
    assert penn.find_matchmaker(str(python)) == (None, f"{python} cannot import pymatchmaker (no such thing)")


def a_station(deviation: Deviation) -> stations.Followed:
    """One worker shows, another does it twice, with this deviation; followed on raw joints."""
    bundle = SimpleNamespace(info=SimpleNamespace(rate_hz=20.0, name="joints", layout="body13"), sha256="0" * 64)
    takes = [StationParams.random(4, cycles=1, idle_s=1.0)]
    worker = StationParams.random(5, cycles=2, deviations=(deviation,))
    reference = stations.station_reference([stations.jittered_joints(t) for t in takes], bundle, "keypoints")
    return stations.follow_keypoints(stations.jittered_joints(worker), reference)


def test_a_station_is_followed_and_scored_on_raw_keypoints():
    followed = a_station(Deviation("repeat", phase=2, cycle=2))
    figures = station_scores.score([followed])
    assert figures["phase_accuracy"] > 0.8 and figures["cycles_true"] == 2
    assert figures["pause_recall"] is None and figures["absence_f1"] is None  # nobody stopped or went away
    assert station_scores.peer_figures([followed])["argmax"]["phase_accuracy"] < figures["phase_accuracy"]
    record = figures | {"keypoints": figures, "peers": station_scores.peer_figures([followed])}
    text = tables.markdown(
        {
            "command": "lockstep evaluate online",
            "machine": "this one",
            "date": "2026-11-28",
            "bundle": {"name": "joints", "sha256": "0" * 64},
            "station_joints": record,
        }
    )
    assert "| pauses told | ≥ 0.95 | – |  | – |" in text and "too short" in text
    assert "| the same matcher on raw keypoints |" in text and "✗ 0 of 1" in text
    assert stations.belief_of(followed).shape == (len(followed.times_s), len(followed.reference))


def test_whoever_leaves_the_picture_is_told_twice_and_counted_once():
    followed = a_station(Deviation("leave", phase=2, cycle=2, duration_s=5.0))
    (leave,) = followed.truth.events_of("leave")

    def judged(*told: tuple[str, float]) -> float | None:
        events = [Event("bench", 0, kind, at_s, 0.0) for kind, at_s in told]
        return station_scores.score([replace(followed, events=events)])["absence_f1"]

    seen_going = ("off_task", leave.start_s + 0.5), ("operator_lost", leave.start_s + 1.5)
    assert judged(*seen_going) == 1.0
    assert judged(*seen_going, ("off_task", leave.end_s + 20.0)) == pytest.approx(2 / 3)
    assert judged() == 0.0


def test_a_phase_told_as_slow_is_false_unless_it_truly_took_longer_than_its_limit():
    followed = a_station(Deviation("pause", phase=2, cycle=2, duration_s=6.0))
    (paused,) = (e for e in followed.truth.events_of("phase") if e.cycle == 2 and e.phase == "fasten")
    took_s = paused.end_s - paused.start_s

    def false_per_hour(limit_s: float) -> float:
        event = Event("bench", 0, "slow", paused.end_s - 0.5, 0.0, phase="fasten", details={"limit_s": limit_s})
        return station_scores.score([replace(followed, events=[event])])["false_slow_per_hour"]

    assert took_s > 6.0 and false_per_hour(took_s - 0.2) == 0.0
    assert false_per_hour(took_s + 0.2) > 0.0


@pytest.mark.parametrize(
    ("deviation", "certain"),
    [
        (Deviation("skip", 1, 1), "inspect"),  # fasten came instead of place; after fasten nobody goes back
        (Deviation("skip", 3, 1), "end"),
        (Deviation("skip", 4, 1), "end"),
        (Deviation("repeat", 2, 1), "second fasten"),
        (Deviation("swap", 1, 1), "place"),  # fasten was done first
    ],
)
def test_a_deviation_is_certain_when_nothing_can_make_up_for_it(deviation, certain):
    truth = stations.simulate(StationParams.random(3, cycles=2, deviations=(deviation,)))
    (told,) = station_scores.deviations(truth, deviation.kind)
    phases = [e for e in truth.events_of("phase") if e.cycle == 1]
    expected = {
        "end": phases[-1].end_s,
        "second fasten": [e.start_s for e in phases if e.phase == "fasten"][-1],
    } | {e.phase: e.start_s for e in phases if e.phase in ("inspect", "place")}
    assert station_scores.settled_s(truth, told) == pytest.approx(expected[certain])
