"""Tables of variants: each trained the same way but for one thing, and judged the same way.

base training + variant's changes ──train (resumable)──► checkpoint ──offline protocols──► a row, mean over seeds
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from engine.config import Section, read_yaml, validated
from engine.errors import ConfigError, DataError
from models import skeleton
from training.checkpoint import Checkpoint, load_checkpoint, write_json
from training.checks import check, keep_problems
from training.config import Seed, TrainingConfig
from training.datasets.base import Dataset
from training.datasets.penn import LAYOUT, RATE_HZ
from training.evaluate.networks import network_features
from training.evaluate.offline import Action, Candidate, choose_actions, evaluate
from training.recordings import fitting
from training.trainer import train

PAPER_FIGURES = ("acc@1.0", "acc@0.1", "progress", "tau", "ap@5")
STREAM_FIGURES = ("transfer@1", "transfer@5", "ap@5")

Told = Callable[[str, int, int], None]
"""What is being done, steps done, steps in all."""


class AblationConfig(Section):
    """One table. Changes are dotted keys of the training (`net.heatmaps`), values as in its YAML."""

    title: str
    about: str
    base: Path
    """Training YAML, relative to this file."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1)
    changes: dict[str, Any] = Field(default_factory=dict)
    """Of every variant: what makes the table cheap."""
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    judged: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Variant → actions it is judged on, where those are not the ones it was trained on."""


def load_ablation(path: Path) -> tuple[AblationConfig, dict[str, Any]]:
    """The table and the settings of its base training. Raises ConfigError."""
    config: AblationConfig = validated(AblationConfig, read_yaml(path), str(path))
    return config, read_yaml(path.parent / config.base)


def variant_training(
    base: dict[str, Any], changes: dict[str, Any], name: str, seed: int, steps: int | None
) -> TrainingConfig:
    """Base settings with dotted changes. Raises ConfigError for settings that do not exist or contradict each other."""
    data: dict[str, Any] = json.loads(json.dumps(base))
    for key, value in ({**changes, "schedule.steps": steps} if steps else changes).items():
        *sections, last = key.split(".")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    f"variant {name} changes {key!r}",
                    expected="a key within a section of the training",
                    found=f"{section}: {place!r}",
                    next_step="Correct it.",
                )
        place[last] = deepcopy(value)  # a later dotted key may change what lies within
    config: TrainingConfig = validated(TrainingConfig, {**data, "name": name, "seed": seed}, f"variant {name}")
    return config


def run_ablation(
    config: AblationConfig,
    base: dict[str, Any],
    dataset: Dataset,
    folder: Path,
    *,
    steps: int | None = None,
    told: Told = lambda what, done, total: None,
) -> dict[str, Any]:
    """Trains and judges every variant with every seed; what is finished in `folder` is not done again.

    Returns {"variants": {name: {"mean": {figure: …}, "spread": {…}}}, "seeds", "steps", "title", "about"}; accuracy and AP
    in percent, and {"problems"}: what of the data could not be used. All settings are checked before the first training begins.

    Raises ConfigError, DataError or BundleError for settings that do not fit, DataError for a broken result in `folder`.
    """
    trainings = {
        (name, seed): variant_training(base, {**config.changes, **changes}, name, seed, steps)
        for name, changes in config.variants.items()
        for seed in config.seeds
    }
    strangers = sorted(set(config.judged) - set(config.variants))
    if strangers:
        raise ConfigError(
            f"`judged` names {', '.join(strangers)}",
            expected=f"one of {', '.join(config.variants)}",
            next_step="Correct it.",
        )
    judged, unusable = {}, {}
    for (name, seed), training in trainings.items():
        unusable[name, seed] = check(training)
        fitting(skeleton.layout(LAYOUT).empty(), LAYOUT, training.network().layout, f"what variant {name} is judged on")
        judged[name] = _judged(name, config.judged.get(name) or training.data.actions, dataset)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in config.variants}
    shared: dict[str, tuple[TrainingConfig, Path]] = {}  # variants that differ only in what they are judged on
    for (name, seed), training in trainings.items():
        run = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-{seed}"
        trained_as = shared.setdefault(training.model_dump_json(exclude={"name"}), (training, run))
        result = run / "figures.json"
        settings = {"training": training.model_dump(mode="json"), "judged": list(config.judged.get(name, ()))}
        known = _kept(result)
        if known.get("settings") != settings:
            checkpoint = _trained(*trained_as, unusable[name, seed], f"{name}, seed {seed}", told)
            told(f"{name}, seed {seed}: judging", 0, 1)
            known = {"settings": settings, "figures": judge(checkpoint, judged[name], seed)}
            run.mkdir(parents=True, exist_ok=True)
            write_json(result, known)
        rows[name].append(known["figures"])
    return {
        "title": config.title,
        "about": config.about,
        "seeds": list(config.seeds),
        "steps": {name: trainings[name, config.seeds[0]].schedule.steps for name in config.variants},
        "variants": {name: _summary(figures) for name, figures in rows.items()},
        "problems": {**dataset.problems, **{clip: why for of in unusable.values() for clip, why in of.items()}},
    }


def _judged(name: str, actions: Sequence[str] | None, dataset: Dataset) -> list[Action]:
    """The labelled actions that a variant is judged on. Raises ConfigError where the data have none of them."""
    unknown = sorted(set(actions or ()) - set(dataset.actions))
    labelled = [] if unknown else [action for action in choose_actions(dataset, actions)[0] if action.labelled]
    if not labelled:
        raise ConfigError(
            f"variant {name} cannot be judged on {', '.join(unknown or actions or dataset.actions)}",
            expected=f"actions of {dataset.name} with labelled clips to learn from and to judge",
            found="no such clips",
            next_step="Correct `judged:` or `data.actions`, or name other data with --data.",
        )
    return labelled


def judge(checkpoint: Checkpoint, actions: Sequence[Action], seed: int) -> dict[str, float]:
    """Means over labelled actions, on validation clips: `paper …` and `stream …` figures."""
    features = network_features(checkpoint.net, checkpoint.crop, RATE_HZ, LAYOUT)
    results = evaluate({"variant": Candidate(features)}, actions, [seed])
    figures = {}
    for section, names in (("paper", PAPER_FIGURES), ("clock_free", STREAM_FIGURES)):
        for name in names:
            values = [float(np.mean(of[name])) for of in results[section]["variant"].values()]
            unit = 1.0 if name in ("progress", "tau") else 100.0
            figures[f"{'paper' if section == 'paper' else 'stream'} {name}"] = float(np.nanmean(values)) * unit
    return figures


def _trained(training: TrainingConfig, run: Path, problems: dict[str, str], what: str, told: Told) -> Checkpoint:
    """Goes on with the run in the folder if it is of these settings, else begins anew."""
    same = _kept(run / "config.json").get("config") == training.model_dump(mode="json")
    begun = same and (run / "resume" / "state.safetensors").is_file()
    if run.exists() and not begun:
        shutil.rmtree(run)
    keep_problems(run, problems)
    total = training.schedule.steps
    train(training, run, resume=begun, report=lambda done, figures: told(what, done, total))
    return load_checkpoint(run / "checkpoint")


def _kept(path: Path) -> dict[str, Any]:
    """What an earlier run left there, nothing where there was none. Raises DataError for half of something."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"cannot read {path}",
            expected="what an earlier run of this table wrote",
            found=str(error),
            next_step=f"Remove the folder {path.parent}, and its row is made again.",
        ) from None


def _summary(figures: Sequence[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    columns = {name: np.array([of[name] for of in figures]) for name in figures[0]}
    return {
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "spread": {name: float(values.std(ddof=1)) if len(values) > 1 else None for name, values in columns.items()},
    }
