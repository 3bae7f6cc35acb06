"""Training batches: streams made from recordings, with the labels that come for free.

    recordings → an action or two → some recordings of each → two streams of each (own pace, own looks) → crop → batch

Batch number n of a run is a function of (seed, n, rank) alone, so a resumed run sees exactly what it would have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import skeleton
from models.crop import crop_sequence
from training.augment import Augmentation, at_times, augmented, jittered_crop, streamed
from training.objectives.base import Ticks

VIEWS = 2
CHAIN = 3
"""Executions at most that go before the one a stream is about."""


@dataclass(frozen=True)
class Recording:
    """One clip to learn from, at its own frame rate."""

    poses: NDArray[np.float32]
    """(T, K, 3) pixels."""
    rate_hz: float
    action: str
    progress: NDArray[np.float64]
    """(T,) 0–1; NaN where the action is not under way."""
    trimmed: bool = True
    """One whole execution of the action."""
    exact: bool = False
    """`progress` is truth, not a share of the recording, which may then hold several executions and what lies between."""
    cyclic: bool = False
    handed: bool = False
    """Left and right mean different things, so streams of it are mirrored together or not at all."""


@dataclass(frozen=True)
class Batch:
    keypoints: Tensor
    """(N, T, K, 3) crop coordinates."""
    present: Tensor
    """(N, T) True where there is a tick to look at; of those, `ticks.mask` have labels."""
    ticks: Ticks

    def to(self, device: torch.device) -> Batch:
        ticks = Ticks(**{name: value.to(device) for name, value in vars(self.ticks).items()})
        return Batch(self.keypoints.to(device), self.present.to(device), ticks)


@dataclass(frozen=True)
class Batches:
    """Where batches come from. `budget` ticks in a batch; streams are at most `longest` ticks."""

    recordings: Sequence[Recording]
    layout: str
    rate_hz: float
    grid: int
    crop: Mapping[str, Any]
    augmentation: Augmentation
    seed: int
    budget: int = 1536
    longest: int = 80
    actions: int = 2
    """Actions in one batch."""
    chain_p: float = 0.3
    """Of a cyclic action: another execution goes before, and before that another (up to `CHAIN`), so that a stream need not
    begin with a beginning."""
    emphasis: Mapping[str, float] = field(default_factory=dict)
    """Action → factor on how often it comes."""

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """Batch `number` of process `rank`."""
        number, rank = key
        rng = np.random.default_rng([self.seed, number, rank])
        by_action = self.by_action
        names = list(by_action)
        # Actions of many recordings come more often, but not in proportion: the square root.
        weights = np.sqrt([len(by_action[name]) for name in names]) * [self.emphasis.get(name, 1.0) for name in names]
        first = int(rng.choice(len(names), p=weights / weights.sum()))
        lengths = np.array([self._typical_ticks(by_action[name]) for name in names])
        # Actions of like length together: less padding.
        alike = np.argsort(np.abs(np.log(lengths / lengths[first])), kind="stable")[: max(self.actions + 2, 1)]
        others = [int(i) for i in rng.permutation(alike) if i != first][: self.actions - 1]
        if self.recordings[by_action[names[first]][0]].exact:
            others = []  # every tick of theirs is matched against all others: the more, the better
        streams: list[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], int, int, Recording]] = []
        for index in [first, *others]:
            pool = by_action[names[index]]
            count = int(np.clip(self.budget / ((1 + len(others)) * VIEWS * lengths[index]), 2, 24))
            chosen = rng.choice(len(pool), min(count, len(pool)), replace=False)
            shared = self._window(pool, rng)
            group_flip = bool(rng.random() < self.augmentation.flip_p)
            for i in chosen:
                recording = self.recordings[pool[i]]
                flip = group_flip if recording.handed else None
                # Mirrored, what has a left and a right is another procedure.
                procedure = 2 * index + (recording.handed and group_flip)
                for _ in range(VIEWS):
                    chained = recording.cyclic and recording.trimmed
                    within = self._window([pool[i]], rng) if recording.exact else shared
                    poses, time, progress = self._stream(recording, pool if chained else (), within, flip, rng)
                    streams.append((poses, time, progress, int(pool[i]), procedure, recording))
        return _padded(streams)

    def _stream(
        self,
        recording: Recording,
        others: Sequence[int],
        within: tuple[float, float],
        flip: bool | None,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        layout = skeleton.layout(self.layout)
        how = self.augmentation
        timing = streamed(len(recording.poses), recording.rate_hz, self.rate_hz, how, self.longest, rng, within)
        poses = at_times(recording.poses, timing)
        progress = recording.progress[np.rint(timing).astype(int)]
        time = np.where(np.isnan(progress), np.nan, timing / recording.rate_hz)
        for _ in range(CHAIN):
            if not others or rng.random() >= self.chain_p:
                break
            before = self.recordings[others[rng.integers(len(others))]]
            run_up = streamed(len(before.poses), before.rate_hz, self.rate_hz, how, self.longest // 2, rng)
            poses = np.concatenate([_placed(at_times(before.poses, run_up), poses), poses])
            progress = np.concatenate([before.progress[np.rint(run_up).astype(int)], progress])
            time = np.concatenate([np.full(len(run_up), np.nan), time])
        poses = augmented(poses, layout, how, rng, flip)
        cropped = crop_sequence(poses, self.layout, **self.crop)
        cropped = jittered_crop(cropped, self.grid, how.crop_shift, how.crop_scale, rng)
        return cropped, time, progress

    @property
    def procedures(self) -> int:
        """How many numbers `Ticks.action` may have: two an action, as it is and mirrored."""
        return 2 * len(self.by_action)

    @cached_property
    def by_action(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, recording in enumerate(self.recordings):
            found.setdefault(recording.action, []).append(i)
        return found

    def _typical_ticks(self, pool: Sequence[int]) -> float:
        ticks = [len(self.recordings[i].poses) / self.recordings[i].rate_hz * self.rate_hz for i in pool]
        return min(float(np.median(ticks)), float(self.longest))

    def _window(self, pool: Sequence[int], rng: np.random.Generator) -> tuple[float, float]:
        """The part of long recordings that a group shows: shared, so that its streams overlap."""
        seconds = float(np.median([len(self.recordings[i].poses) / self.recordings[i].rate_hz for i in pool]))
        share = min(1.0, self.longest / (seconds * self.rate_hz))
        start = rng.uniform(0, 1 - share)
        return start, start + share


def _placed(poses: NDArray[np.float32], model: NDArray[np.float32]) -> NDArray[np.float32]:
    """Poses moved and scaled to where the person of `model` is: one camera sees one after the other."""

    def box(p: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        seen = p[p[..., 2] > 0][:, :2]
        if len(seen) < 2:
            return np.zeros(2), 1.0
        return seen.mean(0), max(float(seen.std()), 1e-3)

    (centre, size), (to, to_size) = box(poses), box(model)
    out = poses.copy()
    out[..., :2] = np.where(poses[..., 2:] > 0, (poses[..., :2] - centre) * (to_size / size) + to, 0.0)
    return out


def _padded(
    streams: Sequence[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], int, int, Recording]],
) -> Batch:
    longest = max(len(stream[0]) for stream in streams)
    count, joints = len(streams), streams[0][0].shape[1]
    keypoints = np.zeros((count, longest, joints, 3), np.float32)
    present, labelled, at_work = (np.zeros((count, longest), bool) for _ in range(3))
    time, progress = np.zeros((count, longest), np.float32), np.zeros((count, longest), np.float32)
    for row, (poses, seconds, share, *_) in enumerate(streams):
        known = ~np.isnan(seconds)
        keypoints[row, : len(poses)] = poses
        present[row, : len(poses)] = True
        labelled[row, : len(poses)] = known
        at_work[row, : len(poses)] = ~np.isnan(share)
        time[row, : len(poses)] = np.nan_to_num(seconds)
        progress[row, : len(poses)] = np.nan_to_num(share)

    def column(values: list) -> Tensor:
        return torch.tensor(values)

    ticks = Ticks(
        torch.from_numpy(labelled),
        torch.from_numpy(at_work),
        torch.from_numpy(time),
        torch.from_numpy(progress),
        column([s[3] for s in streams]),
        column([s[4] for s in streams]),
        column([s[5].cyclic for s in streams]),
        column([s[5].trimmed for s in streams]),
        column([s[5].exact for s in streams]),
    )
    return Batch(torch.from_numpy(keypoints), torch.from_numpy(present), ticks)
