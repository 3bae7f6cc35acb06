"""Who is the operator: the largest in the region at first, and then the same person until they are gone for a while."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.pose.selection import (
    MAX_STEP,
    PATIENCE_S,
    OperatorSelector,
    centre,
    largest,
    parse_region,
    region,
    size,
    within,
)

PICTURE = (640, 480)


def person(x, y, height=100.0):
    """A stick figure of four joints around (x, y)."""
    offsets = np.array([(-0.2, -0.5), (0.2, -0.5), (-0.2, 0.5), (0.2, 0.5)]) * height
    return np.column_stack([offsets + np.array([x, y]), np.ones(4)]).astype(np.float32)


def test_the_largest_person_is_the_operator():
    far, near = person(100, 100, 60), person(400, 200, 200)
    assert largest([far, near]) is near
    assert largest([]) is None


def test_nobody_is_nobody():
    selector = OperatorSelector()
    assert selector.select([], PICTURE, 0.0) is None
    assert selector.select([np.zeros((4, 3), np.float32)], PICTURE, 0.1) is None


def test_only_people_centred_in_the_region_count():
    left, right = person(100, 240), person(500, 240, 200)
    assert within([left, right], region([0.0, 0.0, 0.5, 1.0]), PICTURE) == [left]
    assert OperatorSelector(region([0.0, 0.0, 0.5, 1.0])).select([right, left], PICTURE, 0.0) is left


def test_a_region_may_be_any_polygon():
    triangle = region([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    upper_left, lower_right = person(100, 100), person(600, 440)
    assert within([upper_left, lower_right], triangle, PICTURE) == [upper_left]


def test_a_larger_passer_by_does_not_take_over():
    selector = OperatorSelector()
    for frame in range(30):
        operator, passer_by = person(200 + frame, 240), person(620 - 20 * frame, 240, 260)
        assert selector.select([passer_by, operator] if frame else [operator], PICTURE, frame / 30) is operator


def test_a_lost_operator_is_waited_for_then_the_largest_takes_over():
    selector, other = OperatorSelector(), person(500, 240)
    assert selector.select([person(100, 240)], PICTURE, 0.0) is not None
    assert selector.select([other], PICTURE, 0.5 * PATIENCE_S) is None
    assert selector.select([other], PICTURE, 1.5 * PATIENCE_S) is other


def test_an_operator_who_returns_in_time_is_found_again():
    selector, back = OperatorSelector(), person(110, 240)
    selector.select([person(100, 240)], PICTURE, 0.0)
    assert selector.select([person(500, 240)], PICTURE, 0.2) is None
    assert selector.select([person(500, 240), back], PICTURE, 0.4) is back


def test_after_a_reset_nobody_is_remembered():
    selector = OperatorSelector()
    selector.select([person(100, 240)], PICTURE, 0.0)
    selector.reset()
    other = person(500, 240)
    assert selector.select([other], PICTURE, 0.1) is other


def test_a_clock_that_falls_back_does_not_lock_the_operator_out():
    selector, other = OperatorSelector(), person(500, 240)
    selector.select([person(100, 240)], PICTURE, 1000.0)
    assert selector.select([other], PICTURE, 0.0) is other


coordinates = st.floats(50, 430)


@given(
    st.lists(st.tuples(coordinates, coordinates, st.floats(20, 300)), min_size=1, max_size=5, unique=True), st.randoms()
)
def test_the_order_in_which_people_are_reported_does_not_matter(people, random):
    poses = [person(*p) for p in people]
    shuffled = poses[:]
    random.shuffle(shuffled)
    assert size(largest(poses)) == size(largest(shuffled))


@given(coordinates, coordinates, st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)), max_size=40))
def test_whoever_moves_in_small_steps_is_followed_past_a_crowd(x, y, steps):
    selector, height = OperatorSelector(), 100.0
    selector.select([person(x, y, height)], PICTURE, 0.0)
    for number, (dx, dy) in enumerate(steps, 1):
        x, y = x + dx * height, y + dy * height
        operator = person(x, y, height)
        stranger = person(x + 3 * MAX_STEP * height, y, 2 * height)
        assert selector.select([stranger, operator], PICTURE, number / 30) is operator


def test_the_centre_weighs_joints_by_confidence():
    pose = np.array([(0, 0, 1.0), (100, 0, 0.0)], np.float32)
    assert centre(pose).tolist() == [0, 0]
    assert np.isnan(centre(np.zeros((2, 3), np.float32))).all()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.1, 0.2, 0.3],
        [0.5, 0.0, 0.2, 1.0],
        [0.0, 0.0, 1.5, 1.0],
        [0.0, 0.0, float("nan"), 1.0],
        [(0, 0), (1, 1)],
        [(0, 0), (0.5, 0.5), (1, 1)],
        "left",
        [(0, 0), (1,)],
    ],
)
def test_a_wrong_region_is_one_clear_line(values):
    with pytest.raises(ConfigError, match=r"region of interest is wrong: expected .*, found"):
        region(values)


def test_a_region_is_read_from_a_command_line():
    assert parse_region("0.1,0.2,0.9,1").tolist() == region([0.1, 0.2, 0.9, 1.0]).tolist()
    assert parse_region("0,0 1,0 0.5,1").shape == (3, 2)
    for wrong in ("", "a,b,c,d", "0,0 1,0,1 1,1", "0.1;0.2"):
        with pytest.raises(ConfigError):
            parse_region(wrong)
