"""How well could anything know the phase in Penn Action's keypoints? A recurrent classifier, told all phase labels.

    python -m benchmarks.label_ceiling [--protocol streams|paper] [--target phase|key_events|progress] [--steps N] [--seeds N] [--tuning] [--json F]

Two GRU layers over joints in crop coordinates and their changes, one head an action. `--protocol streams` learns and judges
clock-free streams, tick by tick; `--protocol paper` whole trimmed clips, with a bidirectional network that is also told t/T.
`--target phase` learns the labels of all training clips: no embedding that never saw a label can be expected far above it.
On streams there are two more: `--target key_events` learns progress that passes each labelled key event where a typical
execution does, as directions of moments, and is judged by phases carried from one and from five clips; `--target progress`
learns equal shares of trimmed clips instead (no labels): compared with the shipped model it says what heatmaps and a window
cost. `--tuning`: trained without the tuning clips and judged on them instead of on validation clips. Per action and mean,
over action ticks; `moving` leaves out pauses.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models import skeleton
from models.crop import crop_sequence
from training.augment import Augmentation, augmented
from training.datasets import read
from training.datasets.base import Clip, Dataset
from training.datasets.location import data_folder
from training.evaluate.label_transfer import nearest
from training.evaluate.online.recordings import on_ticks
from training.evaluate.probe import is_tuning
from training.evaluate.streams import REPETITIVE, Stream, compose
from training.recordings import anchored, phase_shares

RATE_HZ, LONGEST, BATCH = 20.0, 300, 48
CROP: dict[str, Any] = {"grid": 30, "side": 4.0, "follow": 15, "leash": 1.0, "rise": 6, "fall": 150, "forget": 60}
LOOKS = Augmentation(noise=0.03, rotate=0.12, roll=0.1, drop_limb_p=0.03, hide_legs_p=0.03, occlusion_p=0.1, faint_p=0)
BINS, SIGMA, TEMPERATURE = 24, 0.04, 0.1
DRAWS = 3


@dataclass(frozen=True)
class Seen:
    """A stream or clip on ticks: features (T, F), phases (T,), progress (T,) with NaN while idle, pauses (T,)."""

    action: int
    features: NDArray[np.float32]
    phases: NDArray[np.int64]
    progress: NDArray[np.float32]
    paused: NDArray[np.bool_]


Clocks = dict[str, NDArray[np.float64]]
"""Clip id → progress (T,) of its frames, where that is not an equal share."""


def see(
    action: int,
    recording: Clip | Stream,
    clocks: Clocks,
    looks: np.random.Generator | None = None,
    whole: bool = False,
) -> Seen:
    """`looks` varies how the person looks; `whole`: every tick is told where in the recording it is."""
    poses = recording.poses
    if looks is not None:
        poses = augmented(poses, skeleton.layout(recording.layout), LOOKS, looks)
    newest, at_ticks = on_ticks(poses, recording.rate_hz, RATE_HZ)
    crop = crop_sequence(at_ticks, recording.layout, **CROP)
    there = (crop[..., 2:] > 0).astype(np.float32)
    at = (crop[..., :2] - (CROP["grid"] - 1) / 2) / 6 * there
    parts = [at, there]
    for ticks in (1, 3):
        before = np.maximum(np.arange(len(at)) - ticks, 0)
        parts.append(3 * (at - at[before]) * there * there[before])
    if whole:
        share = np.linspace(0, 1, len(at), dtype=np.float32)[:, None]
        parts += [share] + [wave(np.pi * times * share) for times in (1, 2, 4, 8) for wave in (np.sin, np.cos)]
    progress = recording.progress if isinstance(recording, Stream) else np.linspace(0, 1, len(poses))
    cycle = recording.cycle if isinstance(recording, Stream) else np.zeros(len(poses), int)
    for number, name in enumerate(recording.clip_ids if isinstance(recording, Stream) else (recording.id,)):
        if name in clocks:
            shares = np.linspace(0, 1, len(clocks[name]))
            progress = np.where(cycle == number, np.interp(progress, shares, clocks[name]), progress)
    assert recording.phases is not None
    return Seen(
        action,
        np.concatenate([part.reshape(len(at), -1) for part in parts], axis=1)[: LONGEST if looks is not None else None],
        recording.phases[newest],
        np.where(cycle >= 0, progress, np.nan)[newest].astype(np.float32),
        recording.is_pause[newest] if isinstance(recording, Stream) else np.zeros(len(newest), bool),
    )


class Classifier(nn.Module):
    """Features (B, T, F) of `lengths` (B,), actions (B,) → logits (B, T, classes) against the action's own directions.

    `whole`: sees what comes, too.
    """

    def __init__(self, features: int, actions: int, classes: int, whole: bool, width: int = 192) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, width))
        self.recur = nn.GRU(width, width, 2, batch_first=True, dropout=0.3, bidirectional=whole)
        self.leave = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * width if whole else width, 128))
        self.directions = nn.Parameter(torch.randn(actions, classes, 128) * 0.3)

    def embed(self, x: Tensor, lengths: list[int]) -> Tensor:
        packed = pack_padded_sequence(self.enter(x), torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        seen, _ = pad_packed_sequence(self.recur(packed)[0], batch_first=True)
        return F.normalize(self.leave(seen), dim=-1)

    def forward(self, x: Tensor, lengths: list[int], action: Tensor) -> Tensor:
        directions = F.normalize(self.directions, dim=-1)[action]
        return torch.einsum("btd,bkd->btk", self.embed(x, lengths), directions) / TEMPERATURE


def learn(streams: Sequence[Seen], cyclic: Sequence[bool], target: str, steps: int, whole: bool) -> Classifier:
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    classes = 1 + max(int(s.phases.max()) for s in streams) if target == "phase" else BINS
    net = Classifier(streams[0].features.shape[1], len(cyclic), classes, whole)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    by_length = sorted(streams, key=lambda s: len(s.features))
    around, centres = torch.tensor(cyclic), (torch.arange(BINS) + 0.5) / BINS
    for _ in track(range(steps), description="learning", transient=True):
        start = int(rng.integers(0, max(1, len(by_length) - BATCH)))
        chosen = by_length[start : start + BATCH]
        lengths = [len(s.features) for s in chosen]
        length = max(lengths)
        x = np.zeros((len(chosen), length, chosen[0].features.shape[1]), np.float32)
        phases = np.full((len(chosen), length), -1)
        progress = np.full((len(chosen), length), np.nan, np.float32)
        for row, s in enumerate(chosen):
            n = len(s.features)
            x[row, :n], phases[row, :n], progress[row, :n] = s.features, s.phases[:n], s.progress[:n]
        action = torch.tensor([s.action for s in chosen])
        logits = net(torch.from_numpy(x), lengths, action)
        if target == "phase":
            loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(phases).flatten(), ignore_index=-1)
        else:
            share = torch.from_numpy(progress)
            distance = (share.nan_to_num()[..., None] - centres).abs()
            distance = distance.where(~around[action][:, None, None], distance.minimum(1 - distance))
            wanted = (-0.5 * (distance / SIGMA) ** 2).softmax(-1)
            loss = -(wanted * logits.log_softmax(-1)).sum(-1)[~share.isnan()].mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def judge(net: Classifier, streams: Sequence[Seen], library: Sequence[Seen], target: str) -> dict[str, float]:
    """Figures of one action's streams; `library`: labelled clips to carry phases from, if they are carried."""
    figures: dict[str, list[float]] = {}

    def score(name: str, found: NDArray[np.int64], s: Seen) -> None:
        acting = s.phases >= 0
        figures.setdefault(name, []).append(float((found == s.phases)[acting].mean()))
        figures.setdefault(f"{name}, moving", []).append(float((found == s.phases)[acting & ~s.paused].mean()))

    def embedded(s: Seen) -> NDArray[np.float32]:
        return net.embed(torch.from_numpy(s.features)[None], [len(s.features)])[0].numpy()

    rng = np.random.default_rng(0)
    draws = [rng.choice(len(library), min(5, len(library)), replace=False) for _ in range(DRAWS if library else 0)]
    known = {int(i): (embedded(library[i]), library[i].phases) for draw in draws for i in draw}
    for s in streams:
        if target == "phase":
            logits = net(torch.from_numpy(s.features)[None], [len(s.features)], torch.tensor([s.action]))
            score("classified", logits[0].argmax(-1).numpy(), s)
            continue
        for draw in draws:
            for count, name in ((1, "one clip"), (5, "five clips")):
                score(name, nearest([known[int(i)] for i in draw[:count]], embedded(s)), s)
    return {name: float(np.mean(values)) for name, values in figures.items()}


