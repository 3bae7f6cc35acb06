"""A wrong setting of a training is one line that says what was expected, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")

from clients.cli import main
from engine.errors import ConfigError
from training.config import TrainingConfig, load_training

BASE = {"name": "x", "objectives": [{"name": "tcc"}], "schedule": {"steps": 1}}


def written(folder: Path, text: str) -> Path:
    path = folder / "training.yaml"
    path.write_text(yaml.safe_dump({**BASE, **yaml.safe_load(text)}))
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("net: {heads: 5}", "net: expected a width divisible by 5 heads, found 96"),
        ("net: {grid: 31}", "net: expected a grid divisible by the patch 10, found 31"),
        ("net: {layout: body14}", "net: expected layout body13, .*, found 'body14'"),
        ("net: {width: -16}", "net: 'width' is wrong: expected .* at least 0, found -16"),
        ("net: {width: wide}", "net: 'width' is wrong: expected a whole number, found 'wide'"),
        ("net: {heatmaps: bones}", "net: expected heatmaps 'joints', .*, found 'bones'"),
        ("net: {window: 0}", "net: expected window above 0, found 0"),
        ("net: {sigma: 0}", "net: 'sigma' is wrong: expected a number above 0"),
        ("net: {dropout: 2}", "net: expected dropout from 0 to below 1, found 2"),
        ("net: {motion: 2}", "net: 'motion' is wrong: expected a list, found 2"),
        ("objectives: [{name: tcc, options: {temprature: 1}}]", "'temprature' is not one of temperature, variance_weight"),
        ("objectives: [{name: tcc, options: {temperature: 0}}]", "options of tcc: 'temperature' is wrong"),
        ("objectives: [{name: progress_prototypes, options: {bins: x}}]", "'bins' is wrong: expected a number"),
        ("objectives: [{name: tcc}, {name: tcc, weight: 2}]", "objectives: expected each name once"),
        ("augmentation: {slowest: 0}", "augmentation: 'slowest' is wrong: expected a number above 0"),
        ("augmentation: {noise: much}", "augmentation: 'noise' is wrong: expected a number, found 'much'"),
        ("augmentation: {noise: .nan}", "augmentation: 'noise' is wrong"),
        ("augmentation: {flip_p: 1.5}", "augmentation: 'flip_p' is wrong: expected from 0 to 1"),
        ("crop: {grid: x}", "crop: 'grid' is wrong: expected a whole number, found 'x'"),
        ("crop: {grid: 20}", "crop: expected the grid of `net`, 30, found 20"),
        ("net: {grid: 20}", "crop: expected the grid of `net`, 20, found 30"),
        ("crop: {side: 0}", "crop: 'side' is wrong: expected a number above 0"),
        ("seed: -1", "'seed' is wrong"),
        ("data: {format: h2o}", "'data' is wrong: expected `folder:`, where the recordings of format h2o lie"),
    ],
)  # fmt: skip
def test_it_is_named_with_what_was_expected_and_found(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_training(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_settings_that_go_together_are_accepted(tmp_path: Path) -> None:
    text = "net: {grid: 20, motion: [1, 3]}\ncrop: {grid: 20}\nobjectives: [{name: lav, options: {pairs: 4, gamma: 1}}]"
    config = load_training(written(tmp_path, text))
    assert config.network().motion == (1, 3) and config.network().grid == 20
    assert TrainingConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_negative_seed_on_the_command_line_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(written(tmp_path, "seed: 0")), "--seed", "-1", "-o", str(tmp_path / "run")])
    assert ended.value.code == 2 and "--seed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
