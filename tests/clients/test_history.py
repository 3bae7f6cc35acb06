"""History: what a detector told, as the right rows, on the screen and in files."""

import csv
import json
from datetime import datetime

import pytest
from rich.console import Console
from shift import Shift

from clients.cli import main
from clients.history import Filter, export, rows, table
from engine.errors import ConfigError, StoreError
from engine.journal import Journal
from engine.messages import Event, State
from engine.store import Store


@pytest.fixture(scope="module")
def told():
    """A cycle as it should be and one without its second phase, each phase two seconds; in order of time."""
    return sorted(Shift().do(*"abc", *"ac").stay(0.0, 2.0, "idle").told, key=lambda event: event.wall_s)


@pytest.fixture
def store(told):
    store = Store("sqlite://")
    Journal("bench", store).commit(told)
    Journal("other", store).number(Event("other", 0, "slow", 0.0, 1e9, 1, "=cmd()", 0.9))
    store.note_health(State("bench", 1, 0.05, 1000.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9, fps=30.0))
    return store


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_filters_choose_rows_and_the_newest_come_last(store, told):
    seqs = [*range(1, len(told) + 1)]
    assert [row["seq"] for row in rows(store, "events", Filter("bench"))] == seqs
    assert [row["seq"] for row in rows(store, "events", Filter("bench", last=2))] == seqs[-2:]
    assert [row["phase"] for row in rows(store, "events", Filter(kind="phase_skipped"))] == ["b"]
    between = rows(store, "events", Filter("bench", since_s=1e9 + 1.0, until_s=1e9 + 3.0))
    assert [(row["kind"], row["phase"]) for row in between] == [("phase_finished", "a"), ("phase_started", "b")]
    assert rows(store, "health", Filter())[0]["fps"] == 30.0


def test_cycles_and_phases_have_their_durations(store):
    cycles = rows(store, "cycles", Filter())
    assert [row["duration_s"] for row in cycles] == pytest.approx([6.0, 4.0], abs=0.2)
    phases = rows(store, "phases", Filter())
    assert [row["phase"] for row in phases] == [*"abcac"]
    assert [row["duration_s"] for row in phases] == pytest.approx([2.0] * 5, abs=0.15)
    assert len(rows(store, "phases", Filter(phase="a"))) == 2


def test_what_does_not_exist_is_one_clear_line(store, tmp_path):
    with pytest.raises(ConfigError, match="no such history"):
        rows(store, "secrets", Filter())
    with pytest.raises(ConfigError, match="cycles have no phase"):
        rows(store, "cycles", Filter(phase="pick"))
    with pytest.raises(ConfigError, match=r"no such kind of event: expected cycle_started, .*, found bogus"):
        rows(store, "events", Filter(kind="bogus"))
    with pytest.raises(ConfigError, match="kind of file"):
        export("events", [], tmp_path / "x.xlsx")
    with pytest.raises(StoreError, match="nothing was stored"):
        Store(f"sqlite:///{tmp_path}/none.db", create=False)
    assert not (tmp_path / "none.db").exists()


def test_csv_has_local_times_and_details(store, told, tmp_path):
    export("events", rows(store, "events", Filter("bench")), tmp_path / "e.csv")
    found = read_csv(tmp_path / "e.csv")
    assert [row["kind"] for row in found] == [event.event for event in told]
    assert [json.loads(row["details"]) for row in found] == [event.details for event in told]
    times_s = [datetime.strptime(row["time"], "%Y-%m-%d %H:%M:%S.%f").timestamp() for row in found]
    assert times_s == pytest.approx([event.wall_s for event in told], abs=0.001)
    export("cycles", rows(store, "cycles", Filter()), tmp_path / "c.csv")
    assert datetime.fromisoformat(read_csv(tmp_path / "c.csv")[0]["ended"]).year == 2001


@pytest.mark.parametrize("what", ["events", "cycles", "phases", "health"])
def test_a_file_of_nothing_has_the_columns_of_one_of_something(what, store, tmp_path):
    some, none = tmp_path / "some.csv", tmp_path / "none.csv"
    export(what, rows(store, what, Filter()), some)
    export(what, [], none)
    assert none.read_text().splitlines() == some.read_text().splitlines()[:1] != []


def test_parquet_holds_the_same_rows(store, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    found = rows(store, "events", Filter("bench"))
    export("events", found, tmp_path / "e.parquet")
    kept = parquet.read_table(tmp_path / "e.parquet").to_pylist()
    assert [{**row, "details": json.loads(row["details"])} for row in kept] == found


def test_a_spreadsheet_does_not_run_what_a_phase_is_called(store, tmp_path):
    export("events", rows(store, "events", Filter("other")), tmp_path / "e.csv")
    assert "'=cmd()" in (tmp_path / "e.csv").read_text()


def test_the_table_shows_times_and_numbers_for_people(store):
    console = Console(width=200, record=True)
    console.print(table("events", rows(store, "events", Filter("bench"))))
    console.print(table("cycles", []))
    text = console.export_text()
    assert "phase_skipped" in text and "2001-09-" in text and "nothing found" in text


def test_the_command_writes_phase_durations_of_a_store_on_disk(told, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/s.db"
    with Store(url) as store:
        Journal("bench", store).commit(told)
    with pytest.raises(SystemExit) as end:
        main(["history", "--store", url, "--what", "phases", "-o", str(tmp_path / "p.csv")])
    assert end.value.code == 0 and "5 rows" in capsys.readouterr().out
    assert [float(row["duration_s"]) for row in read_csv(tmp_path / "p.csv")] == pytest.approx([2.0] * 5, abs=0.15)
    with pytest.raises(SystemExit) as end:
        main(["history", "--store", url, "--what", "events", "--kind", "bogus"])
    assert end.value.code == 2 and "no such kind of event" in capsys.readouterr().err


def test_kinds_and_times_are_whole_in_a_terminal_of_eighty_columns(store):
    console = Console(width=80, record=True)
    console.print(table("events", rows(store, "events", Filter("bench"))))
    text = console.export_text()
    assert "…" not in text and text.startswith("bench: ")
    for expected in ("cycle_finished", "phase_finished", "phase_skipped", "confidence"):
        assert expected in text