def run(
    dataset: Dataset, protocol: str, target: str, steps: int, seeds: int, tuning: bool
) -> dict[str, dict[str, float]]:
    """Action → figures, and `mean`."""
    whole = protocol == "paper"

    def recordings(clips: Sequence[Clip], seed: int) -> Sequence[Clip | Stream]:
        return clips if whole else compose(clips, seed)

    actions = [a for a in dataset.actions if dataset.select(action=a, split="val", labelled=True)]
    rng, learned, judged, library = np.random.default_rng(0), [], {}, {}
    clocks: Clocks = {}
    if target == "key_events":
        labelled = dataset.select(split="train", labelled=True)
        shares = phase_shares(labelled)
        clocks = {c.id: clock for c in labelled if (clock := anchored(c, shares[c.action])) is not None}
    for number, action in enumerate(track(actions, description="streams", transient=True)):
        train = dataset.select(action=action, split="train", labelled=True)
        known = [clip for clip in train if not (tuning and is_tuning(clip)) and len(clip.poses) >= 8]
        asked = (
            [clip for clip in train if is_tuning(clip)]
            if tuning
            else dataset.select(action=action, split="val", labelled=True)
        )
        learned += [see(number, s, clocks, rng, whole) for seed in range(seeds) for s in recordings(known, 1000 + seed)]
        judged[action] = [see(number, s, clocks, whole=whole) for s in recordings(asked, 0)]
        moving = [clip for clip in known if np.ptp(clip.poses[..., :2], axis=0).max() > 1]
        library[action] = [] if target == "phase" else [see(number, clip, clocks) for clip in moving]
    net = learn(learned, [a in REPETITIVE for a in actions], target, steps, whole)
    figures = {action: judge(net, judged[action], library[action], target) for action in actions}
    names = next(iter(figures.values()))
    return {"mean": {n: float(np.mean([f[n] for f in figures.values()])) for n in names}, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--protocol", choices=("streams", "paper"), default="streams")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument(
        "--seeds", type=int, default=5, help="times each training clip is seen, each another stream or other looks"
    )
    parser.add_argument("--target", choices=("phase", "key_events", "progress"), default="phase")
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.protocol == "paper" and options.target != "phase":
        parser.error("the paper's protocol has one target here: phase")
    dataset = read("penn", data_folder() / "penn_action")
    figures = run(dataset, options.protocol, options.target, options.steps, options.seeds, options.tuning)
    for action, values in figures.items():
        print(f"{action:18}", "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
