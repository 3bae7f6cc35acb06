"""From recordings to a reference: cut, phases, further demonstrations, and what is said about a bad recording."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import BadReference, ConfigError, DataError
from engine.pose.track import PoseTrack
from engine.reference import Phase
from engine.reference_building import Demonstration, reference_from_recordings
from engine.sources.rendered import StationParams, simulate

PHASES = [Phase(name="a", start_s=2.0, end_s=3.5), Phase(name="b", start_s=3.5, end_s=6.0, optional=True)]


def recorded(seed, **parameters):
    """A rendered worker's exact joints as a track: no pixels needed."""
    truth = simulate(StationParams.random(seed, cycles=1, **parameters))
    return PoseTrack(truth.joints, truth.times_s, "body13", (640, 480), source=f"worker {seed}"), truth


@pytest.fixture(scope="module")
def track():
    return recorded(1)[0]


def test_a_whole_recording_is_one_phase(track, tiny_bundle):
    reference = reference_from_recordings([Demonstration(track)], tiny_bundle)
    assert [phase.name for phase in reference.info.phases] == ["cycle"]
    assert reference.duration_s == pytest.approx(track.duration_s, abs=0.1)
    assert reference.info.demonstrations == ("worker 1",)
    reference.check_bundle(tiny_bundle)


def test_start_and_end_cut_the_recording(track, tiny_bundle):
    reference = reference_from_recordings([Demonstration(track, 2.0, 6.0)], tiny_bundle)
    assert reference.duration_s == pytest.approx(4.0, abs=1e-6)


def test_phases_alone_say_where_the_cycle_is(track, tiny_bundle):
    reference = reference_from_recordings([Demonstration(track)], tiny_bundle, PHASES)
    assert reference.duration_s == pytest.approx(4.0, abs=0.06)
    a, b = reference.info.phases
    assert (a.name, a.start_s, b.name, b.optional) == ("a", 0.0, "b", True)
    assert a.end_s == b.start_s == pytest.approx(1.5, abs=0.06)
    assert b.end_s == pytest.approx(reference.duration_s)


def test_the_cut_is_embedded_as_it_is_live_with_what_came_before(track, tiny_bundle):
    cut = reference_from_recordings([Demonstration(track, 2.0, 6.0)], tiny_bundle)
    whole = reference_from_recordings([Demonstration(track)], tiny_bundle)
    first = round((2.0 - track.times_s[0]) * tiny_bundle.info.rate_hz)
    np.testing.assert_allclose(cut.templates[0], whole.templates[0][first : first + len(cut)], atol=1e-5)


def test_a_single_demonstration_is_joined_by_retakes_which_are_neither_named_nor_timed(track, tiny_bundle):
    reference = reference_from_recordings([Demonstration(track, 2.0, 6.0)], tiny_bundle)
    assert len(reference.templates) > 2
    assert reference.info.demonstrations == ("worker 1",)
    assert reference.info.durations_s == ((pytest.approx(4.0),),)


def test_a_track_file_gives_the_same_as_the_track(track, tiny_bundle, tmp_path):
    track.save(tmp_path / "one.npz")
    from_file = reference_from_recordings([Demonstration(tmp_path / "one.npz")], tiny_bundle)
    np.testing.assert_allclose(
        from_file.mean, reference_from_recordings([Demonstration(track)], tiny_bundle).mean, atol=1e-6
    )
    assert from_file.info.demonstrations == ("one.npz",)


def test_in_further_demonstrations_the_cycle_is_found_and_the_phases_are_carried_over(tiny_bundle):
    expert, truth = recorded(1, idle_s=1.0)
    (cycle,) = truth.events_of("cycle")
    marks = [Phase(name=e.phase, start_s=e.start_s, end_s=e.end_s) for e in truth.events_of("phase")]
    slow, slow_truth = recorded(1, idle_s=3.0, speed=0.6)
    (slow_cycle,) = slow_truth.events_of("cycle")
    reference = reference_from_recordings([Demonstration(expert), Demonstration(slow)], tiny_bundle, marks)
    first, second = (sum(durations) for durations in reference.info.durations_s)
    assert first == pytest.approx(cycle.end_s - cycle.start_s, abs=0.15)
    assert second == pytest.approx(slow_cycle.end_s - slow_cycle.start_s, rel=0.15)


@pytest.mark.parametrize("end_s", [3.0, 500.0])
def test_phases_outside_the_cut_or_the_recording_are_refused(track, tiny_bundle, end_s):
    phases = [PHASES[0], PHASES[1].model_copy(update={"end_s": end_s + 2})]
    with pytest.raises(ConfigError, match="lies outside the demonstration"):
        reference_from_recordings([Demonstration(track, 1.0, min(end_s, 400.0))], tiny_bundle, phases)


@pytest.mark.parametrize(
    ("start_s", "end_s", "says"),
    [
        (1000, None, r"no poses between 1000 and [\d.]+ s in worker 1: .* found 0"),
        (None, -1, r"no poses between 0 and -1 s in worker 1: .* found 0"),
        (2, 1, r"no poses between 2 and 1 s in worker 1: .* found 0"),
        (2, 2.01, r"only one pose between 2 and 2.01 s in worker 1: .* found 1"),
    ],
)
def test_a_cut_that_leaves_nothing_is_refused(track, tiny_bundle, start_s, end_s, says):
    with pytest.raises(DataError, match=says + r".*Correct --start and --end"):
        reference_from_recordings([Demonstration(track, start_s, end_s)], tiny_bundle)


@pytest.mark.parametrize("cut", [{}, {"start_s": 1.0}, {"end_s": 3.0}])
@pytest.mark.parametrize(("frames", "says"), [(0, "holds no poses"), (1, "holds only one pose")])
def test_a_recording_of_no_frame_or_of_one_says_so_however_it_is_cut(track, tiny_bundle, tmp_path, frames, says, cut):
    replace(track, poses=track.poses[:frames], times_s=track.times_s[:frames]).save(tmp_path / "short.npz")
    with pytest.raises(DataError, match=f"the recording worker 1 {says}: expected two poses or more"):
        reference_from_recordings([Demonstration(tmp_path / "short.npz", **cut)], tiny_bundle)


def test_a_demonstration_without_its_operator_is_refused(track, tiny_bundle):
    poses = track.poses.copy()
    poses[len(poses) // 4 :, :, 2] = 0
    with pytest.raises(DataError, match=r"hardly to be seen in worker 1: expected a person in at least 50%"):
        reference_from_recordings([Demonstration(replace(track, poses=poses))], tiny_bundle)


def test_joints_that_do_not_fit_the_bundle_are_refused(tiny_bundle):
    hand = PoseTrack(np.ones((30, 21, 3), np.float32), np.arange(30) / 30, "hand21", (640, 480), source="a hand")
    with pytest.raises(DataError, match="does not fit the bundle: expected poses that convert to body13, found hand21"):
        reference_from_recordings([Demonstration(hand)], tiny_bundle)


def test_no_demonstration_is_refused(tiny_bundle):
    with pytest.raises(BadReference, match="no demonstration"):
        reference_from_recordings([], tiny_bundle)
