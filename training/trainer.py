"""Training a network: one loop, the same on a CPU, a GPU, and several processes started by torchrun.

    batch n of (seed, n, rank) → packed network → weighted objectives → AdamW step → averaged weights → checkpoint

A run folder holds `config.json` (settings, git hash), `metrics.jsonl`, TensorBoard files, `resume/` (to go on to identical
results) and `checkpoint/` (the averaged weights, what is exported).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.errors import ConfigError, DataError
from models.lockstep_net import LockstepNet
from training.batches import Batch, Batches
from training.checkpoint import (
    Checkpoint,
    begin_from,
    mean_of,
    save_checkpoint,
    save_tensors,
    trained_net,
    write_json,
)
from training.config import TrainingConfig
from training.memory import keep_freed_memory
from training.objectives import WeightedObjectives
from training.packing import Packed
from training.recordings import load_recordings

Report = Callable[[int, dict[str, float]], None]
"""Told the number of steps done and the figures of the last one."""
LOG_EVERY = 10
MOST_LEFT_OUT = 25
"""Steps in a row without a finite loss or gradient: what comes after them would not be learned from either."""
STATE = Path("resume", "state.safetensors")
"""In a run folder: what is needed to go on."""


def train(config: TrainingConfig, folder: Path, *, resume: bool = False, report: Report | None = None) -> Checkpoint:
    """Trains in `folder` and returns the checkpoint that is kept there.

    Raises ConfigError (folder holds another run, losses or weights are no numbers any more), DataError (no recordings,
    resume state unreadable).
    """
    fabric = _fabric(config.precision)
    fabric.launch()
    keep_freed_memory()
    fabric.seed_everything(config.seed, verbose=False)
    begun = _prepare_folder(folder, config, resume, fabric)
    net = LockstepNet(config.network())
    if config.start_from:
        begin_from(net, mean_of([trained_net(source) for source in config.start_from]))
    if config.schedule.steps == 0:
        checkpoint = _averaged(config, net.state_dict(), {"steps": 0})
        if fabric.is_global_zero:
            save_checkpoint(folder / "checkpoint", checkpoint)
        fabric.barrier()
        return checkpoint
    recordings = load_recordings(config.data, config.network().layout, config.seed)
    batches = Batches(
        recordings,
        config.network().layout,
        config.network().rate_hz,
        config.network().grid,
        config.crop,
        config.augmenting(),
        config.seed,
        budget=config.batches.ticks,
        longest=config.batches.longest,
        actions=min(config.batches.actions, len({recording.action for recording in recordings})),
        chain_p=config.batches.chain_p,
        emphasis=config.batches.emphasis,
    )
    schedule = config.schedule
    objectives = WeightedObjectives(config.objectives, net.config.output_dim, batches.procedures)
    lesson = Lesson(Packed(net, sparse=fabric.device.type == "cpu"), objectives)
    inner = torch.optim.AdamW(_groups(lesson, schedule.weight_decay), lr=schedule.lr)
    model, optimiser = fabric.setup(lesson, inner)
    average = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    first = _restore(folder / STATE, lesson, inner, average) if begun else 0
    running = [buffer for name, buffer in lesson.named_buffers() if name in lesson.state_dict()]
    started, left_out = time.monotonic(), 0
    with _Log(folder, first, fabric.is_global_zero) as log:
        for step, batch in _ahead(batches, range(first, schedule.steps), fabric.global_rank):
            lr = schedule.lr * _pace(step, schedule.steps, schedule.warmup)
            for group in inner.param_groups:
                group["lr"] = lr
            batch = batch.to(fabric.device)
            _seed(config.seed, step, fabric.global_rank)
            parts = model(lambda batch=batch: batch)
            loss = parts["loss"]
            left_out += 1
            if fabric.all_reduce(torch.isfinite(loss).float(), reduce_op="min"):  # all learn from it or none does
                fabric.backward(loss)
                norm = fabric.clip_gradients(model, optimiser, max_norm=schedule.clip, error_if_nonfinite=False)
                finite = bool(torch.isfinite(norm))  # type: ignore[arg-type]  # of the averaged gradients: the same in all
                if finite or config.precision == "16-mixed":  # whose scaler leaves the step out and must know of it
                    optimiser.step()
                left_out = 0 if finite else left_out
            optimiser.zero_grad()
            fabric.all_reduce(running)  # in place: the mean over processes, as that of gradients
            _follow(average, net, step >= schedule.average_from * schedule.steps, schedule.average_decay)
            done = step + 1
            if done % LOG_EVERY == 0 or done == schedule.steps:
                shared = {name: part.detach().clone() for name, part in parts.items()}
                fabric.all_reduce(shared)
                figures = {name: float(part) for name, part in shared.items()}
                figures |= {"lr": lr, "elapsed_s": round(time.monotonic() - started, 1)}
                log.write(done, figures)
                if report is not None and fabric.is_global_zero:
                    report(done, figures)
            keeping = done % config.checkpoint_every == 0 or done == schedule.steps
            if left_out == MOST_LEFT_OUT or (keeping and not all(w.isfinite().all() for w in average.values())):
                raise _diverged(folder, done)
            if keeping and fabric.is_global_zero:
                _keep(folder, config, lesson, inner, average, done)
        fabric.barrier()
    return _averaged(config, average, {"steps": schedule.steps})


def _diverged(folder: Path, done: int) -> ConfigError:
    return ConfigError(
        f"the training in {folder} has diverged",
        expected="losses and weights that are finite numbers",
        found=f"none at step {done}; what was kept before stays as it is",
        next_step="Lower `schedule.lr` or raise `schedule.warmup`; with 16-mixed, try bf16-mixed or 32-true.",
    )


def _fabric(precision: Any) -> Fabric:
    """One device; where torchrun started us, one for each of its processes (GPUs and NCCL, or CPUs and gloo)."""
    several: dict[str, Any] = {"devices": 1}
    if torch.distributed.is_torchelastic_launched():
        several = {"devices": int(os.environ["LOCAL_WORLD_SIZE"]), "num_nodes": int(os.environ["GROUP_WORLD_SIZE"])}
        # A network may have what no step touches: its projection, where the objectives see features.
        several["strategy"] = DDPStrategy(find_unused_parameters=True)
    return Fabric(accelerator="auto", precision=precision, **several)


def _seed(seed: int, step: int, rank: int) -> None:
    """What is drawn within a step (dropout, pairs of streams) is, like its batch, a function of (seed, step, rank) alone."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]))


