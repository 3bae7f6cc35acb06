"""A cycle is found in a longer recording, at whatever pace it is shown there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.matching.subsequence import find


def walk(length, seed):
    """A smooth path of unit vectors."""
    steps = np.random.default_rng(seed).normal(size=(length, 12))
    path = np.cumsum(steps, axis=0) + np.random.default_rng(seed + 1).normal(size=12) * 5
    return path / np.linalg.norm(path, axis=1, keepdims=True)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 1000))
def test_the_stretch_is_found_wherever_it_is(before, after, seed):
    cycle = walk(30, seed)
    recording = np.concatenate([walk(before + 1, seed + 7)[:before], cycle, walk(after + 1, seed + 13)[:after]])
    start, end = find(cycle, recording)
    assert abs(start - before) <= 1 and abs(end - (before + 30)) <= 1


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
def test_another_pace_is_no_hindrance(pace):
    cycle = walk(60, 3)
    shown = cycle[np.minimum((np.arange(int(60 / pace)) * pace).astype(int), 59)]
    start, end = find(cycle, np.concatenate([walk(25, 40), shown, walk(25, 50)]))
    assert abs(start - 25) <= 3 and abs(end - (25 + len(shown))) <= 3


def test_a_recording_too_short_for_the_cycle_is_taken_whole():
    assert find(walk(60, 1), walk(10, 2)) == (0, 10)
    assert find(walk(60, 1)[:0], walk(10, 2)) == (0, 10)
