"""The figures of followers as Markdown tables, with what was promised beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluate.online.penn import CONDITIONS, MATCHMAKER_STREAMS
from training.evaluate.online.targets import OURS, ROWS, Figures, Row, mark
from training.evaluate.records import Record
from training.evaluate.tables import table

ASKED_OF_STREAMS = {"one_reference": 0.88, "five_references": 0.93}
TO_BE_ABOVE = ("t/T", "keypoints", "dtw_keypoints", "dtw")
"""Lockstep's phase accuracy on streams is to be above theirs in the same run. Records made before one of them was added lack it."""
FEWER = "²"
"""Marks rows that followed fewer streams than the others."""
COUNTS = ("hours", "stations", "cycles_true", "deviations_true")
WITHIN_S = ("1", "1.5", "2", "3", "5", "10")


SECTIONS = {
    "station": "Rendered stations through the pose estimator",
    "station_joints": "Rendered stations, true joints with jitter",
}


def markdown(record: Record) -> str:
    """One run of `lockstep evaluate online`."""
    lines = [*origin([record]), ""]
    if "penn" in record:
        lines += ["### Streams of Penn Action", "", *streams(record), ""]
    for section, title in SECTIONS.items():
        if section in record:
            of = {"lockstep": record[section]}
            lines += [f"### {title}", "", *stations(of, {"raw keypoints": record[section]["keypoints"]}), ""]
            lines += ["Phase accuracy, and median position error:", "", *peers(of), ""]
    return "\n".join(lines).rstrip() + "\n"


def delays(record: Record) -> dict[str, Mapping[str, float]]:
    """Of each kind of station and of its control: the share of deviations told, by seconds."""
    out = {}
    for section, title in SECTIONS.items():
        if section in record:
            out[f"{title}, {record[section]['deviations_true']} deviations"] = record[section][
                "deviations_reported_within_s"
            ]
            out[f"{title}: raw keypoints"] = record[section]["keypoints"]["deviations_reported_within_s"]
    return out


def origin(records: list[Record]) -> list[str]:
    """The commands, and what they ran on."""
    kinds = {(r["bundle"]["name"], r["bundle"]["sha256"][:12], r["machine"], r["date"]) for r in records}
    return [
        *(f"    {record['command']}" for record in records),
        "",
        *(f"Bundle `{name}` ({sha256}). {machine}, {day}." for name, sha256, machine, day in sorted(kinds)),
    ]


def stations(runs: Mapping[str, Figures], controls: Mapping[str, Figures] | None = None) -> list[str]:
    """A column per run with the verdict of all of them, then columns that are not judged: what was asked, then what was not."""
    controls = controls or {}
    judged, others = list(runs.values()), list(controls.values())
    head = ["figure", "target", *runs, "reached", *controls]

    def line(row: Row) -> list[str]:
        shown = [[_shown(row.value(figures)) for figures in columns] for columns in (judged, others)]
        return [row.words, row.target, *shown[0], row.verdict(judged), *shown[1]]

    def told_within(limit_s: str) -> list[str]:
        shares = [_shown(figures["deviations_reported_within_s"].get(limit_s)) for figures in (*judged, *others)]
        return [f"deviations told within {limit_s} s", *shares]

    asked = [line(row) for row in ROWS if row.sign or row.name in COUNTS]
    besides = [line(row) for row in ROWS if not row.sign and row.name not in COUNTS]
    without = [[words, *cells[: len(runs)], *cells[len(runs) + 1 :]] for words, _, *cells in besides]
    return [
        *(*table(head, asked), "", f"{OURS} Our own target, not one of the design notes.", "", "Without a target:", ""),
        *table(["figure", *runs, *controls], without + [told_within(limit_s) for limit_s in WITHIN_S]),
    ]


