"""A station's settings: one YAML file, strictly checked. Every unknown key, wrong type or bad value is one clear line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from engine.errors import ConfigError


def _a_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError("a name of letters, digits, '.', '_' and '-', at most 64 long")
    return value


def _box_or_corners(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Only the kind of values: `engine.pose.selection.region` checks whether they make an area of the picture."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError("left, top, right, bottom or corners [x, y], as fractions 0–1 of the picture") from None


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(Section):
    """Which camera or recording, and how frames are taken from it."""

    open: Annotated[str, Field(coerce_numbers_to_str=True)] = "0"
    """Webcam number, video file, rtsp:// URL, folder of images, track (.npz), or `synth:` with options."""
    policy: Literal["auto", "freshest", "every"] = "auto"
    """auto: `freshest` for what is live, `every` for recordings."""


class PoseConfig(Section):
    """Which estimator finds people, and which of them is the operator."""

    estimator: str = "mediapipe"
    model: Path | None = None
    """Model file for the estimator; null: the one in its package (`rtmpose-onnx` has none)."""
    region: Annotated[
        tuple[float, float, float, float] | tuple[tuple[float, float], ...] | None, WrapValidator(_box_or_corners)
    ] = None
    """Left, top, right, bottom, or the corners [x, y] of a polygon, as fractions of the picture: only a person centred in
    here is the operator."""


class BusConfig(Section):
    """Where messages go. Loopback unless keys are configured."""

    publish: str | None = "tcp://127.0.0.1:5560"
    """State, events, hello and heartbeat; null: no bus."""
    requests: str | None = "tcp://127.0.0.1:5561"
    """Replay of events, hello on request, confirmations."""
    keys: Path | None = None
    """Folder made by `lockstep keys new`: turns on CURVE."""
    insecure: str = ""
    """Binding beyond loopback without keys is refused unless this says: anyone on this network may read and send"""


class StoreConfig(Section):
    """Where events and cycles are kept."""

    url: str | None = None
    """SQLAlchemy URL; null: `<station>.db`, SQLite, beside the configuration."""
    keep_days: Annotated[float, Field(gt=0)] = 365.0


class HealthConfig(Section):
    """Metrics and /healthz over HTTP, and how logs look."""

    address: str | None = None
    """host:port for Prometheus and /healthz, for example 127.0.0.1:9560; null: none."""
    json_logs: bool = False


class StagesConfig(Section):
    """Where the stages of a split station meet (`lockstep stage`). null: socket files of this user, on this machine."""

    frames: str | None = None
    poses: str | None = None
    states: str | None = None


class StationConfig(Section):
    """One station. Paths are relative to the YAML file."""

    station: Annotated[str, AfterValidator(_a_name)] = "station"
    source: SourceConfig = SourceConfig()
    pose: PoseConfig = PoseConfig()
    reference: Path
    bundle: str | None = None
    """Name of a shipped bundle or a folder; null: the shipped default."""
    runtime: Literal[
        "auto", "tensorrt", "tensorrt-rtx", "native", "onnxruntime-cuda", "onnxruntime-tensorrt", "onnxruntime", "torch"
    ] = "auto"
    bus: BusConfig = BusConfig()
    store: StoreConfig = StoreConfig()
    health: HealthConfig = HealthConfig()
    stages: StagesConfig = StagesConfig()
    privacy: bool = False
    """No picture leaves the process that took it: nothing of it is published, stored, recorded or logged."""


