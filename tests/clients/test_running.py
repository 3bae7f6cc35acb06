"""What `lockstep run` says at its end, when not all went well."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.light_station import make
from clients.cli import main
from engine.bundle import open_bundle
from engine.config import load_station
from engine.errors import BundleError
from engine.store import Store


@pytest.fixture
def station(tmp_path):
    try:
        return make(tmp_path, open_bundle(), cycles=1, seed=1, policy="every")
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")


def test_events_that_could_not_be_stored_are_told_of_at_once_and_end_the_run_with_status_2(station, tmp_path, capsys):
    Store(load_station(station.yaml).store.url).close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as store:
        store.execute(
            "DROP TABLE phase_durations"
        )  # the first finished phase, and all that follows it, cannot be stored
    with pytest.raises(SystemExit) as end:
        main(["run", str(station.yaml), "--headless", "--json", str(tmp_path / "run.json")])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.count("events wait: cannot write to the store") == 1
    events = json.loads((tmp_path / "run.json").read_text())["events"]  # what the run found is not lost with them
    finished = next(number for number, event in enumerate(events) if event["event"] == "phase_finished")
    assert f"the last {len(events) - finished} events" in said and "are lost" in said


def test_a_disk_that_becomes_full_under_the_report_is_one_clear_line(station, tmp_path, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "timeline.png").symlink_to("/dev/full")
    with pytest.raises(SystemExit) as end:
        main(["run", str(station.yaml), "--headless", "--report", str(tmp_path / "report")])
    assert end.value.code == 2
    assert "lockstep: cannot write: No space left on device." in capsys.readouterr().err
