"""Streams are exact about what they show, and depend on nothing but the seed and the clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from training.datasets.base import Clip
from training.evaluate.streams import FASTEST, SLOWEST, compose, poses_at


def clip_of(name: str, length: int, action: str = "pushups", view: str = "left", phases: int = 2) -> Clip:
    """Joint 0 moves with time, so a pose tells which frame it shows; a box of 100 px around it."""
    poses = np.full((length, 13, 3), 1.0, np.float32)
    poses[..., 0] = np.linspace(100, 200, 13)
    poses[..., 1] = np.linspace(100, 150, 13)
    poses[:, 0, 1] = 100 + 50 * np.arange(length) / max(length - 1, 1)
    labels = np.minimum(np.arange(length) * phases // length, phases - 1)
    return Clip(name, action, "val", poses, "body13", 30.0, (320, 240), labels, view)


@examples(40)
@given(st.integers(1, 200), st.integers(0, 2**16), st.sampled_from(["pushups", "golf_swing"]))
def test_every_action_frame_shows_the_frame_it_claims(length: int, seed: int, action: str) -> None:
    clips = [clip_of(f"c{i}", length + i, action) for i in range(3)]
    for stream in compose(clips, seed):
        frames = {clip.id: clip for clip in clips}
        assert len(stream.poses) == len(stream.cycle) == len(stream.source_frame) == len(stream.progress)
        acting = stream.cycle >= 0
        first = acting & (stream.cycle == 0) & ~stream.is_pause
        clip = frames[stream.clip_ids[0]]
        np.testing.assert_allclose(stream.poses[first], poses_at(clip.poses, stream.source_frame[first]), atol=1e-3)
        assert stream.phases is not None
        assert (stream.phases[~acting] == -1).all()
        for t in np.flatnonzero(acting):
            source = frames[stream.clip_ids[stream.cycle[t]]]
            assert stream.phases[t] == source.phases[int(stream.source_frame[t])]  # type: ignore[index]
        assert (np.diff(stream.cycle[acting]) >= 0).all()
        assert (np.diff(stream.source_frame[acting])[np.diff(stream.cycle[acting]) == 0] >= 0).all()


@given(st.integers(0, 2**16))
@examples(25)
def test_pace_pause_idle_and_cut_stay_within_the_protocol(seed: int) -> None:
    length = 90
    (stream,) = compose([clip_of("only", length, "golf_swing")], seed)
    idle = stream.cycle < 0
    before = int(np.argmin(idle))
    after = int(np.argmin(idle[::-1]))
    assert 0 <= before <= 90 and 0 <= after <= 90
    assert 30 <= stream.is_pause.sum() <= 90
    acting = stream.source_frame[~idle & ~stream.is_pause]
    assert acting[0] <= 0.3 * length
    assert acting[-1] > length - 1 - FASTEST - 1
    pace = np.diff(acting)
    assert pace.max() <= FASTEST * 1.2 and np.median(pace) >= SLOWEST * 0.8


def test_repetitive_actions_are_chained_with_other_clips_of_the_same_view_in_the_same_place() -> None:
    clips = [clip_of(f"l{i}", 40 + i) for i in range(6)] + [clip_of(f"r{i}", 40, view="right") for i in range(2)]
    far = clips[1].poses.copy()
    far[..., :2] = far[..., :2] * 3 + 500
    clips[1] = Clip("l1", "pushups", "val", far, "body13", 30.0, (320, 240), clips[1].phases, "left")
    streams = compose(clips, 5)
    for stream in streams:
        assert 2 <= len(stream.clip_ids) <= 5
        assert len(set(stream.clip_ids)) == len(stream.clip_ids)
        assert len({name[0] for name in stream.clip_ids}) == 1
        assert stream.clip_ids[0] == stream.id
    in_place = streams[0].poses[..., :2]
    assert in_place.min() > 90 and in_place.max() < 210
    assert all(
        len(s.clip_ids) == 1 for s in compose([clip_of("a", 40, "golf_swing"), clip_of("b", 40, "golf_swing")], 5)
    )


def test_a_stream_does_not_depend_on_the_order_of_clips_but_on_the_seed() -> None:
    clips = [clip_of(f"c{i}", 30 + i) for i in range(5)]
    forward = {s.id: s for s in compose(clips, 3)}
    for stream in compose(clips[::-1], 3):
        assert stream.clip_ids == forward[stream.id].clip_ids
        np.testing.assert_array_equal(stream.poses, forward[stream.id].poses)
    other = {s.id: s for s in compose(clips, 4)}
    assert any(len(other[name].poses) != len(stream.poses) for name, stream in forward.items())


def test_unlabelled_clips_give_streams_without_phases_and_boundaries_lie_within_cycles() -> None:
    labelled = clip_of("a", 60, "golf_swing", phases=3)
    bare = Clip("b", "golf_swing", "val", labelled.poses, "body13", 30.0, (320, 240))
    with_labels, without = compose([labelled, bare], 0)
    assert without.phases is None and without.boundaries == ()
    assert [phase for _, phase in with_labels.boundaries] == [1, 2]
    assert with_labels.phases is not None
    for frame, phase in with_labels.boundaries:
        assert with_labels.phases[frame] == phase != with_labels.phases[frame - 1]


def test_a_joint_missing_in_one_neighbour_is_never_a_mixture_with_the_placeholder() -> None:
    poses = np.ones((2, 13, 3), np.float32) * 100
    poses[..., 2] = 1
    poses[1, 0] = 0
    early, late = poses_at(poses, np.array([0.25, 0.75]))
    assert early[0] == pytest.approx([100, 100, 1])
    assert late[0] == pytest.approx([0, 0, 0])
