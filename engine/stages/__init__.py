"""The live path split over processes or machines: the same parts as `station.py`, joined by links, one stage a file.

    capture ─frames→ pose ─poses→ align ─states→ publish ─→ subscribers
                                    └─ events + checkpoint, one transaction → store ─events→ publish

A stage first prepares (imports, models), then waits for its turn, then runs: a prepared one stands by for each that runs.
Any of them may be killed at any moment. Of a recording each goes on exactly after the last item whose consequences are
stored; live, only what a dead capture or pose stage did not see is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from threadpoolctl import threadpool_limits

from engine.config import StationConfig
from engine.errors import ConfigError
from engine.stages.wiring import Run

STAGES = ("capture", "pose", "align", "publish")


def stage_names(config: StationConfig) -> tuple[str, ...]:
    """Privacy: capture is part of the pose stage, so that no picture goes over a link."""
    return STAGES[1:] if config.privacy else STAGES


def prepare(stage: str, config: StationConfig) -> Run:
    """Everything that takes long, before the stage's turn. Raises a LockstepError for what does not fit."""
    if stage not in stage_names(config):
        why = " (privacy: capture runs inside the pose stage)" if config.privacy and stage == "capture" else ""
        raise ConfigError(f"no stage {stage!r}{why}", expected=", ".join(stage_names(config)), found=stage)
    run = cast(Run, import_module(f"engine.stages.{stage}").prepare(config))
    # For good, as in `open_station`: threads of the linear algebra would only wait for those of the pose estimator.
    threadpool_limits(1, user_api="blas")
    return run
