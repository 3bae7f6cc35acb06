"""Live figures beside what was promised: verdicts, tables, and the page made of records and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError
from training.evaluate.online import tables
from training.evaluate.online.page import TABLES, page
from training.evaluate.online.splits import split_of
from training.evaluate.online.targets import ROWS, Row
from training.evaluate.records import finite, read_record, write_record

RECORDS = Path(__file__).parents[4] / "docs" / "results"


def a_row(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def a_run(hours: float = 1.0, **figures: float | None) -> dict[str, Any]:
    return {"hours": hours, "deviations_true": 3, **figures}


def test_a_target_is_reached_by_all_runs_or_it_says_by_how_many() -> None:
    row = a_row("recovery_p95_s")
    assert row.verdict([a_run(recovery_p95_s=1.5), a_run(recovery_p95_s=0.9)]) == "✓"
    assert row.verdict([a_run(recovery_p95_s=1.6), a_run(recovery_p95_s=0.9)]) == "✗ (1 of 2)"


def test_what_never_came_is_missed_and_what_could_not_come_is_not_judged() -> None:
    row = a_row("recovery_p95_s")
    assert row.verdict([a_run(recovery_p95_s=None)]) == "✗"
    assert row.verdict([a_run(recovery_p95_s=None) | {"deviations_true": 0}]) == ""


def test_a_rate_per_hour_is_judged_over_all_hours_and_not_below_two() -> None:
    row = a_row("false_deviations_per_hour")
    one, none = a_run(1.5, false_deviations_per_hour=1 / 1.5), a_run(1.5, false_deviations_per_hour=0.0)
    assert [row.value(run) for run in (one, none)] == [1, 0]
    assert row.verdict([one]) == "too short"
    assert row.verdict([one, none]) == "0.33 per hour ✓"
    assert row.verdict([one, one]) == "0.67 per hour ✗"


def test_cycle_progress_is_held_against_a_frame_counter() -> None:
    row = next(row for row in ROWS if row.share_of)
    run = a_run(cycle_progress_mae=0.015, cycle_progress_mae_frame_counter=0.02)
    assert row.value(run) == pytest.approx(0.75) and row.verdict([run]) == "✗"


def test_the_target_that_is_ours_is_marked() -> None:
    assert [row.name for row in ROWS if row.ours] == ["phase_accuracy"]
    assert a_row("phase_accuracy").target == "≥ 0.9¹" and a_row("skip_f1").target == "≥ 0.9"


def test_streams_are_held_against_every_control_of_the_same_run_and_name_who_followed_fewer() -> None:
    accuracy = {"lockstep": 0.8, "keypoints": 0.5, "t/T": 0.4, "dtw_keypoints": 0.6, "dtw": 0.81, "oltw_arzt": 0.6}
    condition = accuracy | {
        "per_action": {name: {"pushups": value} for name, value in accuracy.items()},
        "lockstep_details": {"accuracy": 0.8, "edit": 0.7},
    }
    record = {
        "penn": {"one_reference": condition, "five_references": condition},
        "options": {"streams": 16, "draws": 5},
    }
    text = "\n".join(tables.streams(record))
    assert "| above keypoints, one reference | > 0.500 | 0.800 | ✓ (1 of 1 actions) |" in text
    assert "| above dtw, five references | > 0.810 | 0.800 | ✗ (0 of 1 actions) |" in text
    assert "| oltw_arzt² |" in text and "² Followed at most 2 streams" in text
    assert "| lockstep − dtw | −0.010 | −0.010 |" in text


def test_a_record_is_json_that_anybody_can_read(tmp_path: Path) -> None:
    record = {"never": float("inf"), "nothing": [float("nan"), 1.5], "deep": {3000: {"fine": 2}}}
    write_record(tmp_path / "r.json", record)
    assert json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail) == finite(record)
    assert read_record(tmp_path / "r.json") == {"never": None, "nothing": [None, 1.5], "deep": {"3000": {"fine": 2}}}


@pytest.mark.parametrize(
    ("seed", "tuning", "stations"),
    [(0, False, "test"), (0, True, "tuning"), (946, False, "tuning"), (947, False, "held out")],
)
def test_a_seed_says_whether_somebody_has_looked_into_it(seed: int, tuning: bool, stations: str) -> None:
    assert split_of(seed, tuning) == {"streams": "tuning" if tuning else "test", "stations": stations}


def test_a_table_goes_where_the_words_ask_for_it_and_says_how_to_record_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "online_notes.md").write_text("before\n\n<!-- streams -->\n\nafter\n")
    assert page(tmp_path).startswith("before\n\nNot recorded: run `lockstep evaluate online")
    assert page(tmp_path).endswith("\n\nafter\n")


def test_a_page_without_words_or_with_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prose"):
        page(tmp_path)
    (tmp_path / "online_notes.md").write_text("<!-- stream -->")
    with pytest.raises(DataError, match="not"):
        page(tmp_path)


def test_the_words_of_the_page_ask_for_every_table() -> None:
    words = (RECORDS / "online_notes.md").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in words for name in TABLES)
