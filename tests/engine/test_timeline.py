"""What a run leaves behind: segments, scores against the truth, and a report that opens anywhere."""

from types import SimpleNamespace

import pytest

from clients.plots import timeline_figure
from clients.report import write_report
from engine.messages import Event, Hello, PhaseInfo, State
from engine.timeline import Timeline


def state(tick, phase, cycle=1, finished=0):
    status = "idle" if phase is None else "on_task"
    name = None if phase is None else "ab"[phase]
    return State("s", tick, tick / 10, 0.0, status, cycle, finished, name, phase, 0.5, 0.5, 1.0, 1.0, 0.9)


def truth(phase, cycle=1):
    return SimpleNamespace(
        phase_index=phase, status="idle" if phase is None else "on_task", cycle=cycle, cycle_progress=0.5
    )


@pytest.fixture
def timeline():
    line = Timeline()
    line.hello(Hello("s", [PhaseInfo("a", 0, 1), PhaseInfo("b", 1, 2)], 2.0, "body13", [], 10.0, "bundle"))
    found = [None, 0, 0, 0, 1, 1, None, 0, 0, 1]
    true = [None, 0, 0, 1, 1, 1, None, 0, 0, 1]
    for i, (f, t) in enumerate(zip(found, true, strict=True)):
        cycle = 1 if i < 7 else 2
        line.state(state(i, f, cycle, cycle - 1), SimpleNamespace(truth=truth(t, cycle)))
    return line


def test_segments_are_stretches_of_one_phase_of_one_cycle_without_idle(timeline):
    assert timeline.segments() == [
        ("a", 0.1, 0.4),
        ("b", 0.4, 0.6),
        ("a", 0.7, 0.9),
        ("b", 0.9, pytest.approx(1.0)),
    ]


def test_accuracy_counts_ticks_of_work_only_and_a_cycle_in_progress_is_not_a_finished_one(timeline):
    score = timeline.score()
    assert score["phase_accuracy"] == pytest.approx(7 / 8)
    assert score["idle_accuracy"] == 1.0
    assert (score["cycles_true"], score["cycles_counted"]) == (1, 1)


def test_a_cycle_that_is_told_as_finished_when_the_stream_has_ended_counts(timeline):
    timeline.event(Event("s", 1, "cycle_finished", 0.9, 0.0, 2, None, 0.9, 1.0))
    assert timeline.cycles_counted == 2


def test_an_empty_run_has_no_segments_and_no_cycles():
    assert Timeline().segments() == []
    assert Timeline().score()["cycles_counted"] == 0


def test_the_report_is_one_page_and_names_from_outside_cannot_inject_html(timeline, tmp_path):
    timeline.event(Event("s", 1, "phase_skipped", 0.5, 0.0, 1, "<script>alert(1)</script>", 0.9, 0.8))
    timeline.event(Event("s", 2, "cycle_finished", 0.6, 0.0, 1, None, 0.9, 0.6, {"durations_s": [0.3, 0.2]}))
    picture, page = tmp_path / "timeline.png", tmp_path / "report.html"
    timeline_figure(timeline).savefig(picture)
    latency = {"pose": {"p50": 1.0, "p95": 2.0, "p99": 3.0, "count": 10}}
    write_report(page, "Title & co", "sub", {"cycles": "1"}, timeline, latency, picture)
    text = page.read_text()
    assert "<script>" not in text and "Title &amp; co" in text and "data:image/png;base64," in text
    assert "phase skipped" in text and "0.3 s" in text
