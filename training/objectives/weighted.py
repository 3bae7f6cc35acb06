"""The objectives of a training, with their weights and, where an objective learns something itself, what it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from training.objectives.base import Objective, Ticks
from training.objectives.contrastive_regression import contrastive_regression
from training.objectives.cross_video import cross_video
from training.objectives.lav import lav
from training.objectives.progress_contrastive import progress_contrastive
from training.objectives.progress_prototypes import ProgressPrototypes
from training.objectives.realigned import realigned
from training.objectives.sequence_contrastive import sequence_contrastive
from training.objectives.tcc import tcc

PURE: dict[str, Objective] = {
    "contrastive_regression": contrastive_regression,
    "sequence_contrastive": sequence_contrastive,
    "cross_video": cross_video,
    "progress_contrastive": progress_contrastive,
    "realigned": realigned,
    "tcc": tcc,
    "lav": lav,
}
LEARNING = {"progress_prototypes": ProgressPrototypes}
OBJECTIVES = (*PURE, *LEARNING)


class Wanted(Protocol):
    """What a training says of one objective."""

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def options(self) -> Mapping[str, float]: ...


class WeightedObjectives(nn.Module):
    """embeddings (N, T, E), ticks → {"loss": weighted sum, name: scalar, …}."""

    def __init__(self, wanted: Sequence[Wanted], dim: int, procedures: int) -> None:
        super().__init__()
        self.wanted = tuple(wanted)
        self.learning = nn.ModuleDict(
            {o.name: LEARNING[o.name](dim, procedures, **o.options) for o in wanted if o.name in LEARNING}
        )

    def forward(self, z: Tensor, ticks: Ticks) -> dict[str, Tensor]:
        parts = {
            o.name: self.learning[o.name](z, ticks) if o.name in LEARNING else PURE[o.name](z, ticks, **o.options)
            for o in self.wanted
        }
        return {"loss": torch.stack([o.weight * parts[o.name] for o in self.wanted]).sum(), **parts}