class Lesson(nn.Module):
    """What a step computes, in one module, so that several processes average all of its gradients."""

    def __init__(self, packed: Packed, objectives: WeightedObjectives) -> None:
        super().__init__()
        self.packed, self.objectives = packed, objectives

    def forward(self, batch: Callable[[], Batch]) -> dict[str, Tensor]:
        """A function that returns the batch: of what is passed as it is, Fabric rounds coordinates and labels to bfloat16."""
        known = batch()
        z = self.packed(known.keypoints, known.present)
        with torch.autocast(z.device.type, enabled=False):
            return self.objectives(z.float(), known.ticks)


def _pace(step: int, steps: int, warmup: int) -> float:
    """Learning rate over its peak: linear warm-up, cosine to 2 %."""
    rising = min(1.0, (step + 1) / max(1, warmup))
    return rising * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _groups(lesson: Lesson, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices of the network decay; biases, norms and what objectives learn do not."""
    matrices = [p for p in lesson.packed.parameters() if p.ndim >= 2]
    others = [p for p in lesson.packed.parameters() if p.ndim < 2] + list(lesson.objectives.parameters())
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _ahead(batches: Batches, steps: range, rank: int) -> Iterator[tuple[int, Batch]]:
    """Batches in order, the next one made while this one is learned from."""
    with ThreadPoolExecutor(1) as maker:
        waiting = maker.submit(batches.__getitem__, (steps.start, rank)) if steps else None
        for step in steps:
            assert waiting is not None
            batch = waiting.result()
            waiting = maker.submit(batches.__getitem__, (step + 1, rank)) if step + 1 < steps.stop else None
            yield step, batch


def _follow(average: dict[str, Tensor], net: LockstepNet, averaging: bool, decay: float) -> None:
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if averaging and tensor.is_floating_point():
                average[name].lerp_(tensor.to(average[name].device), 1 - decay)
            else:
                average[name].copy_(tensor)


def _averaged(config: TrainingConfig, average: dict[str, Tensor], known: dict[str, Any]) -> Checkpoint:
    net = LockstepNet(config.network())
    net.load_state_dict(average)
    if config.drop_projection:
        net = net.without_projection()
    training = known | {"config": config.model_dump(mode="json"), "git": git_hash()}
    return Checkpoint(net.eval(), dict(config.crop), training)


def _keep(
    folder: Path,
    config: TrainingConfig,
    lesson: Lesson,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    done: int,
) -> None:
    """The checkpoint, and beside it what is needed to go on."""
    save_checkpoint(folder / "checkpoint", _averaged(config, average, {"steps": done}))
    tensors = {f"lesson/{name}": tensor for name, tensor in lesson.state_dict().items()}
    tensors |= {f"average/{name}": tensor for name, tensor in average.items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{i}/{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors["step"] = torch.tensor(done)
    (folder / STATE).parent.mkdir(exist_ok=True)
    save_tensors(folder / STATE, tensors)


def _restore(state: Path, lesson: Lesson, optimiser: torch.optim.Optimizer, average: dict[str, Tensor]) -> int:
    """Sets everything back to where the run was; the number of steps it has done."""
    try:
        tensors = load_file(state)
        lesson.load_state_dict({k.removeprefix("lesson/"): v for k, v in tensors.items() if k.startswith("lesson/")})
        for name in average:
            average[name].copy_(tensors[f"average/{name}"])
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser/"):
                _, index, name = key.split("/")
                states.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
        return int(tensors["step"])
    except Exception as error:  # safetensors, a missing file and a foreign shape each raise their own kind
        raise DataError(
            f"cannot go on with the run in {state.parents[1]}",
            expected=f"{STATE} of the same configuration",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            next_step="Start it anew in another folder.",
        ) from error


def _prepare_folder(folder: Path, config: TrainingConfig, resume: bool, fabric: Fabric) -> bool:
    """Whether the folder has steps to go on from. Raises ConfigError where it holds another run.

    The first process alone looks: what the others would find may be what it has just written.
    """
    begun, refusal = False, None
    if fabric.is_global_zero:
        refusal = _refusal(folder, config, resume)
        begun = resume and (folder / STATE).is_file()
        if refusal is None and not (folder / "config.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            wanted = {"config": config.model_dump(mode="json"), "git": git_hash(), "torch": torch.__version__}
            write_json(folder / "config.json", wanted)
    begun, refusal = fabric.broadcast((begun, refusal))
    if refusal is not None:
        raise refusal
    return begun


def _refusal(folder: Path, config: TrainingConfig, resume: bool) -> ConfigError | None:
    """Why this run may not be done in this folder."""
    settings = folder / "config.json"
    if not settings.exists():
        return None
    if not resume:
        return ConfigError(
            f"{folder} holds a run already", next_step="Add --resume to go on with it, or choose another -o."
        )
    try:
        kept = json.loads(settings.read_text("utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return ConfigError(
            f"cannot read {settings}",
            expected="the settings of the run, as `lockstep train` wrote them",
            found=str(error) or type(error).__name__,
            next_step="Choose another -o.",
        )
    wanted, found = config.model_dump(mode="json"), _as_now(kept)
    changed = [key for key in wanted if found.get(key) != wanted[key]]
    if changed:
        return ConfigError(
            f"{folder} holds a run of other settings",
            found=f"other {', '.join(changed)}",
            next_step="Choose another -o.",
        )
    return None


def _as_now(kept: Any) -> dict[str, Any]:
    """Settings of a run folder as this version would have written them; empty where it does not know them."""
    try:
        return TrainingConfig.model_validate(kept).model_dump(mode="json")
    except ValidationError:
        return {}


class _Log:
    """`metrics.jsonl` and TensorBoard, from the first process only.

    What an interrupted run wrote after `first`, the step it goes on from, is done again and so is dropped.
    """

    def __init__(self, folder: Path, first: int, active: bool) -> None:
        self._folder, self._first, self._active = folder, first, active

    def __enter__(self) -> _Log:
        if self._active:
            from torch.utils.tensorboard import SummaryWriter

            path = self._folder / "metrics.jsonl"
            kept = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
            self._file = path.open("w", encoding="utf-8")
            self._file.writelines(line for line in kept if self._step(line) <= self._first)
            self._board = SummaryWriter(str(self._folder), purge_step=self._first + 1)
        return self

    @staticmethod
    def _step(line: str) -> float:
        """Of a line of metrics; of one that was cut off, none that is kept."""
        try:
            return float(json.loads(line)["step"])
        except ValueError:
            return math.inf

    def write(self, step: int, figures: dict[str, float]) -> None:
        if self._active:
            self._file.write(json.dumps({"step": step} | {k: round(v, 6) for k, v in figures.items()}) + "\n")
            self._file.flush()
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def __exit__(self, *_: object) -> None:
        if self._active:
            self._file.close()
            self._board.close()


def git_hash() -> str:
    """Commit of the working tree, with '+' where it has changes; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")
