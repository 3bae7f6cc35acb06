"""Practice without a camera: what `clients.publish` says is what a station would, and `clients.subscribe` listens to it."""

import signal
import socket
import subprocess
import sys
import threading

import pytest
from documented import EVENTS, are_as_documented

from clients.publish import drafts, state
from engine import security
from engine.bus import Publisher
from engine.journal import Journal
from engine.messages import Event
from engine.security import Access
from engine.sources.rendered import Deviation, StationParams, simulate
from engine.store import Store
from engine.subscriber import Subscriber

ANY = "tcp://127.0.0.1:*"
KINDS = ("skip", "repeat", "swap", "pause", "leave", "turn")


@pytest.fixture(scope="module")
def truth():
    """One deviation of each kind, at the second phase of a cycle of its own."""
    deviations = tuple(Deviation(kind, 1, cycle, 4.0) for cycle, kind in enumerate(KINDS, start=1))
    return simulate(StationParams(cycles=len(KINDS), fps=10, deviations=deviations))


def python(*arguments):
    # A shell that starts the suite in the background has it, and all its children, ignore Ctrl-C.
    command = ["env", "--default-signal=INT", sys.executable, "-m", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def test_each_deviation_is_told_as_a_station_tells_it(truth):
    told = drafts(truth, 0.0)
    are_as_documented([event for event in told if event.event != "phase_skipped"])  # a station may give its reason
    of_cycles = [[(e.event, e.phase) for e in told if e.cycle == cycle] for cycle in range(1, len(KINDS) + 1)]
    ordinary = {"cycle_started", "cycle_finished", "phase_started", "phase_finished"}
    assert [[what for what in cycle if what[0] not in ordinary] for cycle in of_cycles] == [
        [("phase_skipped", "place")],
        [("phase_repeated", "place")],
        [("phase_out_of_order", "place")],
        [("paused", "place"), ("resumed", None)],
        [("operator_lost", None), ("operator_found", None)],
        [("off_task", "place"), ("back_on_task", "place")],
    ]
    for cycle in of_cycles:
        assert [cycle[0][0], cycle[1][0]] == ["cycle_started", "phase_started"]
        assert [cycle[-2][0], cycle[-1][0]] == ["phase_finished", "cycle_finished"]


def test_time_at_work_leaves_out_pauses_and_counts_a_repetition(truth):
    finished = [event for event in drafts(truth, 0.0) if event.event == "cycle_finished"]
    skipped, repeated, _, paused = (event.details["durations_s"][1] for event in finished[:4])
    assert skipped == 0.0 and paused == pytest.approx(1.8, rel=0.3) and repeated == pytest.approx(3.6, rel=0.3)
    assert finished[3].details["duration_s"] == pytest.approx(sum(finished[3].details["durations_s"]) + 4.0)


def test_a_state_names_a_phase_only_of_who_is_at_work(truth):
    states = [state(truth, tick, 0.0) for tick in range(len(truth))]
    assert {s.status for s in states} == {"idle", "on_task", "paused", "lost", "off_task"}
    assert all(
        (s.phase is not None) == (s.phase_index is not None) == (s.status in ("on_task", "paused")) for s in states
    )


def test_a_subscriber_hears_a_whole_performance_with_its_deviations():
    address, requests = free_address(), free_address()
    publisher = python(
        *("clients.publish", "--address", address, "--requests", requests),
        *("--cycles", 4, "--deviations", 4, "--speed", 20),
    )
    told = []
    with Subscriber(address, requests, since=1) as station:
        while publisher.poll() is None and sum(event.event == "cycle_finished" for event in told) < 4:
            told += [message for message in station.update() if isinstance(message, Event)]
    assert publisher.wait(60) == 0, publisher.stderr.read()
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert len({event.event for event in told}) > 4 and {event.event for event in told} <= set(EVENTS)


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "1e-300"])
def test_an_impossible_speed_is_one_clear_line(speed):
    publisher = python("clients.publish", "--speed", speed)
    _, said = publisher.communicate(timeout=60)
    assert publisher.returncode == 2 and said.startswith("publish: the speed is out of range: expected 0.01 to 1000")


def test_the_example_subscriber_with_keys_prints_events_until_ctrl_c(tmp_path):
    for name in ("station", "me"):
        security.new_keys(tmp_path / name)
    security.authorize(tmp_path / "station", "me", str(tmp_path / "me" / "public.key"))
    with Publisher(Journal("bench", Store("sqlite://")), ANY, ANY, Access(tmp_path / "station")) as bus:
        subscriber = python(
            *("clients.subscribe", bus.address, bus.request_address),
            *("--keys", tmp_path / "me", "--server", tmp_path / "station" / "public.key"),
        )
        heard = threading.Event()

        def tell():  # again and again: nobody knows when the subscriber has connected
            while not heard.wait(0.05):
                bus.event(bus.journal.number(Event("bench", 0, "slow", 0.0, 0.0, 1, "pick")))

        threading.Thread(target=tell).start()
        line = subscriber.stdout.readline()
        heard.set()
        assert line.endswith("slow pick\n")
        subscriber.send_signal(signal.SIGINT)
        _, complaints = subscriber.communicate(timeout=60)
    assert subscriber.returncode == 0 and complaints == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "subscribe: cannot listen at nonsense: expected an address such as tcp://"),
        (["--keys", "nowhere", "--server", "x"], "subscribe: no usable keys in nowhere"),
    ],
)
def test_what_the_example_subscriber_cannot_use_is_one_clear_line(arguments, complaint):
    subscriber = python("clients.subscribe", *arguments)
    _, said = subscriber.communicate(timeout=60)
    assert subscriber.returncode == 2 and said.startswith(complaint) and said.count("\n") == 1
