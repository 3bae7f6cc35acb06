"""Phases as a person marks them, and what is said when they are wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.phase_marks import check_order, on_reference_clock, read_phases
from engine.reference import Phase


def written(tmp_path, text):
    path = tmp_path / "phases.yaml"
    path.write_text(text)
    return path


def test_names_times_and_rules_are_read(tmp_path):
    path = written(
        tmp_path,
        """
        phases:
          - {name: pick, start_s: 1, end_s: 2.5, optional: true}
          - {name: place, start: 2.5, end: 4, group: any, limit_s: 3, confirm: true}
        """,
    )
    assert read_phases(path) == [
        Phase(name="pick", start_s=1.0, end_s=2.5, optional=True),
        Phase(name="place", start_s=2.5, end_s=4.0, group="any", limit_s=3.0, confirm=True),
    ]


@pytest.mark.parametrize(
    "entries, said",
    [
        (
            "[{name: a, start_s: 0, end_s: 2}, {name: b, start_s: 1, end_s: 3}]",
            "'a' and 'b' overlap: .*2 s or later, found 1",
        ),
        ("[{name: a, start_s: 2, end_s: 3}, {name: b, start_s: 0, end_s: 1}]", "'a' and 'b' are out of order"),
        ("[{name: a, start_s: 2, end_s: 2}]", "'a' ends before it begins: expected an end after 2 s, found 2 s"),
        ("[{name: a, start_s: 0, end_s: 1}, {name: a, start_s: 1, end_s: 2}]", "a name twice"),
        ("[{name: a, start_s: 0, end_s: 1, colour: red}]", "phase 1 has the unknown key 'colour'"),
        ("[{name: a, end_s: 1}]", "phase 1"),
        ("[{name: a, start_s: -1, end_s: 1}]", "greater than or equal to 0"),
        ("[{name: a, start_s: soon, end_s: 1}]", "'start_s' is wrong: expected a number, found 'soon'"),
        ("[{name: a, start_s: .nan, end_s: 1}]", "finite"),
        ("[{name: '', start_s: 0, end_s: 1}]", "at least 1"),
        ("[a, b]", "phase 1 is wrong: expected name"),
        ("[]", "holds no phases"),
        ("3", "'phases' is wrong"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, entries, said):
    with pytest.raises(ConfigError, match=said) as wrong:
        read_phases(written(tmp_path, f"phases: {entries}"))
    assert "\n" not in str(wrong.value) and "phases.yaml" in str(wrong.value)


@pytest.mark.parametrize("text", ["", "- a", "steps: []", "phases: [{", "phases: !!python/object/apply:os.system [ls]"])
def test_what_is_no_phase_file_is_refused(tmp_path, text):
    with pytest.raises(ConfigError):
        read_phases(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_phases(tmp_path / "none.yaml")


def test_a_phase_outside_the_demonstration_is_refused():
    phases = [Phase(name="a", start_s=0, end_s=1), Phase(name="b", start_s=1, end_s=9)]
    with pytest.raises(ConfigError, match=r"'b' lies outside the demonstration: expected .*0\.00–5\.00 s, found 1–9 s"):
        on_reference_clock(phases, 0.0, 5.0)
    with pytest.raises(ConfigError, match="'a' lies outside"):
        on_reference_clock(phases, 0.5, 20.0)


@given(
    st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 2)), min_size=1, max_size=8), st.floats(0, 100), st.floats(0, 3)
)
def test_on_the_reference_clock_phases_cover_the_whole_cut_without_gap_or_overlap(parts, start_s, tail_s):
    phases, time_s = [], start_s
    for number, (length_s, gap_s) in enumerate(parts):
        phases.append(Phase(name=str(number), start_s=time_s, end_s=time_s + length_s))
        time_s += length_s + gap_s
    check_order(phases, "these")
    end_s = phases[-1].end_s + tail_s
    moved = on_reference_clock(phases, start_s, end_s)
    assert [phase.name for phase in moved] == [phase.name for phase in phases]
    assert moved[0].start_s == 0 and moved[-1].end_s == pytest.approx(end_s - start_s)
    for before, after in pairwise(moved):
        assert before.end_s == after.start_s
    for marked, phase in zip(phases[1:], moved[1:], strict=True):
        assert phase.start_s == pytest.approx(marked.start_s - start_s)
