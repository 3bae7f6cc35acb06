"""The whole live path in one process: poses in, states and numbered events out, nothing dies of its input."""

import numpy as np
import pytest
from documented import are_as_documented

from engine.aligner import Aligner
from engine.embedder import embed_sequence, open_embedder
from engine.errors import BadReference
from engine.journal import Journal
from engine.matching.building import EmbeddedDemo, build_reference
from engine.pose.locating import Locator
from engine.reference import Phase, Reference
from engine.resample import resample_track
from engine.sources.base import Frame, StreamNotice
from engine.sources.rendered import StationParams, simulate
from engine.station import Station
from engine.store import Store
from engine.timeline import Timeline


class Poses:
    """A source of exact poses from a rendered station: real choreography without pixels."""

    name, live, layout, size, dropped = "poses", False, "body13", (640, 480), 0

    def __init__(self, truth, frames=None):
        self.fps, self.duration_s = 30.0, len(truth) / 30.0
        self.frames = frames or [
            Frame(i, float(t), None, truth.joints[i], truth=truth.frame(i)) for i, t in enumerate(truth.times_s)
        ]

    def __iter__(self):
        return iter(self.frames)

    def close(self):
        pass


@pytest.fixture(scope="module")
def truth():
    return simulate(StationParams.random(4, cycles=2, idle_s=0.8))


@pytest.fixture(scope="module")
def reference(tiny_bundle, truth):
    demo = simulate(StationParams.random(4, cycles=1, idle_s=0.8))
    (cycle,) = demo.events_of("cycle")
    times_s, poses = resample_track(demo.times_s, demo.joints, tiny_bundle.info.rate_hz)
    part = (times_s >= cycle.start_s) & (times_s < cycle.end_s)
    embeddings = embed_sequence(open_embedder(tiny_bundle), poses)[part]
    bounds = [(e.start_s - cycle.start_s, e.end_s - cycle.start_s) for e in demo.events_of("phase")]
    end_s = part.sum() / tiny_bundle.info.rate_hz
    phases = [Phase(name=f"p{i}", start_s=a, end_s=min(b, end_s)) for i, (a, b) in enumerate(bounds)]
    return build_reference([EmbeddedDemo("demo", embeddings, poses[part])], phases, tiny_bundle)


def run(tiny_bundle, reference, source, sinks=()):
    timeline, store = Timeline(), Store("sqlite://")
    aligner = Aligner(open_embedder(tiny_bundle), reference, "bench")
    station = Station(
        "bench", source, Locator(None, "body13"), aligner, Journal("bench", store).number, [timeline, *sinks]
    )
    station.run()
    return station, timeline, store


def test_the_same_worker_is_followed_and_every_event_is_stored_before_it_is_told(tiny_bundle, reference, truth):
    _, timeline, store = run(tiny_bundle, reference, Poses(truth))
    assert timeline.score()["phase_accuracy"] > 0.8
    assert [event.seq for event in timeline.events] == list(range(1, len(timeline.events) + 1))
    assert store.bounds("bench") == (1, len(timeline.events))


def test_frames_without_anybody_broken_poses_and_corrupt_images_never_stop_a_station(tiny_bundle, reference, truth):
    frames = Poses(truth).frames[:120]
    broken = [
        np.full((13, 3), np.nan, np.float32),
        np.zeros((13, 3), np.float32),
        np.zeros((5, 2), np.float32),
        np.full((13, 3), 1e30, np.float32),
        None,
    ]
    frames += [Frame(120 + i, 4.0 + i / 30, None, pose) for i, pose in enumerate(broken * 8)]
    frames += [Frame(999, 2.0, None, frames[0].pose), Frame(1000, float("nan"), None, frames[0].pose)]
    station, timeline, _ = run(tiny_bundle, reference, Poses(truth, frames))
    assert station.frames == len(frames)
    assert np.isfinite(timeline.column("confidence")).all()


