"""Joints vanish one after another, through the shipped bundle: the belief in where the work is goes before the position jumps."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from engine.aligner import Aligner
from engine.bundle import open_bundle
from engine.embedder import open_embedder
from engine.pose.track import PoseTrack
from engine.reference import Phase
from engine.reference_building import Demonstration, reference_from_recordings
from engine.sources.rendered import StationParams, simulate

JUMP_S, UNSURE = 0.5, 0.5
JOINTS = 13
FEW = range(1, 6)
"""So few joints can look like another moment for long enough to be believed: of 154 random workers whose joints vanished, 2 were followed
to a wrong place and back, 0.9 sure of it, when 4 and 5 joints were left. Nothing is promised there."""
WORKERS = range(4, 9)


@pytest.fixture(scope="module")
def follower() -> Aligner:
    """Follows whoever works as two others have shown."""
    bundle = open_bundle()
    shown = [simulate(StationParams.random(worker, cycles=1)) for worker in (4, 9)]
    tracks = [PoseTrack(truth.joints, truth.times_s, "body13", (640, 480), source="shown") for truth in shown]
    marks = [Phase(name=event.phase, start_s=event.start_s, end_s=event.end_s) for event in shown[0].events_of("phase")]
    cuts = [(cycle.start_s, cycle.end_s) for (cycle,) in (truth.events_of("cycle") for truth in shown)]
    demonstrations = [Demonstration(track, *cut) for track, cut in zip(tracks, cuts, strict=True)]
    reference = reference_from_recordings(demonstrations, bundle, marks, runtime="onnxruntime")
    return Aligner(open_embedder(bundle, "onnxruntime"), reference)


@examples(5)
@given(
    worker=st.sampled_from(WORKERS),
    order=st.permutations(range(JOINTS)),
    first=st.floats(0.3, 0.7),
    pauses_s=st.lists(st.floats(0.0, 0.8), min_size=JOINTS, max_size=JOINTS),
)
def test_as_joints_vanish_confidence_falls_before_the_position_jumps(follower, worker, order, first, pauses_s):
    truth = simulate(StationParams.random(worker, cycles=1))
    (cycle,) = truth.events_of("cycle")
    first_s = cycle.start_s + first * (cycle.end_s - cycle.start_s)
    gone_s = first_s + np.cumsum([0.0, *pauses_s[1:]])
    poses = truth.joints.copy()
    for joint, since_s in zip(order, gone_s, strict=True):
        poses[truth.times_s >= since_s, joint, 2] = 0.0
    follower.reset()
    times_s = truth.times_s[truth.times_s < gone_s[-1] + 3.0]
    steps = [step for t, pose in zip(times_s, poses[: len(times_s)], strict=True) for step in follower.push(t, t, pose)]
    steps = [step for step in steps if step.tick.time_s >= first_s - 0.5]
    assert steps[0].match.status == "on_task" and steps[0].match.confidence > UNSURE
    length_s = follower.reference.duration_s
    for before, after in pairwise(steps):
        moved_s = abs(after.match.position_s - before.match.position_s)
        if min(moved_s, length_s - moved_s) > JUMP_S and np.sum(after.tick.pose[:, 2] > 0) not in FEW:
            assert before.match.confidence < UNSURE or before.match.status not in ("on_task", "paused")
    if steps[-1].tick.time_s > gone_s[-1] + 1.0:
        assert steps[-1].match.status == "lost"
