"""A bundle: a folder with an exported model (`model.onnx`) and what one must know to run it (`bundle.json`).

`export.bundle` writes them; here they are read and checked. The bundle's identity is `Bundle.sha256`, the hash of its
model files: a reference remembers it, and is refused by another bundle.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from engine.errors import BundleError
from models import skeleton
from models.crop import check_crop

FORMAT = 1
SHIPPED = Path(__file__).parent / "bundles"
"""Bundles that come with the package."""
DEFAULT = "body13"


class Tensor(BaseModel):
    """One named tensor of the graph; `shape` without the leading batch dimension."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    dtype: Literal["float32", "float16", "int64", "int32", "bool"] = "float32"


class BundleInfo(BaseModel):
    """`bundle.json`. Fields without defaults are required."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1]
    name: str
    layout: str
    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Ticks per second the model was trained at; the resampler works on this grid."""
    mode: Literal["causal", "window"]
    window: PositiveInt
    """Ticks the temporal encoder sees."""
    look_ahead: Annotated[int, Field(ge=0)] = 0
    """Ticks by which the embedding lags the newest keypoints (0: no delay)."""
    embedding_dim: PositiveInt
    crop: dict[str, Any]
    """Policy and its parameters, see `models.crop`."""
    step_file: str = "model.onnx"
    """Graph of one tick: `keypoints` (B, K, 3) and `<state>` in; `embedding` (B, D) and `next_<state>` out."""
    sequence_file: str | None = None
    """Graph of a whole sequence: `keypoints` (B, T, K, 3) in, `embeddings` (B, T, D) out."""
    weights_file: str | None = None
    """The weights as safetensors: both graphs point into it, and the torch runtime reads it."""
    network: dict[str, Any] = {}
    """`models.lockstep_net.NetConfig`, for the torch runtime."""
    state: tuple[Tensor, ...] = ()
    """Tensors carried from tick to tick, all zero after a reset."""
    files: dict[str, str]
    """sha256 of each file of the bundle, by name."""
    opset: int = 0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Of the matrix products inside the graphs; what goes in and out is float32."""
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}

    @property
    def live(self) -> bool:
        """Whether it can follow a stream. A crop around the whole recording cannot be had before the recording is over."""
        return bool(self.crop.get("policy", "causal") == "causal")


class Bundle:
    """A checked bundle on disk. Raises BundleError: missing, truncated, altered, of another format or unknown layout."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        advice = (
            "Export it again with `lockstep export CHECKPOINT -o BUNDLE`, or leave --bundle out to use the shipped one."
        )
        sheet = self.folder / "bundle.json"
        try:
            self.info = BundleInfo.model_validate(json.loads(sheet.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise BundleError(
                f"no bundle at {self.folder}",
                expected="a folder with bundle.json and model.onnx",
                found="no bundle.json",
                next_step=advice,
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            raise BundleError(
                f"{sheet} breaks the format",
                expected=f"bundle format {FORMAT}",
                found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                next_step=advice,
            ) from None
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot read {sheet}", expected="JSON", found=str(error), next_step=advice) from None
        if self.info.layout not in skeleton.LAYOUTS:
            raise BundleError(
                f"bundle {self.info.name} has an unknown layout",
                expected=", ".join(skeleton.LAYOUTS),
                found=self.info.layout,
                next_step=advice,
            )
        try:
            check_crop(self.info.layout, self.info.crop)
        except ValueError as error:
            raise BundleError(
                f"bundle {self.info.name} asks for a crop that this version does not know",
                found=str(error),
                next_step="Upgrade lockstep, or export the bundle again.",
            ) from None
        for name, expected in self.info.files.items():
            path = self.folder / name
            found = file_sha256(path) if path.is_file() else "no such file"
            if found != expected:
                raise BundleError(
                    f"{path} is not the file this bundle was made with",
                    expected=f"sha256 {expected[:12]}…",
                    found=found[:16],
                    next_step=advice,
                )
        own = (self.info.step_file, self.info.sequence_file, self.info.weights_file)
        if unlisted := [name for name in own if name and name not in self.info.files]:
            raise BundleError(
                f"{sheet} does not list its own model",
                expected=unlisted[0],
                found=", ".join(self.info.files),
                next_step=advice,
            )

    def __repr__(self) -> str:
        return f"Bundle({self.info.name}, {self.info.layout}, {self.info.rate_hz:g} Hz, {self.sha256[:12]})"

    @property
    def step_path(self) -> Path:
        return self.folder / self.info.step_file

    @cached_property
    def sha256(self) -> str:
        """Identity: hash of the names and hashes of the bundle's files plus what changes embeddings (layout, rate, crop)."""
        key = json.dumps([self.info.files, self.info.layout, self.info.rate_hz, self.info.crop], sort_keys=True)
        return hashlib.sha256(key.encode()).hexdigest()


def open_bundle(name_or_path: str | Path | None = None) -> Bundle:
    """A shipped bundle by name (None: the default one), or any bundle by path. Raises BundleError."""
    if name_or_path is None:
        return Bundle(SHIPPED / DEFAULT)
    shipped = SHIPPED / str(name_or_path)
    if not Path(name_or_path).exists() and (shipped / "bundle.json").is_file():
        return Bundle(shipped)
    return Bundle(Path(name_or_path))


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
