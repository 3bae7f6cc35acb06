"""A reference: the expert recording(s) as embeddings on one clock, with phases, spread and duration statistics.

Built by `engine.matching.building` from embedded demonstrations; here are its parts and its file (`.ref`: one `.npz`
without pickles, arrays plus one JSON record).
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.bundle import Bundle
from engine.errors import BadReference

FORMAT = 1


class Phase(BaseModel):
    """A named part of the procedure, in seconds on the reference's clock (0 at its first tick)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    start_s: float
    end_s: float
    optional: bool = False
    """An optional phase raises no alert when it is left out."""
    group: str | None = None
    """Phases that share a group may come in any order."""
    limit_s: float | None = None
    """Dwelling longer than this is `slow`; None: the limit is learned from the demonstrations."""
    confirm: bool = False
    """True: finished only when an external signal (barcode, PLC) confirms it over the bus."""


class ReferenceInfo(BaseModel):
    """The JSON record of a reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int = FORMAT
    bundle: str
    bundle_sha256: str
    layout: str
    rate_hz: float
    cyclic: bool = True
    phases: tuple[Phase, ...]
    durations_s: tuple[tuple[float, ...], ...]
    """Per demonstration: seconds spent in each phase."""
    demonstrations: tuple[str, ...]
    emission: dict[str, Any]
    """Parameters of the fitted emission, see `engine.matching.emission`."""


class Reference:
    """Arrays and record together. N ticks, D embedding dimensions.

    mean (N, D) float32 and variance (N,) float32: of the demonstrations' embeddings at each position;
    poses (N, K, 3) float32: the first demonstration's skeleton at each position, for pictures;
    templates (M, N, D) float32: each demonstration's embeddings on the common clock (None: the mean is the only one).
    """

    def __init__(
        self,
        info: ReferenceInfo,
        mean: NDArray[np.float32],
        variance: NDArray[np.float32],
        poses: NDArray[np.float32],
        templates: NDArray[np.float32] | None = None,
    ) -> None:
        self.info, self.mean, self.variance, self.poses = info, mean, variance, poses
        self.templates = mean[None] if templates is None else templates
        if mean.ndim != 2 or len(mean) < 2 or variance.shape != (len(mean),) or len(poses) != len(mean):
            raise BadReference(
                "the reference has the wrong shape",
                expected="mean (N, D), variance (N,), poses (N, K, 3) with N ≥ 2",
                found=f"{mean.shape}, {variance.shape}, {poses.shape}",
                next_step="Build it again with `lockstep reference build`.",
            )
        if self.templates.ndim != 3 or self.templates.shape[1:] != mean.shape:
            raise BadReference(
                "the reference's templates have the wrong shape",
                expected=f"(M, {mean.shape[0]}, {mean.shape[1]})",
                found=f"{self.templates.shape}",
                next_step="Build it again with `lockstep reference build`.",
            )
        if not all(np.isfinite(array).all() for array in (mean, variance, self.templates)):
            raise BadReference(
                "the reference holds values that are not numbers",
                next_step="Build it again with `lockstep reference build`.",
            )

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def duration_s(self) -> float:
        return len(self.mean) / self.info.rate_hz

    def phase_index(self, position_s: float) -> int:
        """Index of the phase that holds a position (the last one that has started)."""
        starts = [phase.start_s for phase in self.info.phases]
        return max(0, int(np.searchsorted(starts, position_s + 1e-9, side="right")) - 1)

    def check_bundle(self, bundle: Bundle) -> None:
        """Raises BadReference if this reference was made with another bundle: its embeddings mean nothing there."""
        if self.info.bundle_sha256 != bundle.sha256:
            raise BadReference(
                "this reference was made with another bundle",
                expected=f"bundle {bundle.info.name} ({bundle.sha256[:12]})",
                found=f"{self.info.bundle} ({self.info.bundle_sha256[:12]})",
                next_step="Build the reference again with this bundle (`lockstep reference build`), or pass --bundle the one it was made with.",
            )

    def save(self, path: Path) -> None:
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                mean=self.mean.astype(np.float32),
                variance=self.variance.astype(np.float32),
                poses=self.poses.astype(np.float32),
                templates=self.templates.astype(np.float32),
                info=np.frombuffer(self.info.model_dump_json().encode(), np.uint8),
            )
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> Reference:
        """Raises BadReference for a missing, truncated or foreign file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                info = ReferenceInfo.model_validate(json.loads(file["info"].tobytes()))
                return Reference(info, file["mean"], file["variance"], file["poses"], file["templates"])
        except (OSError, ValueError, KeyError, EOFError, ValidationError, zipfile.BadZipFile) as error:
            raise BadReference(
                f"cannot read the reference {path}",
                expected="a file written by `lockstep reference build`",
                found=_found(error),
                next_step="Build it again with `lockstep reference build DEMO -o FILE`.",
            ) from error


def _found(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    no_archive = isinstance(error, zipfile.BadZipFile | EOFError) or "pickle" in str(error)  # NumPy's word for it
    if no_archive:
        return "another kind of file, or a part of one"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
