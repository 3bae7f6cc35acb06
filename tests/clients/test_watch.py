"""The terminal view shows what the station says, and nothing of what a hostile one would like it to do."""

import io
import math
import os
import pty
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from clients.watch import View, render
from engine.bus import Publisher
from engine.journal import Journal
from engine.messages import Event, Hello, PhaseInfo, State
from engine.store import Store

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


@pytest.fixture
def station(tmp_path):
    with Publisher(Journal("bench-1", Store("sqlite://")), f"ipc://{tmp_path}/p", f"ipc://{tmp_path}/r") as bus:
        bus.hello(HELLO)
        yield bus


@contextmanager
def watching(station, **how):
    command = [sys.executable, "-m", "clients.cli", "watch", station.address, "--requests", station.request_address]
    with subprocess.Popen(command, **how) as process:
        giving_up = threading.Timer(60.0, process.kill)  # whoever reads in vain gets to the end
        giving_up.start()
        try:
            yield process
        finally:
            giving_up.cancel()
            process.kill()


def test_in_a_pipe_it_is_a_line_for_each_event_and_each_change_as_soon_as_it_comes(station):
    with watching(station, stdout=subprocess.PIPE, text=True) as process:
        lines = []

        def until(word):
            while not (lines and lines[-1].endswith(word)):
                lines.append(process.stdout.readline().rstrip("\n"))
                assert lines[-1], f"it ended after {lines}"

        until("all is well")
        for status in ("on_task", "on_task", "idle"):
            station.state(state(status=status))
            until("on task" if status == "on_task" else "idle")
        station.event(station.journal.number(Event("", 0, "slow", 0.0, 1e9, 3, "pick\n", details={"dwell_s": 4.25})))
        until("pick�")
        station.health["camera"] = "too dark"
        until("camera: too dark")
        process.terminate()
        assert process.wait(30) == 143 and process.stdout.read() == ""
    said = [line[len("2001-01-01 00:00:00  ") :] for line in lines]
    assert said[-5:] == ["all is well", "on task", "idle", "#1 slow  cycle 3  4.2 s  pick�", "camera: too dark"]


def test_a_reader_that_has_seen_enough_is_no_error(station):
    with watching(station, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        while process.poll() is None:
            station.event(station.journal.number(Event("", 0, "slow", 0.0, 0.0)))
            time.sleep(0.02)
        assert (process.returncode, process.stderr.read()) == (0, b"")


def test_stopped_by_a_signal_it_leaves_the_cursor_shown(station):
    ours, theirs = pty.openpty()
    with watching(station, stdout=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        said = b""
        while b"bench-1" not in said:
            said += os.read(ours, 4096)
        process.terminate()
        with suppress(OSError):  # the end of a terminal
            while more := os.read(ours, 4096):
                said += more
        assert process.wait(30) == 143
    os.close(ours)
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")
