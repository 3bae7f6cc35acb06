"""A training as one YAML file: data, network, augmentation, objectives, schedule. Strictly checked, kept in the run folder."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, create_model, field_validator, model_validator

from engine.config import Section, read_yaml, validated
from engine.errors import ConfigError
from models.causal_crop import CausalCrop
from models.crop import POLICIES, recording_crop
from models.lockstep_net import LockstepNet, NetConfig
from training.augment import NONE, Augmentation
from training.datasets import READERS
from training.objectives import OBJECTIVES
from training.objectives.weighted import LEARNING, PURE

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class DataConfig(Section):
    """Recordings to learn from: training clips of one data set, and rendered stations."""

    format: str | None = "penn"
    """Name of a reader (see `training.datasets`); null: rendered stations only."""
    folder: Path | None = None
    """null, of `penn` only: where `../shared/data` or `$LOCKSTEP_DATA` keeps Penn Action."""
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

    @model_validator(mode="after")
    def _has_a_place(self) -> DataConfig:
        if self.folder is None and self.format not in (None, "penn"):
            raise ValueError(f"`folder:`, where the recordings of format {self.format} lie")
        return self


class BatchConfig(Section):
    """See `training.batches.Batches`."""

    ticks: PositiveInt = 1000
    longest: Annotated[int, Field(ge=2)] = 80
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
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the objective (see `training.objectives`)."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in OBJECTIVES:
            raise ValueError(f"one of {', '.join(OBJECTIVES)}")
        return name


class TrainingConfig(Section):
    """Everything that determines a run: the same file and seed give the same weights on the same machine."""

    name: str
    seed: Seed = 0
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
        try:
            with torch.device("meta"):  # shapes only: what does not go together shows, and nothing is computed
                LockstepNet(network)
        except ValueError as error:
            raise ValueError(f"net: {error}") from None
        self.augmenting()
        grid = self._cropping()["grid"]
        if grid != network.grid:
            raise ValueError(f"crop: expected the grid of `net`, {network.grid}, found {grid}")
        for objective in self.objectives:
            function: Any = PURE.get(objective.name) or LEARNING[objective.name]
            # Given are embeddings and ticks, or, to one that learns, the width and the number of procedures.
            _arguments(function, objective.options, f"options of {objective.name}", given=2)
        if len({objective.name for objective in self.objectives}) < len(self.objectives):
            raise ValueError("objectives: expected each name once")
        if self.schedule.steps == 0 and not self.start_from:
            raise ValueError("schedule: a run of no steps needs start_from, checkpoints whose mean it keeps")
        return self

    def network(self) -> NetConfig:
        arguments = _arguments(NetConfig, self.net, "net")
        try:
            return NetConfig(**arguments)
        except ValueError as error:
            raise ValueError(f"net: {error}") from None

    def augmenting(self) -> Augmentation:
        if self.augmentation == "none":
            return NONE
        return Augmentation(**_arguments(Augmentation, self.augmentation, "augmentation"))

    def _cropping(self) -> dict[str, Any]:
        parameters = {"policy": "causal", **self.crop}
        policy = parameters.pop("policy")
        if policy not in POLICIES:
            raise ValueError(f"crop: expected policy {' or '.join(POLICIES)}, found {policy!r}")
        # Each is given the layout or the poses.
        return _arguments(CausalCrop if policy == "causal" else recording_crop, parameters, "crop", given=1)


def load_training(path: Path) -> TrainingConfig:
    """Raises ConfigError: missing, not YAML, unknown keys, values that do not fit."""
    config: TrainingConfig = validated(TrainingConfig, read_yaml(path), str(path))
    return config


_ABOVE_ZERO = frozenset(
    {"slowest", "fastest", "pieces", "side", "grid", "temperature", "sigma", "sigma_s", "exact_sigma"}
    | {"gamma", "span_s", "window_s", "bins", "pairs", "most_pairs"}
)
"""What is counted, divided by or taken the logarithm of. No setting is negative; shares are at most 1."""
_SHARES = frozenset({"cut_up_to", "band"})


def _arguments(function: Callable[..., Any], values: dict[str, Any], where: str, given: int = 0) -> dict[str, Any]:
    """The keyword arguments of `function` but for its first `given`: `values`, and for the rest its defaults.

    Raises ValueError: a name it does not have, a value of another type than its signature says, a number out of range.
    """
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())[given:]
    known = [parameter.name for parameter in parameters]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(known)}")
    model = create_model(  # strict: true is no number, and "3" is none either
        "Arguments",
        __config__=ConfigDict(strict=True, arbitrary_types_allowed=True),
        **{p.name: (p.annotation, p.default) for p in parameters},  # type: ignore[call-overload]
    )
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        checked = dict(validated(model, listed, where))
    except ConfigError as error:
        found = str(ConfigError(error.problem, expected=error.expected, found=error.found))
        raise ValueError(found) from None
    for name, value in checked.items():
        above, share = name in _ABOVE_ZERO, name.endswith("_p") or name in _SHARES
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, str):
                continue
            if not 0 <= number <= (1 if share else sys.float_info.max) or (above and number == 0):
                wanted = "from 0 to 1" if share else "a number above 0" if above else "a number of at least 0"
                raise ValueError(f"{where}: {name!r} is wrong: expected {wanted}, found {number}")
    return checked
