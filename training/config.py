"""A training as one YAML file: data, network, augmentation, objectives, schedule. Strictly checked, kept in the run folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from engine.config import Section, read_yaml, validated
from models import skeleton
from models.crop import crop_sequence
from models.lockstep_net import NetConfig
from training.augment import NONE, Augmentation
from training.datasets import READERS
from training.objectives import OBJECTIVES


class DataConfig(Section):
    """Recordings to learn from: training clips of one data set, and rendered stations."""

    format: str | None = "penn"
    """Name of a reader (see `training.datasets`); null: rendered stations only."""
    folder: Path | None = None
    """null: where `../shared/data` or `$LOCKSTEP_DATA` keeps Penn Action."""
    actions: tuple[str, ...] | None = None
    """null: all of them."""
    hold_out_tuning: bool = False
    """Leave out the training clips on which `training.evaluate.probe` chooses configurations."""
    phase_labels: bool = False
    """Where the data set labels phases, people are aligned by them instead of by equal shares of their clips."""
    station_workers: Annotated[int, Field(ge=0)] = 0
    """Rendered workers, two cycles each."""
    station_tracks: tuple[Path, ...] = ()
    """Folders of workers recorded through the pose estimator (see `training.datasets.station_tracks`)."""
    station_tracks_weight: PositiveInt = 1
    """How many rendered workers a recorded one counts for: the real estimator's errors are what a station meets."""

    @field_validator("format")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in READERS:
            raise ValueError(f"one of {', '.join(READERS)}")
        return name


class BatchConfig(Section):
    """See `training.batches.Batches`."""

    ticks: PositiveInt = 1000
    longest: PositiveInt = 80
    actions: PositiveInt = 2
    chain_p: Annotated[float, Field(ge=0, le=1)] = 0.3
    emphasis: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Action → how many times as often it comes as its number of recordings alone would have it."""


class ScheduleConfig(Section):
    """AdamW, linear warm-up, cosine decay to 2 % of the peak."""

    steps: Annotated[int, Field(ge=0)]
    """0: the checkpoint is what the run would have begun from, the mean of `start_from`."""
    lr: PositiveFloat = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Annotated[int, Field(ge=0)] = 100
    clip: PositiveFloat = 1.0
    average_from: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The weights kept are an exponential average, begun after this share of the steps."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995


class ObjectiveConfig(Section):
    name: str
    weight: PositiveFloat = 1.0
    options: dict[str, float] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in OBJECTIVES:
            raise ValueError(f"one of {', '.join(OBJECTIVES)}")
        return name


class TrainingConfig(Section):
    """Everything that determines a run: the same file and seed give the same weights on the same machine."""

    name: str
    seed: int = 0
    data: DataConfig = DataConfig()
    net: dict[str, Any] = Field(default_factory=dict)
    """Fields of `models.lockstep_net.NetConfig`."""
    crop: dict[str, Any] = Field(default_factory=dict)
    """Policy and its parameters, see `models.crop`."""
    augmentation: dict[str, Any] | Literal["none"] = Field(default_factory=dict)
    """Fields of `training.augment.Augmentation`."""
    objectives: Annotated[tuple[ObjectiveConfig, ...], Field(min_length=1)]
    drop_projection: bool = False
    """The projection serves the objectives only: the checkpoint's embeddings are the features before it (LA2DS)."""
    batches: BatchConfig = BatchConfig()
    schedule: ScheduleConfig
    start_from: tuple[Path, ...] = ()
    """Checkpoint or bundle whose weights are the first ones (see `training.checkpoint.begin_from`), or several, whose mean is; none: random."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    checkpoint_every: PositiveInt = 100

    @field_validator("start_from", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, (str, Path)) else value or ()

    @model_validator(mode="after")
    def _fits(self) -> TrainingConfig:
        network = self.network()
        self.augmenting()
        try:
            crop_sequence(np.zeros((1, skeleton.layout(network.layout).size, 3)), network.layout, **self.crop)
        except TypeError as error:
            raise ValueError(f"crop: {error}") from None
        if self.schedule.steps == 0 and not self.start_from:
            raise ValueError("schedule: a run of no steps needs start_from, checkpoints whose mean it keeps")
        return self

    def network(self) -> NetConfig:
        return _of(NetConfig, self.net)

    def augmenting(self) -> Augmentation:
        return NONE if self.augmentation == "none" else _of(Augmentation, self.augmentation)


def load_training(path: Path) -> TrainingConfig:
    """Raises ConfigError: missing, not YAML, unknown keys, values that do not fit."""
    config: TrainingConfig = validated(TrainingConfig, read_yaml(path), str(path))
    return config


def _of(kind: Any, values: dict[str, Any]) -> Any:
    """A dataclass from YAML: lists become tuples; unknown fields are named."""
    known = [field.name for field in fields(kind)]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(known)}")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except TypeError as error:
        raise ValueError(str(error)) from None
