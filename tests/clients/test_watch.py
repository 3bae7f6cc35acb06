"""The terminal view shows what the station says, and nothing of what a hostile one would like it to do."""

import io
import math

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from clients.watch import View, render
from engine.messages import Event, Hello, PhaseInfo, State

HELLO = Hello(
    "bench-1", [PhaseInfo("pick", 0, 2), PhaseInfo("place", 2, 3)], 3.0, "body13", [], 20.0, "body13 0badc0ff"
)


def state(**changes):
    usual = State("bench-1", 1, 65.0, 0.0, "on_task", 3, 2, "place", 1, 0.62, 0.5, 2.5, 1.12, 0.93, 4.2)
    return msgspec.structs.replace(usual, **changes)


def shown(renderable, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_it_shows_phase_progress_pace_counts_latency_and_events():
    text = shown(
        render(
            state(fps=29.8, dropped=3, latency_ms={"pose": (18.1, 21.4)}),
            HELLO,
            [Event("bench-1", 1, "phase_skipped", 61.5, 0.0, 3, "pick")],
        )
    )
    for expected in (
        "bench-1",
        "on task",
        "pick",
        "place",
        "62 %",
        "93 %",
        "4.2 s left",
        "1.12×",
        "29.8",
        "18.10",
        "21.40",
        "phase skipped",
        "01:01.5",
        "▲",
    ):
        assert expected in text


@pytest.mark.parametrize("width", [100, 80, 60])
def test_a_bar_is_as_full_as_its_percentage_in_a_terminal_of_any_width(width):
    for share in (0.0, 0.25, 0.5, 1.0):
        lines = shown(render(state(phase_progress=share), HELLO, []), width).splitlines()
        (line,) = [line for line in lines if f" {100 * share:.0f} %" in line and "phase " in line]
        assert line.count("█") == pytest.approx(share * (line.count("█") + line.count("·")), abs=1)
        assert line.count("█") + line.count("·") >= 10


def test_before_anything_is_known_there_is_still_a_picture():
    assert "nothing heard" in shown(render(None, None, [], trouble="nothing heard"))


def test_text_from_a_peer_is_never_obeyed():
    nasty = "\x1b]0;owned\x07[red]x[/red]\n\n"
    hello = Hello(nasty, [PhaseInfo(nasty, 0, 1)], 1.0, "body13", [], 20.0, nasty)
    text = shown(
        render(
            state(phase=nasty, station=nasty, latency_ms={nasty: (1.0, 2.0)}),
            hello,
            [Event(nasty, 1, "slow", 0.0, 0.0, phase=nasty)],
        )
    )
    assert "\x1b" not in text and "\x07" not in text and "[red]" in text


def test_impossible_numbers_are_shown_as_unknown():
    for value in (math.nan, math.inf, -math.inf, -5.0, 1e300):
        shown(
            render(
                state(
                    position_s=value,
                    phase_progress=value,
                    cycle_progress=value,
                    confidence=value,
                    rate=value,
                    eta_s=value,
                    fps=value,
                    time_s=value,
                ),
                HELLO,
                [],
            )
        )
    backwards = Hello("b", [PhaseInfo("b", 5, 1), PhaseInfo("a", math.nan, 2)], math.nan, "body13", [], 20.0, "x")
    shown(render(state(phase_index=77), backwards, []))


def test_the_view_is_a_sink_that_can_be_drawn_at_any_moment():
    view = View()
    shown(view)
    view.hello(HELLO)
    view.state(state())
    view.event(Event("bench-1", 1, "slow", 0.0, 0.0, phase="pick"))
    assert "slow" in shown(view) and "place" in shown(view)


def test_nothing_that_matters_is_cut_off_in_a_terminal_of_eighty_columns():
    latency_ms = dict.fromkeys(
        ("wait", "pose", "embed", "match", "events", "publish", "after_pose", "total"), (18.1, 21.4)
    )
    view = render(state(latency_ms=latency_ms, eta_s=123.4), HELLO, [])
    text = shown(view, width=80)
    for expected in ("62 %", "93 %", "123.4 s left", "after pose", "total", "running"):
        assert expected in text
    assert "…" not in text
    assert len(text.splitlines()) <= 24  # what a terminal of the usual size shows


def test_every_width_is_filled_and_none_overrun_by_long_names_in_any_script():
    phases = [PhaseInfo(f"Schraube Größe M{i} festziehen 検査検査", i, i + 1) for i in range(12)]
    hello = Hello("bench-1", phases, 12.0, "body13", [], 20.0, "body13 0badc0ff")
    events = [Event("bench-1", 1, "phase_out_of_order", 61.5, 0.0, 3, phases[2].name)]
    for width in (30, 40, 60, 80, 100):
        lines = shown(render(state(phase=phases[1].name), hello, events), width).splitlines()
        assert {cell_len(line) for line in lines} == {width}


def test_what_is_wrong_is_said_in_full_and_first():
    trouble = "store: " + 8 * "the disk is full and events wait; "
    text = shown(render(state(), HELLO, [], trouble=trouble), width=80)
    said = " ".join(text.replace("│", " ").split())
    assert trouble.strip() in said and said.index(trouble.strip()) < said.index("pick")
