"""The results page says what was reached, what was missed by how much, and what was never measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.commands.evaluate import page as write_page
from engine.errors import ConfigError, DataError
from training.evaluate.online.page import page as online_page
from training.evaluate.page import ONLINE, TARGETS, UNSEEN, page

DOCS = Path(__file__).parents[3] / "docs"


def test_each_target_is_reached_missed_by_so_much_or_not_measured() -> None:
    record = {"paper": {"lockstep": {"acc@1.0": 97.0, "acc@0.1": 91.5, "ap@5": None}}}
    rows = {row[0].split(": ")[1]: row[2:] for row in (target.row(record) for target in TARGETS[:5])}
    assert rows["accuracy, all labels (%)"] == ["97.0", "reached"]
    assert rows["accuracy, 10 % of the labels (%)"] == ["91.5", "missed by 1.5"]
    assert rows["AP@5 (%)"] == ["not measured", "–"] == rows["progress R²"]


def test_targets_are_judged_by_the_action_that_is_worst() -> None:
    online = {
        "lockstep": {"lift": 0.9, "lower": 0.6},
        "t/T": {"lift": 0.5, "lower": 0.5},
        "keypoints": {"lift": 0.6, "lower": 0.7},
    }
    accuracy = {"a, trained on": 90.0, "a, never seen": 91.0, "b, trained on": 90.0, "b, never seen": 83.5}
    record = {
        ONLINE: {"penn": {"one_reference": {"lockstep": 0.75, "per_action": online}}},
        UNSEEN: {"variants": {name: {"mean": {"paper acc@1.0": value}} for name, value in accuracy.items()}},
    }
    rows = {row[0]: row[2:] for row in (target.row(record) for target in TARGETS)}
    assert rows["online matcher, one reference: label transfer"] == ["0.750", "missed by 0.130"]
    above = rows["online matcher, one reference: above t/T and raw keypoints, least of the actions"]
    assert above == ["-0.100", "missed by 0.100"]
    assert [row for name, row in rows.items() if "six others" in name] == [["6.5", "missed by 1.5"]]
    assert [row for name, row in rows.items() if "twelve others" in name] == [["not measured", "–"]]


def test_without_any_record_a_page_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Words are no record.")
    (tmp_path / "results.md").write_text("as it was")
    for folder, found in ((tmp_path, "neither"), (tmp_path / "nope", "no such folder")):
        with pytest.raises(ConfigError, match=rf"nothing is recorded in .*: expected offline\.json .*, found {found}"):
            write_page(records=folder, output=tmp_path)
    assert (tmp_path / "results.md").read_text() == "as it was"


def test_a_page_of_ablations_alone_says_what_is_not_measured_and_a_broken_record_is_refused(tmp_path: Path) -> None:
    ablation = {"title": "Parts", "about": "…", "command": "c", "seeds": [0], "machine": "m", "variants": {}}
    (tmp_path / "parts_ablation.json").write_text(json.dumps(ablation))
    text = page(tmp_path)
    assert text.count("not measured") == len(TARGETS) and "Not recorded" in text and "## Parts" in text
    (tmp_path / "offline.json").write_text("{")
    with pytest.raises(DataError, match="cannot read"):
        page(tmp_path)


@pytest.mark.parametrize(("name", "written"), [("results.md", page), ("online_results.md", online_page)])
def test_the_pages_say_what_the_records_say(name: str, written: Callable[[Path], str]) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == written(DOCS / "results"), "run `lockstep evaluate page`"
