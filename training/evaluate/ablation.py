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
from typing import Any

import numpy as np
from pydantic import Field

from engine.config import Section, read_yaml, validated
from training.checkpoint import Checkpoint, load_checkpoint, write_json
from training.config import TrainingConfig
from training.datasets.base import Dataset
from training.datasets.penn import RATE_HZ
from training.evaluate.networks import network_features
from training.evaluate.offline import Candidate, choose_actions, evaluate
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
    seeds: tuple[int, ...] = (0, 1)
    changes: dict[str, Any] = Field(default_factory=dict)
    """Of every variant: what makes the table cheap."""
    variants: dict[str, dict[str, Any]]
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
    in percent. All settings are checked before the first training begins.
    """
    trainings = {
        (name, seed): variant_training(base, {**config.changes, **changes}, name, seed, steps)
        for name, changes in config.variants.items()
        for seed in config.seeds
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in config.variants}
    shared: dict[str, tuple[TrainingConfig, Path]] = {}  # variants that differ only in what they are judged on
    for (name, seed), training in trainings.items():
        run = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-{seed}"
        trained_as = shared.setdefault(training.model_dump_json(exclude={"name"}), (training, run))
        result = run / "figures.json"
        settings = {"training": training.model_dump(mode="json"), "judged": list(config.judged.get(name, ()))}
        known = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        if known.get("settings") != settings:
            checkpoint = _trained(*trained_as, f"{name}, seed {seed}", told)
            told(f"{name}, seed {seed}: judging", 0, 1)
            actions = config.judged.get(name) or training.data.actions
            known = {"settings": settings, "figures": judge(checkpoint, dataset, actions, seed)}
            run.mkdir(parents=True, exist_ok=True)
            write_json(result, known)
        rows[name].append(known["figures"])
    return {
        "title": config.title,
        "about": config.about,
        "seeds": list(config.seeds),
        "steps": {name: trainings[name, config.seeds[0]].schedule.steps for name in config.variants},
        "variants": {name: _summary(figures) for name, figures in rows.items()},
    }


def judge(checkpoint: Checkpoint, dataset: Dataset, actions: Sequence[str] | None, seed: int) -> dict[str, float]:
    """Means over the labelled actions, on validation clips: `paper …` and `stream …` figures."""
    features = network_features(checkpoint.net, checkpoint.crop, RATE_HZ)
    chosen, _ = choose_actions(dataset, actions)
    results = evaluate({"variant": Candidate(features)}, [action for action in chosen if action.labelled], [seed])
    figures = {}
    for section, names in (("paper", PAPER_FIGURES), ("clock_free", STREAM_FIGURES)):
        for name in names:
            values = [float(np.mean(of[name])) for of in results[section]["variant"].values()]
            unit = 1.0 if name in ("progress", "tau") else 100.0
            figures[f"{'paper' if section == 'paper' else 'stream'} {name}"] = float(np.nanmean(values)) * unit
    return figures


def _trained(training: TrainingConfig, run: Path, what: str, told: Told) -> Checkpoint:
    """Goes on with the run in the folder if it is of these settings, else begins anew."""
    settings = run / "config.json"
    same = settings.is_file() and json.loads(settings.read_text(encoding="utf-8"))["config"] == training.model_dump(
        mode="json"
    )
    begun = same and (run / "resume" / "state.safetensors").is_file()
    if run.exists() and not begun:
        shutil.rmtree(run)
    total = training.schedule.steps
    train(training, run, resume=begun, report=lambda done, figures: told(what, done, total))
    return load_checkpoint(run / "checkpoint")


def _summary(figures: Sequence[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    columns = {name: np.array([of[name] for of in figures]) for name in figures[0]}
    return {
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "spread": {name: float(values.std(ddof=1)) if len(values) > 1 else None for name, values in columns.items()},
    }