PLAINLY = {
    "model_type": "a mapping of settings",
    "dict_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
    "string_type": "text, in quotes if it looks like a number",
    "path_type": "a path",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "invalid_key": "a name as the key",
}
"""Pydantic's type of error → what was expected, where its own words are Python's."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, safe loader only. Raises ConfigError: missing, unreadable, not YAML, not a mapping."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}", found=getattr(error, "strerror", None) or str(error), next_step="Check the path."
        ) from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}: " if where else ""
        raise ConfigError(
            f"{path} is not YAML",
            expected="plain YAML without tags",
            found=f"{line}{getattr(error, 'problem', None) or str(error).splitlines()[0]}",
        ) from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no settings", expected="a mapping of settings", found=type(data).__name__)
    return data


def validated(model: type[Section], data: dict[str, Any], where: str) -> Any:
    """`data` as `model`. Raises ConfigError that names the first wrong key, what was found, and the keys that exist."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            fields = _fields_at(model, first["loc"][:-1])
            raise ConfigError(
                f"{where} has the unknown key {key!r}",
                expected=f"one of {', '.join(fields)}" if fields else "no such key",
                found=repr(first["input"])[:60],
                next_step="Correct or remove it.",
            ) from None
        if first["type"] == "missing":
            raise ConfigError(f"{where} lacks {key!r}", next_step=f"Add `{key}: …`.") from None
        # Pydantic's location also names the alternatives of a union ("dict[str,any]"), which stand in no file.
        key = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        plainly = PLAINLY.get(first["type"])
        if not key:  # settings that do not go together: `found` would be the whole file
            raise ConfigError(f"{where}: {said}", next_step="Correct it.") from None
        raise ConfigError(
            f"{where}: {key!r} is wrong",
            expected=plainly.format(**first.get("ctx", {})) if plainly else said,
            found="nothing" if first["input"] is None else repr(first["input"])[:60],
            next_step="Correct it.",
        ) from None


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def load_station(path: Path) -> StationConfig:
    """The settings of a station, with paths made absolute against the file's folder. Raises ConfigError."""
    config: StationConfig = validated(StationConfig, read_yaml(path), str(path))
    base = path.resolve().parent
    if config.store.url is None and "?" in str(base):  # a URL ends its path there: the store would be another file
        raise ConfigError(
            f"the store cannot lie beside {path}",
            expected="a folder without a question mark in its path",
            found=str(base),
            next_step="Move it, or set store.url.",
        )
    bundle = config.bundle
    if bundle is not None and (base / bundle).exists():
        bundle = str(base / bundle)
    source = config.source
    # A number is a camera, whatever else lies here; nothing is not this folder.
    if source.open and not source.open.isdigit() and (base / source.open).exists():
        source = source.model_copy(update={"open": str(base / source.open)})
    return config.model_copy(
        update={
            "reference": base / config.reference,
            "bundle": bundle,
            "source": source,
            "pose": config.pose.model_copy(update={"model": base / config.pose.model if config.pose.model else None}),
            "bus": config.bus.model_copy(update={"keys": base / config.bus.keys if config.bus.keys else None}),
            "store": config.store.model_copy(
                update={"url": config.store.url or f"sqlite:///{base / config.station}.db"}
            ),
        }
    )


def station_from_options(
    station: Path | None,
    source: str | None,
    reference: Path | None,
    bundle: str | None,
    policy: str | None,
    publish: bool | None,
) -> StationConfig:
    """The settings of `lockstep run`: a YAML file with options overriding it, or a source and a reference alone.

    `publish` None: as the file says. A station given by options alone keeps its events in memory and is on the bus only
    if `publish` is set. Raises ConfigError.
    """
    if station is None and (source is None or reference is None):
        raise ConfigError(
            "nothing to run",
            expected="STATION.yaml, or both --source and --reference",
            found=f"--source {source}" if source else f"--reference {reference}" if reference else "neither",
            next_step="Build a reference with `lockstep reference build DEMO -o my.ref`, or see it work with `lockstep demo`.",
        )
    if station is not None:
        config = load_station(station)
    else:
        config = StationConfig(reference=reference or Path(), store=StoreConfig(url="sqlite://"))
        publish = bool(publish)
    if policy is not None and policy not in ("freshest", "every"):
        raise ConfigError("unknown --policy", expected="freshest or every", found=policy)
    changed = {key: value for key, value in (("open", source), ("policy", policy)) if value is not None}
    return config.model_copy(
        update={
            "source": config.source.model_copy(update=changed),
            "reference": reference or config.reference,
            "bundle": bundle or config.bundle,
            "bus": _on_or_off(config.bus, publish),
        }
    )


def _on_or_off(bus: BusConfig, publish: bool | None) -> BusConfig:
    if publish is False:
        return bus.model_copy(update={"publish": None, "requests": None})
    if publish and bus.publish is None:
        usual = BusConfig()
        return bus.model_copy(update={"publish": usual.publish, "requests": bus.requests or usual.requests})
    return bus
