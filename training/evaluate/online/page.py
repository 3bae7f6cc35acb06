"""`docs/online_results.md`: prose with a place for each table, and the tables from recorded runs.

docs/results/online_notes.md      the page in words; a line `<!-- streams -->` is where that table goes
docs/results/online/*.json        `lockstep evaluate online --json`, `python -m benchmarks.matcher --json`, any number of them
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from engine.errors import DataError
from training.evaluate.online import tables
from training.evaluate.online.targets import mark
from training.evaluate.records import Record, read_record
from training.evaluate.tables import table

STEP_TICKS, STEP_P99_MS = "3000", 1.0
"""A step of the matcher is to take at most so long with a reference of that many ticks."""
_NOT_RECORDED = "Not recorded: run `{command}` and put what it writes into `docs/results/online/`."


def page(folder: Path) -> str:
    """The page from `online_notes.md` and `online/*.json` in `folder`. Raises DataError for what cannot be read or placed."""
    notes = folder / "online_notes.md"
    if not notes.is_file():
        raise DataError(
            f"no prose at {notes}",
            expected="Markdown with a line <!-- name --> for each of " + ", ".join(TABLES),
            found="no such file",
            next_step="Write it, or name another folder with --records.",
        )
    records = [read_record(path) for path in sorted((folder / "online").glob("*.json"))]

    def placed(match: re.Match[str]) -> str:
        if match[1] not in TABLES:
            raise DataError(
                f"{notes} asks for a table that there is not",
                expected=" or ".join(f"<!-- {name} -->" for name in TABLES),
                found=match[0],
                next_step="Correct the name, or take the line out.",
            )
        return "\n".join(TABLES[match[1]](records)).strip("\n")

    return re.sub(r"<!-- (.*?) -->", placed, notes.read_text(encoding="utf-8")).rstrip() + "\n"


def _held_out(records: list[Record]) -> list[str]:
    return _stations([r for r in records if "station_joints" in r and _is_held_out(r)], "station_joints", "947")


def _seen(records: list[Record]) -> list[str]:
    return _stations([r for r in records if "station" in r], "station", "0")


def _joints(records: list[Record]) -> list[str]:
    return _stations([r for r in records if "station_joints" in r and not _is_held_out(r)], "station_joints", "0")


def _is_held_out(record: Record) -> bool:
    return bool(record["split"]["stations"] == "held out")


def _stations(records: list[Record], section: str, seed: str) -> list[str]:
    if not records:
        return [_NOT_RECORDED.format(command=f"lockstep evaluate online --seed {seed} --json FILE")]
    records = sorted(records, key=lambda record: int(record["seed"]))
    runs = {f"seed {r['seed']}, {r['split']['stations']}": r[section] for r in records}
    return [
        *(*tables.origin(records), "", *tables.stations(runs), ""),
        *("Phase accuracy and median position error of other followers on the same stations:", "", *tables.peers(runs)),
    ]


def _streams(records: list[Record]) -> list[str]:
    """Of all seeds; runs with a single stream per action were made for their stations."""
    lines: list[str] = []
    for record in records:
        if "penn" in record and record["options"]["streams"] > 1:
            lines += [*tables.origin([record]), "", *tables.streams(record), ""]
    return lines or [_NOT_RECORDED.format(command="lockstep evaluate online --json FILE")]


def _steps(records: list[Record]) -> list[str]:
    """Of `python -m benchmarks.matcher`."""
    lines: list[str] = []
    for record in records:
        if "step" not in record:
            continue
        sizes = list(record["step"])
        names = list(dict.fromkeys(name for rows in record["step"].values() for name in rows))
        rows = [[name, *(_percentiles(name, record["step"][n].get(name)) for n in sizes)] for name in names]
        arrays = ", ".join(f"{record['memory_mib'][n]['arrays']:.2f} MiB at N = {n}" for n in sizes)
        p99 = record["step"][STEP_TICKS]["lockstep"]["p99_ms"]
        lines += [f"    {record['command']}", "", f"{record['machine']}, {record['date']}, seed {record['seed']}.", ""]
        lines += [*table(["p50 / p99 of a step in ms", *(f"N = {n}" for n in sizes)], rows), ""]
        lines += [
            f"Asked: p99 ≤ {STEP_P99_MS:g} ms at N = {STEP_TICKS}: {p99:.2f} ms {mark(p99 <= STEP_P99_MS)}."
            f" Memory of one station: {arrays}.",
            "",
        ]
        if long := record.get("long"):
            lines += [
                f"After {long['ticks']} ticks memory had grown by {long['growth_mib']:.2f} MiB, and the belief was never"
                f" further from a sum of 1 than {long['worst_sum_error']:.1e}.",
                "",
            ]
    return lines or [_NOT_RECORDED.format(command="python -m benchmarks.matcher --json FILE")]


def _percentiles(name: str, figures: dict[str, float] | None) -> str:
    """pymatchmaker's steps are timed on the clock, where p99 measures what else the machine does."""
    if figures is None:
        return "–"
    p99 = "–" if name.startswith("oltw") else f"{figures['p99_ms']:.3f}"
    return f"{figures['p50_ms']:.3f} / {p99}"


TABLES: dict[str, Callable[[list[Record]], list[str]]] = {
    "held out": _held_out,
    "streams": _streams,
    "estimator": _seen,
    "true joints": _joints,
    "steps": _steps,
}
