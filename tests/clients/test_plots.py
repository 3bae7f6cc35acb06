"""The timeline of a run can be read whether it lasted a moment or a shift, and whatever its phases are called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pictures import cut_off, words

from clients.plots import timeline_figure
from clients.report import write_report
from engine.messages import Event, Hello, PhaseInfo, State
from engine.timeline import Timeline

CYCLE_S, REST_S = 10.0, 2.0


def run(names: list[str], cycles: float, rate_hz: float = 5.0) -> Timeline:
    """Cycle after cycle without anything going wrong, but for a skipped phase at the end of each."""
    timeline, phase_s = Timeline(), CYCLE_S / len(names)
    timeline.hello(
        Hello("bench", [PhaseInfo(n, i * phase_s, (i + 1) * phase_s) for i, n in enumerate(names)], CYCLE_S, "body13", [], 20.0, "b")
    )  # fmt: skip
    for tick in range(round(cycles * (CYCLE_S + REST_S) * rate_hz)):
        time_s = tick / rate_hz
        cycle, at_s = divmod(time_s, CYCLE_S + REST_S)
        index = min(int(at_s / phase_s), len(names) - 1) if at_s < CYCLE_S else None
        name = names[index] if index is not None else None
        status = "idle" if index is None else "on_task"
        timeline.state(
            State("bench", tick, time_s, 0.0, status, int(cycle) + 1, int(cycle), name, index, 0.5, min(1.0, at_s / CYCLE_S), at_s, 1.0, 0.9),
            SimpleNamespace(truth=None),
        )  # fmt: skip
    for cycle in range(int(cycles)):
        end_s = cycle * (CYCLE_S + REST_S) + CYCLE_S
        details = {"duration_s": CYCLE_S, "durations_s": [phase_s] * len(names)}
        timeline.event(Event("bench", 2 * cycle, "phase_skipped", end_s, 0.0, cycle + 1, names[0]))
        timeline.event(Event("bench", 2 * cycle + 1, "cycle_finished", end_s, 0.0, cycle + 1, details=details))
    return timeline


@pytest.mark.parametrize("phases", [1, 5, 12])
def test_everything_written_lies_within_the_picture_whatever_the_phases_are_called(phases: int) -> None:
    names = [f"Schraube Größe M{i} mit dem Drehmomentschlüssel festziehen 検査" for i in range(phases)]
    assert cut_off(timeline_figure(run(names, 2), "Station bench")) == []


def test_a_phase_is_named_where_it_is_drawn_and_by_its_number_where_colours_come_again() -> None:
    assert "pick" in words(timeline_figure(run(["pick", "place"], 2)))
    assert {"1", "9", "9 a phase with a long name 8"} <= words(
        timeline_figure(run([f"a phase with a long name {i}" for i in range(12)], 2))
    )


def test_a_name_that_looks_like_a_formula_is_a_name() -> None:
    figure = timeline_figure(run([r"$\frac{", "for $5"], 2))
    assert cut_off(figure) == [] and r"$\frac{" in words(figure)


def test_events_have_a_lane_for_each_kind_with_their_number() -> None:
    figure = timeline_figure(run(["pick", "place"], 3))
    assert {"cycle finished  3", "phase skipped  3"} <= words(figure)


def test_of_a_shift_the_time_of_every_cycle_is_drawn_instead_of_ticks() -> None:
    figure = timeline_figure(run(["pick", "place"], 100, rate_hz=1.0))
    bars = figure.axes[0].patches
    assert len(bars) == 2 * 100
    assert {round(bar.get_height(), 6) for bar in bars} == {CYCLE_S / 2}
    assert {"median 10.0 s, 100 cycles", "phase skipped  100", "time, minutes:seconds"} <= words(figure)


def test_a_run_that_ended_before_it_began_has_a_picture_that_says_so() -> None:
    assert "no events" in words(timeline_figure(run(["pick"], 0)))


def test_the_report_says_what_went_wrong_before_it_lists_everything(tmp_path: Path) -> None:
    timeline, picture, page = run(["pick", "place"], 3), tmp_path / "timeline.png", tmp_path / "report.html"
    timeline_figure(timeline).savefig(picture)
    write_report(page, "Station bench", "synth", {}, timeline, {}, picture)
    wrong, everything = page.read_text(encoding="utf-8").split("All 6 events")
    assert wrong.count("phase skipped") == 3 and "<td>cycle finished" not in wrong
    assert everything.count("cycle finished") == 3
