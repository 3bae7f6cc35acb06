"""Chunking: however a recording reaches the aligner, in one go or in pieces between which it is saved and taken up by another, it tells the same."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine import checkpoint
from engine.aligner import Aligner
from engine.embedder import open_embedder
from engine.embedder.whole import WholeRecordings
from engine.links.items import Mark
from engine.matching.building import EmbeddedDemo, build_reference
from engine.reference import Phase
from engine.resample import resample_track
from engine.sources.rendered import Deviation, StationParams, simulate


@pytest.fixture(scope="module")
def reference(tiny_bundle):
    truth = simulate(StationParams.random(4, cycles=1))
    (cycle,) = truth.events_of("cycle")
    times_s, poses = resample_track(truth.times_s, truth.joints, tiny_bundle.info.rate_hz)
    part = (times_s >= cycle.start_s) & (times_s < cycle.end_s)
    bounds = [(event.start_s - cycle.start_s, event.end_s - cycle.start_s) for event in truth.events_of("phase")]
    phases = [Phase(name=f"p{i}", start_s=start_s, end_s=end_s) for i, (start_s, end_s) in enumerate(bounds)]
    demo = EmbeddedDemo("demonstration", WholeRecordings(tiny_bundle)(poses)[part], poses[part])
    return build_reference([demo], phases, tiny_bundle)


@pytest.fixture(scope="module")
def recording():
    """Times and poses of a worker who leaves out a phase in the first of two cycles."""
    truth = simulate(StationParams.random(4, cycles=2, idle_s=0.8, speed=1.35, deviations=(Deviation("skip", 2, 1),)))
    return truth.times_s, truth.joints


@dataclass(frozen=True)
class Camera:
    """Another clock for a recording: what becomes of its times, and which frames arrive."""

    seed: int
    jitter_s: float
    dropped: float
    hole_at_s: float
    hole_s: float

    def __call__(self, times_s, poses):
        rng = np.random.default_rng(self.seed)
        kept = rng.random(len(times_s)) >= self.dropped
        seen_s = times_s + rng.uniform(0.0, self.jitter_s, len(times_s)) + self.hole_s * (times_s > self.hole_at_s)
        return seen_s[kept], poses[kept]


cameras = st.builds(
    Camera,
    seed=st.integers(0, 10_000),
    jitter_s=st.floats(0.0, 0.012),
    dropped=st.floats(0.0, 0.5),
    hole_at_s=st.floats(0.0, 12.0),
    hole_s=st.sampled_from([0.0, 0.2, 0.6, 3.0, 40.0]),
)


def aligner(tiny_bundle, reference) -> Aligner:
    return Aligner(open_embedder(tiny_bundle, "onnxruntime"), reference, "bench")


def pushed(to: Aligner, times_s, poses) -> list:
    return [step for time_s, pose in zip(times_s, poses, strict=True) for step in to.push(time_s, 1e9 + time_s, pose)]


def told(steps) -> list:
    """Steps without their poses, which are arrays."""
    return [replace(step, tick=(step.tick.index, step.tick.time_s, step.tick.dt_s, step.tick.seen)) for step in steps]


@examples(4)
@given(camera=cameras, cuts=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_pieces_between_which_it_is_saved_and_restored_tell_what_the_whole_does(
    tiny_bundle, reference, recording, camera, cuts
):
    times_s, poses = camera(*recording)
    whole = aligner(tiny_bundle, reference)
    expected = pushed(whole, times_s, poses)
    first, second = aligner(tiny_bundle, reference), aligner(tiny_bundle, reference)
    found = []
    edges = [0, *sorted(round(cut * len(times_s)) for cut in cuts), len(times_s)]
    for start, end in pairwise(edges):
        found += pushed(first, times_s[start:end], poses[start:end])
        saved = checkpoint.dump(Mark("bench", 0), first.state(), "this")
        first, second = second, first  # whoever takes over has followed something else before
        first.restore(checkpoint.load(saved, "this")[1])
    assert told(found) == told(expected)
    assert first.finish() == whole.finish()
    assert {name: array.tobytes() for name, array in first.state().items()} == {
        name: array.tobytes() for name, array in whole.state().items()
    }


@examples(3)
@given(camera=cameras)
def test_the_embeddings_of_ticks_as_they_come_are_those_of_the_whole_recording(tiny_bundle, recording, camera):
    times_s, poses = camera(*recording)
    embedder = open_embedder(tiny_bundle, "onnxruntime")
    _, ticks = resample_track(times_s, poses, tiny_bundle.info.rate_hz)
    live = np.stack([embedder.step(pose) for pose in ticks])
    np.testing.assert_allclose(WholeRecordings(tiny_bundle)(ticks), live, atol=1e-5)