def peers(runs: Mapping[str, Figures]) -> list[str]:
    """Phase accuracy and median position error of each follower on the same stations, a column per run."""
    first = next(iter(runs.values()))
    cells = {
        "lockstep": [_follower(run) for run in runs.values()],
        "the same matcher on raw keypoints": [_follower(run["keypoints"]) for run in runs.values()],
        **{name: [_follower(run["peers"][name]) for run in runs.values()] for name in first["peers"]},
    }
    below = {
        name: sum(
            run["phase_accuracy"] > other["phase_accuracy"] for run in runs.values() for other in [_of(run, name)]
        )
        for name in cells
        if name != "lockstep"
    }
    rows = [
        [name, *shown, f"{mark(below[name] == len(runs))} {below[name]} of {len(runs)}" if name in below else ""]
        for name, shown in cells.items()
    ]
    return table(["follower", *runs, "lockstep above it"], rows)


def _of(run: Figures, name: str) -> Figures:
    return run["peers"].get(name, run["keypoints"])


def _follower(figures: Figures) -> str:
    return f"{figures['phase_accuracy']:.3f}, {figures['position_error_median_s']:.2f} s"


def streams(record: Record) -> list[str]:
    """Phase accuracy by action, with one and with five references; then what was asked, and what the embedding adds."""
    penn = record["penn"]
    lines: list[str] = []
    for condition in CONDITIONS:
        methods = penn[condition]["per_action"]
        actions = list(methods["lockstep"])
        rows = [
            [name + (FEWER if name.startswith("oltw") else ""), f"**{penn[condition][name]:.3f}**"]
            + [f"{per_action[action]:.3f}" for action in actions]
            for name, per_action in methods.items()
        ]
        rows += [
            [f"lockstep − {other}", _gain(penn[condition]["lockstep"] - penn[condition][other])]
            + [_gain(methods["lockstep"][action] - methods[other][action]) for action in actions]
            for other in TO_BE_ABOVE
            if other in methods
        ]
        lines += [*table([condition.replace("_", " "), "mean", *actions], rows), ""]
    options = record["options"]
    if any(name.startswith("oltw") for name in penn["one_reference"]):
        lines += [
            f"{FEWER} Followed at most {MATCHMAKER_STREAMS} streams per action and one draw of references; the other rows at"
            f" most {options['streams']} streams and {options['draws']} draws. Compare only roughly.",
            "",
        ]
    if penn.get("skipped"):
        lines += [f"Left out: {penn['skipped']}.", ""]
    return [*lines, *_asked_of_streams(penn), "", *_details(penn)]


def _asked_of_streams(penn: Mapping[str, Any]) -> list[str]:
    rows = []
    for condition, bound in ASKED_OF_STREAMS.items():
        own = penn[condition]["lockstep"]
        name = condition.replace("_", " ")
        rows.append([f"phase accuracy, {name}", f"≥ {bound:g}", f"{own:.3f}", mark(own >= bound)])
        actions = penn[condition]["per_action"]
        for other in (method for method in TO_BE_ABOVE if method in actions):
            theirs = penn[condition][other]
            above = [
                own > theirs for own, theirs in zip(actions["lockstep"].values(), actions[other].values(), strict=True)
            ]
            verdict = f"{mark(own > theirs)} ({sum(above)} of {len(above)} actions)"
            rows.append([f"above {other}, {name}", f"> {theirs:.3f}", f"{own:.3f}", verdict])
    return table(["asked", "target", "lockstep", "reached"], rows)


def _details(penn: Mapping[str, Any]) -> list[str]:
    names = [name for name in penn["one_reference"]["lockstep_details"] if name != "accuracy"]
    details = [penn[condition]["lockstep_details"] for condition in CONDITIONS]
    rows = [[name.replace("_", " "), *(_shown(detail.get(name)) for detail in details)] for name in names]
    return table(["lockstep besides", *(condition.replace("_", " ") for condition in CONDITIONS)], rows)


def _gain(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _shown(value: float | int | None) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
