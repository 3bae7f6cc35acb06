"""A checkpoint: a folder with `model.safetensors` and `config.json`. No pickle.

`config.json` has the model's `net` (NetConfig), the `crop` its keypoints went through, and what is known of its `training`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.bundle import SHIPPED, open_bundle
from engine.embedder.pytorch import load_net
from engine.errors import DataError
from models.crop import check_crop
from models.lockstep_net import LockstepNet, NetConfig

FORMAT = 1
BIAS, POSITIONS, PLACES = "temporal.bias.table", "temporal.positions", "frames.positions"


@dataclass
class Checkpoint:
    """A trained network and what one must know to use it."""

    net: LockstepNet
    crop: dict[str, Any]
    """Policy and its parameters, see `models.crop`."""
    training: dict[str, Any] = field(default_factory=dict)
    """Data, objectives, steps, figures: anything JSON can hold."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes the folder; a crash leaves the old checkpoint or none, never half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "model.safetensors", checkpoint.net.state_dict())
    sheet = {
        "format": FORMAT,
        "net": checkpoint.net.config.to_json(),
        "crop": checkpoint.crop,
        "training": checkpoint.training,
    }
    write_json(folder / "config.json", sheet)


def begin_from(net: LockstepNet, trained: LockstepNet) -> None:
    """Gives `net` the weights of a trained network of the same shape but for what it knows of positions in time.

    Of a shorter causal window, distances beyond it begin with the bias of its farthest one, of a longer one those beyond the
    new window go; positions of another kind, or of patches where only one network has them, begin as in a new network. Raises
    DataError where the shapes differ otherwise.
    """
    weights = dict(trained.state_dict())
    table = weights.get(BIAS)
    if table is not None and net.config.temporal == trained.config.temporal == "causal":
        more = max(0, net.config.window - table.shape[1])
        weights[BIAS] = torch.cat([table, table[:, -1:].expand(-1, more)], dim=1)[:, : net.config.window]
    own = net.state_dict()
    if net.config.positions != trained.config.positions:
        kept = {name: own[name] for name in (BIAS, POSITIONS) if name in own}
        weights = {name: tensor for name, tensor in weights.items() if name not in (BIAS, POSITIONS)} | kept
    if net.config.spatial_positions != trained.config.spatial_positions:
        weights[PLACES] = own[PLACES]
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            "the training cannot begin from this checkpoint",
            expected="a network of the same shape (positions and a causal window may differ)",
            found=str(error).splitlines()[-1].strip(),
            next_step="Correct `net:` or `start_from:`.",
        ) from error


def mean_of(nets: Sequence[LockstepNet]) -> LockstepNet:
    """The mean of the weights of several trainings that began from the same ones (Wortsman et al. 2022, *Model soups*).

    Raises DataError where the networks' settings differ.
    """
    first = nets[0]
    if any(net.config != first.config for net in nets):
        raise DataError(
            "these checkpoints have no mean",
            expected="networks of the same settings",
            found="settings that differ between them",
            next_step="Correct `start_from:`.",
        )
    states = [net.state_dict() for net in nets]
    mean = LockstepNet(first.config)
    mean.load_state_dict(
        {
            name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
            for name, tensor in states[0].items()
        }
    )
    return mean.eval()


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """The network in evaluation mode. Raises DataError: missing, truncated, or of another shape."""
    folder = Path(folder)
    try:
        sheet = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if sheet["format"] != FORMAT:
            raise ValueError(f"format {sheet['format']}")
        net = LockstepNet(NetConfig(**sheet["net"]))
        net.load_state_dict(load_file(folder / "model.safetensors"))
        crop = dict(sheet["crop"])
        check_crop(net.config.layout, crop)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DataError(
            f"cannot read the checkpoint {folder}",
            expected="a folder with config.json and model.safetensors, written by `lockstep train`",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            next_step="Train it again, or name the folder `checkpoint` inside a run.",
        ) from error
    return Checkpoint(net.eval(), crop, sheet.get("training", {}))


def trained_net(source: Path) -> LockstepNet:
    """The network of a checkpoint, or of a bundle: a folder, or the name of a shipped one.

    Raises DataError as `load_checkpoint`, BundleError where the bundle is broken or has no weights.
    """
    of_bundle = (source / "bundle.json").is_file()
    shipped = not source.exists() and (SHIPPED / source / "bundle.json").is_file()
    return load_net(open_bundle(source)) if of_bundle or shipped else load_checkpoint(source).net


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    partial = path.with_name(path.name + ".partial")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
