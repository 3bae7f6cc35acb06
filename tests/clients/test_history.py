"""History: the right rows, on the screen and in files."""

import csv

import pytest
from rich.console import Console

from clients.history import Filter, export, rows, table
from engine.errors import ConfigError, StoreError
from engine.journal import Journal
from engine.messages import Event, State
from engine.store import Store


@pytest.fixture
def store():
    store = Store("sqlite://")
    journal = Journal("bench", store)
    for i, (kind, phase) in enumerate(
        [("phase_finished", "pick"), ("phase_skipped", "place"), ("cycle_finished", None)]
    ):
        journal.number(Event("bench", 0, kind, float(i), 1000.0 + i, 1, phase, 0.9, details={"duration_s": 1.5 + i}))
    Journal("other", store).number(Event("other", 0, "slow", 0.0, 1000.0, 1, "=cmd()", 0.9))
    store.note_health(State("bench", 1, 0.05, 1000.0, "on_task", 1, 0, "pick", 0, 0.5, 0.25, 0.5, 1.0, 0.9, fps=30.0))
    return store


def test_filters_choose_rows_and_the_newest_come_last(store):
    assert [row["seq"] for row in rows(store, "events", Filter("bench"))] == [1, 2, 3]
    assert [row["seq"] for row in rows(store, "events", Filter("bench", last=2))] == [2, 3]
    assert [row["phase"] for row in rows(store, "events", Filter(kind="phase_skipped"))] == ["place"]
    assert [row["seq"] for row in rows(store, "events", Filter("bench", since_s=1000.5, until_s=1001.5))] == [2]
    assert rows(store, "cycles", Filter())[0]["duration_s"] == 3.5
    assert rows(store, "phases", Filter(phase="pick"))[0]["duration_s"] == 1.5
    assert rows(store, "health", Filter())[0]["fps"] == 30.0


def test_what_does_not_exist_is_one_clear_line(store, tmp_path):
    with pytest.raises(ConfigError, match="no such history"):
        rows(store, "secrets", Filter())
    with pytest.raises(ConfigError, match="cycles have no phase"):
        rows(store, "cycles", Filter(phase="pick"))
    with pytest.raises(ConfigError, match="kind of file"):
        export([], tmp_path / "x.xlsx")
    with pytest.raises(StoreError, match="nothing was stored"):
        Store(f"sqlite:///{tmp_path}/none.db", create=False)
    assert not (tmp_path / "none.db").exists()


def test_csv_and_parquet_hold_the_same_rows(store, tmp_path):
    found = rows(store, "events", Filter("bench"))
    export(found, tmp_path / "e.csv")
    with (tmp_path / "e.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == [row["kind"] for row in found]
    parquet = pytest.importorskip("pyarrow.parquet")
    export(found, tmp_path / "e.parquet")
    assert parquet.read_table(tmp_path / "e.parquet").to_pylist() == found


def test_a_spreadsheet_does_not_run_what_a_phase_is_called(store, tmp_path):
    export(rows(store, "events", Filter("other")), tmp_path / "e.csv")
    assert "'=cmd()" in (tmp_path / "e.csv").read_text()


def test_the_table_shows_times_and_numbers_for_people(store):
    console = Console(width=160, record=True)
    console.print(table("events", rows(store, "events", Filter())))
    console.print(table("cycles", []))
    text = console.export_text()
    assert "phase_skipped" in text and "1970-01-01" in text and "nothing found" in text
