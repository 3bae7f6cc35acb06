"""A day recorded and replayed: the same events again, at any speed, beside the station itself."""

import time

import pytest
import yaml

from benchmarks.light_station import make
from clients.cli import main
from engine import recording
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError
from engine.store import Store


@pytest.fixture
def station(tmp_path):
    try:
        bundle = open_bundle()
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")

    def prepare(folder="station", seed=1, **how):
        (tmp_path / folder).mkdir()
        return make(tmp_path / folder, bundle, seed=seed, **how)

    return prepare


def lockstep(*arguments):
    """Exit status of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.mark.parametrize("policy", ["every", "freshest"])
def test_a_replayed_recording_gives_the_same_events_and_touches_nothing_of_the_station(
    station, tmp_path, capsys, policy
):
    work = station(cycles=2, policy=policy)
    assert lockstep("record", work.yaml, "-o", tmp_path / "day.rec", "--headless") == 0
    recorded = recording.events(tmp_path / "day.rec")
    assert [event.event for event in recorded].count("cycle_finished") == 2
    config = load_station(work.yaml)
    with Store(config.store.url) as store:
        before = store.bounds(config.station)
    assert before == (1, len(recorded))
    capsys.readouterr()
    assert lockstep("replay", tmp_path / "day.rec", work.yaml, "--headless") == 0
    assert f"{len(recorded)} events, as recorded" in capsys.readouterr().out
    with Store(config.store.url) as store:
        assert store.bounds(config.station) == before


def test_a_recording_replays_at_a_chosen_speed(station, tmp_path):
    work = station(cycles=1, policy="every")
    assert lockstep("record", work.yaml, "-o", tmp_path / "day.rec", "--headless") == 0
    *_, last = recording.Replay(tmp_path / "day.rec")
    started = time.monotonic()
    assert lockstep("replay", tmp_path / "day.rec", work.yaml, "--headless", "--speed", 10) == 0
    assert time.monotonic() - started >= last.time_s / 10  # never faster than asked for
    assert lockstep("replay", tmp_path / "day.rec", work.yaml, "--headless", "--speed", 0) == 2


def test_a_replay_that_differs_says_where_and_ends_with_status_1(station, tmp_path, capsys):
    work, other = station(cycles=1, policy="every"), station("other", seed=2, cycles=1, policy="every")
    assert lockstep("record", work.yaml, "-o", tmp_path / "day.rec", "--headless") == 0
    assert lockstep("replay", tmp_path / "day.rec", other.yaml, "--headless") == 1
    assert "first difference, recorded:" in capsys.readouterr().out


def test_in_privacy_mode_no_video_is_recorded(station, tmp_path, capsys):
    work = station(cycles=1, policy="every")
    work.yaml.write_text(yaml.safe_dump({**yaml.safe_load(work.yaml.read_text()), "privacy": True}))
    assert lockstep("record", work.yaml, "-o", tmp_path / "day.rec", "--video", tmp_path / "day.avi") == 2
    assert "privacy mode keeps no pictures" in capsys.readouterr().err
    assert not (tmp_path / "day.avi").exists() and not (tmp_path / "day.rec").exists()
