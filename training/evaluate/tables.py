"""The results of an offline evaluation as one JSON record, and the record as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from training.evaluate.lineup import Lineup
from training.evaluate.offline import Figures

_PERCENT = ("acc", "logreg", "ap", "transfer")
PAPER_COLUMNS = (
    *("acc@1.0", "acc@0.5", "acc@0.1", "logreg@1.0", "logreg@0.1", "progress", "tau", "ap@5", "ap@10", "ap@15"),
)
CLOCK_FREE_COLUMNS = (
    *("acc@1.0", "acc@0.1", "transfer@1", "transfer@5", "boundary_s@1", "boundary_s@5"),
    *("progress", "progress_gain", "tau", "ap@5"),
)


def summarise(results: Mapping[str, Mapping[str, Mapping[str, Figures]]], lineup: Lineup) -> dict[str, Any]:
    """{section: {row: {figure: mean over actions, "spread": {figure: …}, "actions": {action: {figure: …}}}}}.

    Accuracy, AP and label transfer in percent, progress and τ as fractions, boundaries in seconds. Spread: standard
    deviation over seeds of the mean over actions. Figures that cannot be computed are None.
    """
    record: dict[str, Any] = {}
    for section, rows in lineup.rows.items():
        record[section] = {row: _row(results[section].get(name, {})) for row, name in rows.items()}
    clock = record["clock_free"].get("t/T", {})
    for row in record["clock_free"].values():
        for figures, of_clock in [(row, clock)] + [
            (figures, clock["actions"][action]) for action, figures in row["actions"].items()
        ]:
            if figures.get("progress") is not None and of_clock.get("progress") is not None:
                figures["progress_gain"] = figures["progress"] - of_clock["progress"]
    return record


def _row(actions: Mapping[str, Figures]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for figures in actions.values() for name in figures))
    means: dict[str, Any] = {}
    spread: dict[str, float | None] = {}
    for name in names:
        values = [np.array(figures[name]) * _unit(name) for figures in actions.values() if name in figures]
        values = [v for v in values if np.isfinite(v).all()]
        seeds = max((len(v) for v in values), default=0)
        if values:
            by_seed = np.mean([np.broadcast_to(v, seeds) if len(v) in (1, seeds) else v[:1] for v in values], axis=0)
            means[name] = float(by_seed.mean())
            spread[name] = float(by_seed.std(ddof=1)) if seeds > 1 else None
        else:
            means[name] = spread[name] = None
    means["spread"] = spread
    means["actions"] = {
        action: {name: _finite(float(np.mean(values)) * _unit(name)) for name, values in figures.items()}
        for action, figures in actions.items()
    }
    return means


def _unit(name: str) -> float:
    return 100.0 if name.split("@")[0] in _PERCENT else 1.0


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def machine() -> str:
    """The hardware in words."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores"


def markdown(record: Mapping[str, Any]) -> str:
    """The whole record as one Markdown document. Both protocols in one table; then each action; then robustness."""
    lines = [
        f"Data: {record['data']['clips']} clips, {record['data']['actions']} actions"
        f" ({record['data']['labelled_actions']} labelled). Seeds {record['seeds']}. {record['machine']}.",
        "",
        f"Command: `{record['command']}`",
        "",
        *(f"- {row}: {what}" for row, what in record["models"].items()),
        "",
        "Means over actions, ± standard deviation over seeds. acc: SVM, logreg: logistic regression, @ share of labelled",
        "training clips; transfer: phase accuracy by nearest neighbour from one or five training clips; boundary: median error of where a phase begins;",
        "gain: progress R² above that of t/T. "
        "Paper: trimmed clips, where time alone is nearly enough. Clock-free: streams of unknown start, pace and length.",
        "",
    ]
    columns = [f"paper {name}" for name in PAPER_COLUMNS] + [f"stream {name}" for name in CLOCK_FREE_COLUMNS]
    rows = list(dict.fromkeys([*record["paper"], *record["clock_free"]]))
    lines += table(
        ["", *columns],
        [
            [
                row,
                *(_cell(record["paper"].get(row, {}), name) for name in PAPER_COLUMNS),
                *(_cell(record["clock_free"].get(row, {}), name) for name in CLOCK_FREE_COLUMNS),
            ]
            for row in rows
        ],
    )
    for section, title, columns_of in (
        ("paper", "Paper protocol", ("acc@1.0", "acc@0.1", "progress", "tau", "ap@5")),
        ("clock_free", "Clock-free protocol", ("acc@1.0", "transfer@1", "transfer@5", "progress", "tau", "ap@5")),
    ):
        lines += ["", f"### {title}, by action", ""]
        lines += table(
            ["action", "features", *columns_of],
            [
                [action, row, *(_cell(figures["actions"][action], name) for name in columns_of)]
                for action in dict.fromkeys(a for figures in record[section].values() for a in figures["actions"])
                for row, figures in record[section].items()
                if action in figures["actions"]
            ],
        )
    damaged = {row: of["mean"] for row, of in record["robustness"].items() if of}
    if damaged:
        lines += ["", "### Robustness (paper protocol, SVM with all labels, accuracy in %, mean over actions)", ""]
        names = next(iter(damaged.values()))
        lines += [
            "missing@p: the end of one limb is never seen, with probability p per clip. a>b: trained on a, tested on b.",
            "",
        ]
        lines += table(
            ["features", *names],
            [[row, *(f"{value:.1f}" for value in of.values())] for row, of in damaged.items()],
        )
    if record.get("left_out") or record.get("problems"):
        lines += ["", "### Left out", ""]
        lines += [f"- {name}: {why}" for name, why in {**record["left_out"], **record["problems"]}.items()]
    return "\n".join(lines) + "\n"


def _cell(figures: Mapping[str, Any], name: str) -> str:
    value = figures.get(name)
    if value is None:
        return "–"
    digits = 1 if _unit(name) > 1 else (2 if name.startswith("boundary") else 3)
    spread = (figures.get("spread") or {}).get(name)
    return f"{value:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread is not None else "")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]