def test_a_recording_that_stops_as_the_work_is_done_has_its_last_cycle_told(tiny_bundle, reference, truth):
    end_s = truth.events_of("cycle")[-1].end_s
    frames = [frame for frame in Poses(truth).frames if frame.time_s <= end_s + 0.05]
    _, timeline, store = run(tiny_bundle, reference, Poses(truth, frames))
    ends = [event for event in timeline.events if event.event == "cycle_finished"]
    assert [event.cycle for event in ends] == [1, 2]
    assert abs(ends[-1].time_s - end_s) < 0.5
    assert store.bounds("bench") == (1, len(timeline.events))


def test_a_lost_stream_is_an_event_and_a_status(tiny_bundle, reference, truth):
    frames = Poses(truth).frames[:60]
    frames.append(Frame(60, 2.1, None, notice=StreamNotice("stream_lost", "camera unplugged", 2.0)))
    frames.append(Frame(61, 3.0, None))
    frames.append(Frame(62, 4.0, None, frames[0].pose, notice=StreamNotice("stream_back", "camera is back", 4.0)))
    _, timeline, _ = run(tiny_bundle, reference, Poses(truth, frames))
    kinds = [event.event for event in timeline.events]
    assert kinds.index("stream_lost") < kinds.index("stream_back")
    are_as_documented(event for event in timeline.events if event.event.startswith("stream_"))
    assert timeline.last.status != "no_stream"


def test_stopping_ends_after_the_frame_in_hand(tiny_bundle, reference, truth):
    class StopAtTen:
        def hello(self, hello): ...
        def event(self, event): ...
        def state(self, state, frame):
            if frame.index >= 10:
                stations[0].stop()

    stations = []
    timeline = Timeline()
    aligner = Aligner(open_embedder(tiny_bundle), reference)
    stations.append(
        Station(
            "s",
            Poses(truth),
            Locator(None, "body13"),
            aligner,
            Journal("s", Store("sqlite://")).number,
            [timeline, StopAtTen()],
        )
    )
    stations[0].run()
    assert 11 <= stations[0].frames <= 13


def test_an_aligner_saved_in_the_middle_goes_on_as_if_nothing_had_happened(tiny_bundle, reference, truth):
    half = len(truth) // 2
    whole, first, second = (Aligner(open_embedder(tiny_bundle), reference) for _ in range(3))

    def feed(aligner, part):
        return [s for i in part for s in aligner.push(float(truth.times_s[i]), 0.0, truth.joints[i])]

    expected = feed(whole, range(len(truth)))
    found = feed(first, range(half))
    second.restore(first.state())
    found += feed(second, range(half, len(truth)))
    # Restored embeddings agree to 1e-6 (sums in another order): between cycles the mode may differ by a tick.
    tick_s = 1 / reference.info.rate_hz
    positions_s = [step.match.position_s for step in expected]
    assert [step.match.position_s for step in found] == pytest.approx(positions_s, abs=1.01 * tick_s)
    assert [step.match.status for step in found] == [step.match.status for step in expected]
    assert [[e.event for e in step.events] for step in found] == [[e.event for e in step.events] for step in expected]


def test_a_reference_of_another_bundle_is_refused_with_what_to_do(tiny_bundle, reference):
    other = Reference(
        reference.info.model_copy(update={"bundle_sha256": "0" * 64, "bundle": "other"}),
        reference.mean,
        reference.variance,
        reference.poses,
    )
    with pytest.raises(BadReference, match=r"another bundle.*expected bundle tiny.*Build the reference again"):
        Aligner(open_embedder(tiny_bundle), other)


def test_warming_up_leaves_no_trace(tiny_bundle, reference, truth):
    cold, warm = Aligner(open_embedder(tiny_bundle), reference), Aligner(open_embedder(tiny_bundle), reference)
    warm.warm_up()
    for i in range(40):
        a = cold.push(float(truth.times_s[i]), 0.0, truth.joints[i])
        b = warm.push(float(truth.times_s[i]), 0.0, truth.joints[i])
        assert [step.match for step in a] == [step.match for step in b]
