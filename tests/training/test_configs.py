"""The training files that come with the project are valid, and what they describe trains."""

from pathlib import Path

import pytest
import torch

from training.checkpoint import load_checkpoint
from training.checks import check
from training.config import TrainingConfig, load_training
from training.evaluate.ablation import load_ablation, variant_training
from training.trainer import train

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = [CONFIGS / "body13.yaml", *sorted((CONFIGS / "paper").glob("*.yaml"))]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_small_version_of_a_shipped_configuration_trains(file, tmp_path):
    whole = load_training(file).model_dump(mode="json")
    small = TrainingConfig.model_validate(
        whole
        | {
            "data": {"format": None, "station_workers": 2},
            "net": whole["net"] | {"width": 16, "heads": 2, "window": 16},
            "batches": {"ticks": 80, "longest": 16, "actions": 1},
            "schedule": {"steps": 2, "warmup": 1},
            "precision": "32-true",
        }
    )
    train(small, tmp_path / "run")
    net = load_checkpoint(tmp_path / "run" / "checkpoint").net
    assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())
    assert net.config.temporal == small.network().temporal


@pytest.mark.parametrize("file", sorted((CONFIGS / "ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_of_a_shipped_table_can_be_trained_on_penn_action(file, data_folder, monkeypatch):
    monkeypatch.setenv("LOCKSTEP_DATA", str(data_folder))
    config, base = load_ablation(file)
    for name, changes in config.variants.items():
        check(variant_training(base, {**config.changes, **changes}, name, 0, None))
