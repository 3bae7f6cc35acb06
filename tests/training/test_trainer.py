"""Training: the packed network is the network, a resumed run is the same run, and mistakes in a YAML are named."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clients.commands.train import command
from engine.bundle import open_bundle
from engine.errors import ConfigError, DataError
from models.lockstep_net import LockstepNet, NetConfig
from training.checkpoint import Checkpoint, begin_from, load_checkpoint, mean_of, save_checkpoint
from training.config import TrainingConfig, load_training
from training.objectives import OBJECTIVES
from training.objectives.weighted import PURE
from training.packing import Packed
from training.recordings import load_recordings
from training.trainer import train

SMALL = {
    "name": "small",
    "data": {"format": None, "station_workers": 3},
    "net": {"width": 16, "heads": 2, "spatial_depth": 1, "temporal_depth": 1, "window": 8, "embedding_dim": 8},
    "objectives": [
        {"name": "sequence_contrastive"},
        {"name": "cross_video", "weight": 0.5},
        {"name": "progress_prototypes", "options": {"bins": 8, "band": 0.2, "settle": 1}},
    ],
    "batches": {"ticks": 120, "longest": 20, "actions": 1},
    "schedule": {"steps": 4, "warmup": 1},
    "precision": "32-true",
    "checkpoint_every": 2,
}


def config(**changes):
    return TrainingConfig.model_validate(SMALL | changes)


def weights(folder):
    return load_checkpoint(folder / "checkpoint").net.state_dict()


@pytest.mark.parametrize("motion", [[], [2], [1, 3]])
def test_packing_and_sparse_drawing_change_nothing_but_the_time(motion):
    torch.manual_seed(0)
    net = LockstepNet(NetConfig(width=16, heads=2, spatial_depth=1, window=8, embedding_dim=8, motion=motion)).eval()
    keypoints = torch.rand(4, 11, 13, 3) * 30
    keypoints[..., 2] = (torch.rand(4, 11, 13) > 0.2) * torch.rand(4, 11, 13)
    present = torch.arange(11)[None] < torch.tensor([[11], [7], [1], [4]])
    with torch.no_grad():
        whole = net(keypoints, present)[present]
        assert torch.allclose(Packed(net, sparse=False).eval()(keypoints, present)[present], whole, atol=1e-5)
        assert torch.allclose(Packed(net, sparse=True).eval()(keypoints, present)[present], whole, atol=2e-3)


@torch.no_grad()
def test_streams_of_one_recording_attend_to_each_other_but_never_to_padding():
    torch.manual_seed(0)
    settings = {"temporal": "full", "positions": "absolute", "cross_attention_depth": 1}
    packed = Packed(LockstepNet(NetConfig(**SMALL["net"] | settings)), sparse=False).eval()
    keypoints = torch.rand(2, 12, 13, 3) * torch.tensor([30.0, 30.0, 1.0])
    present = torch.arange(12)[None] < torch.tensor([[12], [7]])
    padding, partner = keypoints.clone(), keypoints.clone()
    padding[1, 7:] = torch.rand(5, 13, 3) * 30
    partner[1, :7] = torch.rand(7, 13, 3) * 30
    first = packed(keypoints, present)[0]
    assert torch.allclose(packed(padding, present)[0], first, atol=1e-6)
    assert not torch.allclose(packed(partner, present)[0], first, atol=1e-4)


def train_and_interrupt(settings, folder, step):
    """Trains in folder/whole; folder/parts is what is there when step number `step` is done and not yet kept."""

    def interrupt(done, _figures):
        if done == step:
            shutil.copytree(folder / "whole", folder / "parts")

    train(settings, folder / "whole", report=interrupt)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Whole executions by different people: what objectives that align people need."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    poses = np.ones((6, 16, 13, 3), np.float32)
    poses[..., :2] = 100 + 8 * np.arange(13)[:, None] + rng.normal(0, 3, (6, 16, 13, 2))
    poses[:, :, 5, 1] += np.linspace(0, 80, 16)
    np.savez(folder / "keypoints.npz", **{f"c{i}": pose for i, pose in enumerate(poses)})
    (folder / "index.csv").write_text("id,action,split\n" + "".join(f"c{i},lift,train\n" for i in range(6)))
    return {"format": "penn", "folder": str(folder)}


FEW_PAIRS = {"realigned": {"most_pairs": 4.0}, "lav": {"pairs": 2.0}}
"""Of what an objective draws from, less than there is in a small batch."""
SHORT = {"schedule": {"steps": 3, "warmup": 1}, "batches": {"ticks": 50, "longest": 10, "actions": 1}}


@pytest.mark.parametrize(("name", "dropout"), [*((name, 0.0) for name in OBJECTIVES), ("tcc", 0.2)])
def test_an_interrupted_run_goes_on_to_identical_weights(name, dropout, clips, tmp_path):
    objectives = [{"name": name, "options": FEW_PAIRS.get(name, {})}]
    settings = config(data=clips, objectives=objectives, net=SMALL["net"] | {"dropout": dropout}, **SHORT)
    train_and_interrupt(settings, tmp_path, 3)
    train(settings, tmp_path / "parts", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_run_interrupted_before_its_first_checkpoint_begins_again(tmp_path):
    train_and_interrupt(config(), tmp_path, 2)
    assert not (tmp_path / "parts" / "checkpoint").exists()
    train(config(), tmp_path / "parts", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert [line["step"] for line in metrics(tmp_path / "parts")] == [1, 2, 3, 4]


def test_a_training_that_diverges_says_so_and_keeps_no_weights_that_are_no_numbers(tmp_path):
    settings = config(schedule={"steps": 40, "warmup": 0, "lr": 1e30}, checkpoint_every=1)
    with pytest.raises(ConfigError, match=r"diverged.*schedule\.lr"):
        train(settings, tmp_path)
    for state in tmp_path.rglob("*.safetensors"):
        assert all(np.isfinite(tensor.float()).all() for tensor in load_file(state).values()), state


def test_a_training_whose_every_loss_is_no_number_ends_long_before_its_last_step(tmp_path, monkeypatch):
    monkeypatch.setitem(PURE, "tcc", lambda z, ticks: z.sum() * torch.nan)
    settings = config(objectives=[{"name": "tcc"}], schedule={"steps": 10_000, "warmup": 1}, checkpoint_every=10_000)
    with pytest.raises(ConfigError, match="diverged"):
        train(settings, tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def test_a_step_whose_gradient_is_no_number_is_left_out_though_its_loss_is_one(tmp_path, monkeypatch):
    steps = []

    def broken_once(z, ticks):
        steps.append(len(steps))
        return z.square().mean() + ((z * 0.0).sum().sqrt() if len(steps) == 2 else 0.0)

    monkeypatch.setitem(PURE, "tcc", broken_once)
    train(config(objectives=[{"name": "tcc"}]), tmp_path)
    assert len(steps) == 4 and all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


@pytest.mark.parametrize("kept", ['{"conf', "[1]", "{}"])
def test_settings_of_a_run_that_cannot_be_read_are_named(kept, tmp_path):
    (tmp_path / "config.json").write_text(kept)
    with pytest.raises(ConfigError, match=r"cannot read .*config\.json"):
        train(config(), tmp_path, resume=True)


def test_metrics_of_a_resumed_run_have_every_step_once_though_a_line_was_cut_off(tmp_path):
    train_and_interrupt(config(), tmp_path, 4)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 4, "lo')
    train(config(), tmp_path / "parts", resume=True)
    assert [line["step"] for line in metrics(tmp_path / "parts")] == [1, 2, 3, 4]


def test_two_processes_train_one_network_from_twice_as_many_batches_and_go_on_with_it(clips, tmp_path):
    """Real ones, with what their being several could break: draws, what no step touches, what objectives learn, a late start."""
    objectives = [*SMALL["objectives"], *({"name": name, "options": options} for name, options in FEW_PAIRS.items())]
    net = SMALL["net"] | {"projection": False, "dropout": 0.1}
    settings = config(data=clips, objectives=objectives, net=net, **SHORT)
    script = Path(__file__).with_name("trained_together.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    asked = [*torchrun, str(script), settings.model_dump_json(), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *others = (
        load_file(tmp_path / f"{run}-{rank}.safetensors") for run in ("whole", "resumed") for rank in (0, 1)
    )
    assert all(same(first, other) for other in others)
    assert same(first, weights(tmp_path / "whole"))
    assert len(list((tmp_path / "whole").glob("events*"))) == 1
    for run in ("whole", "resumed"):
        assert [line["step"] for line in metrics(tmp_path / run)] == [1, 2, 3]
    train(settings, tmp_path / "alone")
    assert not same(first, weights(tmp_path / "alone"))


@pytest.fixture(autouse=True)
def report_every_step(monkeypatch):
    monkeypatch.setattr("training.trainer.LOG_EVERY", 1)


def test_another_seed_gives_other_weights_and_a_run_folder_is_never_overwritten(tmp_path):
    train(config(), tmp_path / "a")
    train(config(seed=1), tmp_path / "b")
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert any(not torch.equal(a[name], b[name]) for name in a)
    with pytest.raises(ConfigError, match="holds a run already"):
        train(config(), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"run of other settings.*seed"):
        train(config(seed=2), tmp_path / "a", resume=True)


def test_a_run_begun_by_an_earlier_version_can_be_gone_on_with(tmp_path):
    train(config(), tmp_path / "run")
    sheet = tmp_path / "run" / "config.json"
    kept = json.loads(sheet.read_text())
    sheet.write_text(json.dumps(kept | {"config": kept["config"] | {"start_from": None}}))
    train(config(), tmp_path / "run", resume=True)
    with pytest.raises(ConfigError, match="other seed"):
        train(config(seed=5), tmp_path / "run", resume=True)


def test_the_run_folder_tells_what_made_the_weights(tmp_path):
    train(config(), tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["config"]["net"]["width"] == 16 and "git" in kept
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2, 3, 4]
    assert load_checkpoint(tmp_path / "run" / "checkpoint").training["steps"] == 4
    shown = EventAccumulator(str(tmp_path / "run")).Reload()
    for name in ("loss", "sequence_contrastive", "lr"):
        drawn = [(event.step, pytest.approx(event.value, abs=1e-5)) for event in shown.Scalars(name)]
        assert [(line["step"], line[name]) for line in metrics(tmp_path / "run")] == drawn


def test_the_weights_kept_are_an_exponential_average_of_the_last_steps(tmp_path):
    schedule = {"steps": 4, "warmup": 1, "average_from": 0.5, "average_decay": 0.8}
    steps = []

    def last(*_):
        """Weights as the step before left them."""
        state = tmp_path / "run" / "resume" / "state.safetensors"
        steps.append(load_file(state)["lesson/packed.net.frames.embed.weight"] if state.exists() else None)

    train(config(schedule=schedule, checkpoint_every=1), tmp_path / "run", report=last)
    last()
    _, _, second, third, fourth = steps
    expected = 0.8 * (0.8 * second + 0.2 * third) + 0.2 * fourth
    torch.testing.assert_close(weights(tmp_path / "run")["frames.embed.weight"], expected)
    assert not torch.allclose(expected, fourth)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\nobjectives: [{name: tcc}]\nschedule: {steps: 1}\nepochs: 3\n", "unknown key 'epochs'"),
        ("name: x\nobjectives: [{name: magic}]\nschedule: {steps: 1}\n", "one of contrastive_regression"),
        ("name: x\nobjectives: []\nschedule: {steps: 1}\n", "objectives"),
        ("name: x\nobjectives: [{name: tcc}]\nschedule: {steps: 1}\nnet: {depth: 3}\n", "'depth' is not one of"),
        ("name: x\nobjectives: [{name: tcc}]\nschedule: {steps: 1}\ncrop: {policy: person}\n", "causal or recording"),
        ("name: x\nobjectives: [{name: tcc}]\nschedule: {steps: 1}\ncrop: {policy: recording, side: 4}\n", "'side'"),
        ("name: x\nobjectives: [{name: tcc}]\nschedule: {steps: -1}\n", "'schedule.steps' is wrong"),
        ("name: x\nobjectives: []\nschedule: {steps: 1}\n", "'objectives' is wrong: expected a list of at least 1"),
        (
            "name: x\nobjectives: [{name: tcc}]\nschedule: {steps: 1}\naugmentation: 3\n",
            "'augmentation' is wrong: expected a mapping, found 3",
        ),
        (
            "name: x\nobjectives: [{name: tcc}]\nschedule: {steps: 1}\nnet: {'{': 3}\n",
            r"training\.yaml: '\{' is not one of layout",
        ),
        ("name: x\nobjectives: [{name: tcc}]\n", "lacks 'schedule'"),
    ],
)
def test_a_mistake_in_the_yaml_is_one_line_that_names_it(tmp_path, text, says):
    path = tmp_path / "training.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_training(path)
    assert "\n" not in str(caught.value)


def test_data_that_is_not_there_is_named_before_anything_is_trained(tmp_path):
    with pytest.raises(DataError):
        load_recordings(config(data={"format": "penn", "folder": str(tmp_path / "nowhere")}).data, "body13", 0)


def test_the_command_trains_and_says_what_comes_next(tmp_path, capsys):
    path = tmp_path / "training.yaml"
    path.write_text(json.dumps(SMALL))
    command(path, output=tmp_path / "run", resume=False, seed=None, steps=2)
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()


def test_the_projection_can_be_left_behind_once_it_has_served_the_loss(tmp_path):
    whole = train(config(), tmp_path / "whole").net
    bare = train(config(drop_projection=True), tmp_path / "bare").net
    assert not bare.config.projection and load_checkpoint(tmp_path / "bare" / "checkpoint").net.config == bare.config
    keypoints = torch.rand(1, 6, 13, 3) * 30
    with torch.no_grad():
        features = whole.features(keypoints, torch.ones(1, 6, dtype=torch.bool))
        assert torch.allclose(bare(keypoints), torch.nn.functional.normalize(features, dim=-1), atol=1e-6)


def test_half_precision_rounds_what_the_network_computes_but_not_the_coordinates_it_is_given(tmp_path, monkeypatch):
    seen, losses = [], []
    forward = Packed.forward
    monkeypatch.setattr(Packed, "forward", lambda self, k, p: (seen.append(k), forward(self, k, p))[1])
    for precision in ("32-true", "bf16-mixed"):
        train(config(precision=precision, schedule={"steps": 1}), tmp_path / precision)
        losses.append(metrics(tmp_path / precision)[0]["loss"])
    exact, rounded = seen
    assert exact.dtype == rounded.dtype == torch.float32 and torch.equal(exact, rounded)
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.1)


def test_a_training_may_begin_from_another_window_or_other_positions_but_from_no_other_width(tmp_path):
    first = train(config(), tmp_path / "first").net
    begun = config(net=SMALL["net"] | {"window": 12}, start_from=tmp_path / "first" / "checkpoint")
    net = LockstepNet(begun.network())
    begin_from(net, first)
    keypoints = torch.rand(1, 6, 13, 3) * 30
    with torch.no_grad():
        assert torch.allclose(net.eval()(keypoints), first(keypoints), atol=1e-6)
    table = net.temporal.bias.table
    assert torch.equal(table[:, 8:], table[:, 7:8].expand(-1, 4))
    shorter = LockstepNet(NetConfig(**SMALL["net"] | {"window": 5}))
    begin_from(shorter, first)
    assert torch.equal(shorter.temporal.bias.table, table[:, :5])
    full = {"temporal": "full", "positions": "relative"}
    clock = LockstepNet(NetConfig(**SMALL["net"] | full | {"positions": "absolute"}))
    begin_from(clock, LockstepNet(NetConfig(**SMALL["net"] | full)))
    with pytest.raises(DataError, match="same shape"):
        begin_from(LockstepNet(NetConfig(**SMALL["net"] | {"width": 8})), first)


def test_a_training_may_begin_from_the_mean_of_several_but_not_of_different_networks(tmp_path):
    for seed in (1, 2):
        train(config(seed=seed), tmp_path / f"run{seed}")
    folders = [tmp_path / f"run{seed}" / "checkpoint" for seed in (1, 2)]
    nets = [load_checkpoint(folder).net for folder in folders]
    mean = mean_of(nets)
    first, second, both = (net.frames.embed.weight for net in (*nets, mean))
    torch.testing.assert_close(both, (first + second) / 2)
    begun = train(config(start_from=folders, schedule={"steps": 1, "lr": 1e-9, "average_from": 1}), tmp_path / "both")
    torch.testing.assert_close(begun.net.frames.embed.weight, both, atol=1e-4, rtol=0)
    train(config(start_from=folders, schedule={"steps": 0}), tmp_path / "mean")
    torch.testing.assert_close(load_checkpoint(tmp_path / "mean" / "checkpoint").net.frames.embed.weight, both)
    with pytest.raises(ValidationError, match="needs start_from"):
        config(schedule={"steps": 0})
    train(config(net=SMALL["net"] | {"heads": 1}), tmp_path / "other")
    with pytest.raises(DataError, match="no mean"):
        train(config(start_from=[folders[0], tmp_path / "other" / "checkpoint"]), tmp_path / "none")


def test_a_training_may_begin_from_a_shipped_bundle_by_name_or_from_a_bundle_s_folder(tmp_path):
    shipped = open_bundle("body13")
    for source in ("body13", shipped.folder):
        train(config(net=shipped.info.network, start_from=source, schedule={"steps": 0}), tmp_path / "run")
        found = load_file(tmp_path / "run" / "checkpoint" / "model.safetensors")
        for name, tensor in load_file(shipped.folder / "model.safetensors").items():
            assert torch.equal(found[name], tensor)
        shutil.rmtree(tmp_path / "run")
    with pytest.raises(DataError, match="cannot read the checkpoint nowhere"):
        train(config(start_from="nowhere", schedule={"steps": 0}), tmp_path / "run")


@pytest.mark.parametrize("crop", [None, [1], {"zoom": 2}, {"side": 0}, {"policy": "magic"}], ids=str)
def test_a_checkpoint_whose_crop_is_none_that_is_known_is_refused(crop, tmp_path):
    save_checkpoint(tmp_path, Checkpoint(LockstepNet(NetConfig(**SMALL["net"])), {}))
    sheet = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**sheet, "crop": crop}))
    with pytest.raises(DataError, match="cannot read the checkpoint"):
        load_checkpoint(tmp_path)
