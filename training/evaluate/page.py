"""`docs/results.md`, written from recorded results: every figure beside the command, seeds and hardware that gave it.

docs/results/offline.json         `lockstep evaluate offline --json`
docs/results/*ablation*.json      `lockstep evaluate ablate --json`, any number of them
docs/results/online/test_0.json   `lockstep evaluate online --json`
docs/results/notes.md             what was tried and found, in words
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError
from training.evaluate.records import Record, read_record
from training.evaluate.tables import markdown, table


@dataclass(frozen=True)
class Target:
    """A figure that was promised, and where to find it: in the offline record, or in another one under its name there."""

    name: str
    figure: Callable[[Record], float | None]
    bound: float
    at_least: bool = True
    digits: int = 1

    def row(self, record: Record) -> list[str]:
        try:
            value = self.figure(record)
        except (KeyError, TypeError, ValueError):
            value = None
        sign = "≥" if self.at_least else "≤"
        target = f"{sign} {self.bound:g}"
        if value is None:
            return [self.name, target, "not measured", "–"]
        short = (self.bound - value) if self.at_least else (value - self.bound)
        verdict = "reached" if short <= 0 else f"missed by {short:.{self.digits}f}"
        return [self.name, target, f"{value:.{self.digits}f}", verdict]


def _paper(name: str) -> Callable[[Record], float | None]:
    return lambda record: record["paper"]["lockstep"][name]


def _least_gain_in_retrieval(record: Record) -> float | None:
    """AP@5 on streams above raw keypoints, the least of the actions where those are under 60 %."""
    model, raw = (record["clock_free"][row]["actions"] for row in ("lockstep", "keypoints"))
    gains = [model[action]["ap@5"] - raw[action]["ap@5"] for action in raw if raw[action]["ap@5"] < 60]
    return min(gains) if gains else None


def _causal_behind_full(name: str) -> Callable[[Record], float | None]:
    def figure(record: Record) -> float | None:
        return record["clock_free"]["lockstep_full"][name] - record["clock_free"]["lockstep"][name]

    return figure


def _lost_without_a_limb(record: Record) -> float | None:
    damaged = record["robustness"]["lockstep_causal"]["mean"]
    return damaged["missing@0"] - damaged["missing@1"]


def _online(references: str) -> Callable[[Record], float | None]:
    return lambda record: record[ONLINE]["penn"][references]["lockstep"]


def _online_above_controls(references: str) -> Callable[[Record], float | None]:
    def figure(record: Record) -> float | None:
        rows = record[ONLINE]["penn"][references]["per_action"]
        return min(value - max(rows["t/T"][a], rows["keypoints"][a]) for a, value in rows["lockstep"].items())

    return figure


def _most_behind(variant: str) -> Callable[[Record], float | None]:
    """Accuracy of networks that never saw an action behind those that did, the most of the actions."""

    def figure(record: Record) -> float | None:
        accuracy = {name: of["mean"]["paper acc@1.0"] for name, of in record[UNSEEN]["variants"].items()}
        actions = [name.removesuffix(TRAINED_ON) for name in accuracy if name.endswith(TRAINED_ON)]
        return max(accuracy[action + TRAINED_ON] - accuracy[action + variant] for action in actions)

    return figure


UNSEEN, ONLINE = "leave_one_out_ablation.json", "online/test_0.json"
"""Records beside the offline one that targets ask."""
TRAINED_ON = ", trained on"

TARGETS = (
    Target("paper protocol: accuracy, all labels (%)", _paper("acc@1.0"), 96.0),
    Target("paper protocol: accuracy, 10 % of the labels (%)", _paper("acc@0.1"), 93.0),
    Target("paper protocol: progress R²", _paper("progress"), 0.95, digits=3),
    Target("paper protocol: AP@5 (%)", _paper("ap@5"), 94.0),
    Target("paper protocol: Kendall's τ, all 13 actions", _paper("tau"), 0.98, digits=3),
    Target(
        "streams: AP@5 above raw keypoints, least of the actions where those are under 60 %",
        _least_gain_in_retrieval,
        10.0,
    ),
    Target("streams: causal behind full attention, accuracy (points)", _causal_behind_full("acc@1.0"), 2.0, False),
    Target("streams: causal behind full attention, AP@5 (points)", _causal_behind_full("ap@5"), 2.0, False),
    Target("online matcher, one reference: label transfer", _online("one_reference"), 0.88, digits=3),
    Target("online matcher, five references: label transfer", _online("five_references"), 0.93, digits=3),
    Target(
        "online matcher, one reference: above t/T and raw keypoints, least of the actions",
        _online_above_controls("one_reference"),
        0.0,
        digits=3,
    ),
    Target(
        "online matcher, five references: above t/T and raw keypoints, least of the actions",
        _online_above_controls("five_references"),
        0.0,
        digits=3,
    ),
    Target("accuracy lost when the end of one limb is never seen (points)", _lost_without_a_limb, 2.0, False),
    Target(
        "action not trained on, six others seen: accuracy behind a network trained on it, most of four (points)",
        _most_behind(", never seen"),
        5.0,
        False,
    ),
    Target(
        "action not trained on, twelve others seen: accuracy behind a network trained on it, most of four (points)",
        _most_behind(", never seen of 13"),
        5.0,
        False,
    ),
)


def page(folder: Path) -> str:
    """The page from the records in `folder`; what was not recorded is "not measured".

    Raises ConfigError where there is no record at all, DataError for a broken one.
    """
    offline, ablations = folder / "offline.json", sorted(folder.glob("*ablation*.json"))
    if not offline.is_file() and not ablations:
        raise ConfigError(
            f"nothing is recorded in {folder}",
            expected="offline.json or *ablation*.json",
            found="neither" if folder.is_dir() else "no such folder",
            next_step="Name the folder with --records, or record: lockstep evaluate offline --json docs/results/offline.json",
        )
    record = read_record(offline) if offline.is_file() else {}
    beside = {name: read_record(folder / name) for name in (UNSEEN, ONLINE) if (folder / name).is_file()}
    notes = folder / "notes.md"
    lines = [
        "# Results",
        "",
        "Written by `lockstep evaluate page` from the records in `docs/results/`; do not edit by hand. Live figures"
        " (matcher, events, stations) are in `online_results.md`, speed is in `performance.md`.",
        "",
        "## Targets",
        "",
        *table(["target", "wanted", "measured", ""], [target.row({**record, **beside}) for target in TARGETS]),
        "",
    ]
    if notes.is_file():
        lines += [notes.read_text(encoding="utf-8").strip(), ""]
    lines += ["## Offline evaluation", ""]
    lines += (
        [markdown(record)]
        if record
        else ["Not recorded: run `lockstep evaluate offline --json docs/results/offline.json`."]
    )
    for path in ablations:
        lines += ["", *ablation_markdown(read_record(path))]
    return "\n".join(lines).rstrip() + "\n"


def ablation_markdown(record: Record) -> list[str]:
    """Lines of one ablation table: a row per variant, figures as means over seeds ± standard deviation."""
    names = list(dict.fromkeys(name for figures in record["variants"].values() for name in figures["mean"]))
    rows = []
    for variant, figures in record["variants"].items():
        cells = []
        for name in names:
            mean, spread = figures["mean"].get(name), figures["spread"].get(name)
            cells.append("–" if mean is None else f"{mean:.3g}" + (f" ± {spread:.2g}" if spread is not None else ""))
        rows.append([variant, *cells])
    return [
        f"## {record['title']}",
        "",
        record["about"],
        "",
        f"Command: `{record['command']}`. Seeds {record['seeds']}. {record['machine']}.",
        "",
        *table(["variant", *names], rows),
    ]
