"""A rendered station in one line: `seed=3,cycles=5,skip=fasten@2` (of `synth:…` sources and `lockstep synth`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from engine.errors import ConfigError
from engine.sources.rendered.parameters import PHASES, Deviation, DeviationKind, StationParams

_SECONDS = {"pause": 4.0, "leave": 8.0, "turn": 6.0}
_NUMBERS: dict[str, type] = {
    "seed": int,
    "worker": int,
    "cycles": int,
    "speed": float,
    "idle": float,
    "fps": float,
    "deviations": int,
}
OPTIONS = (*_NUMBERS, *get_args(DeviationKind))


def parse_options(text: str) -> dict[str, str]:
    """`a=1,b=2` → a mapping. Raises ConfigError."""
    options: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ConfigError(f"cannot read the option {part!r}", expected="name=value", found=part)
        options[name.strip()] = value.strip()
    return options


def station_params(options: Mapping[str, str]) -> StationParams:
    """Options → parameters. Raises ConfigError for an unknown name or a value that does not fit.

    `worker` draws the worker (default: `seed`), `seed` what varies within the recording, `deviations` that many random
    ones. `skip`, `repeat`, `swap` take PHASE@CYCLE, `pause`, `leave`, `turn` take PHASE@CYCLE:SECONDS; a phase is a name or
    a number from 1; several are joined by `+`.
    """
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise ConfigError(
            f"a rendered station has no option {unknown[0]!r}",
            expected=f"one of {', '.join(OPTIONS)}",
            found=unknown[0],
        )
    numbers: dict[str, Any] = {}
    for name, kind in _NUMBERS.items():
        if name in options:
            try:
                numbers[name] = kind(options[name])
            except ValueError:
                raise ConfigError(
                    f"cannot read {name}", expected="a whole number" if kind is int else "a number", found=options[name]
                ) from None
    seed = numbers.pop("seed", 0)
    worker = numbers.pop("worker", seed)
    if seed < 0 or worker < 0 or numbers.get("deviations", 0) < 0:
        raise ConfigError("a seed or a count is negative", expected="0 or more")
    if "idle" in numbers:
        numbers["idle_s"] = numbers.pop("idle")
    drawn = StationParams.random(worker, **numbers)
    chosen = tuple(
        _deviation(kind, part)
        for kind in get_args(DeviationKind)
        if kind in options
        for part in options[kind].split("+")
    )
    return replace(drawn, seed=seed, deviations=drawn.deviations + chosen)


def _deviation(kind: DeviationKind, text: str) -> Deviation:
    place, _, seconds = text.partition(":")
    phase, _, cycle = place.partition("@")
    try:
        number = PHASES.index(phase) if phase in PHASES else int(phase) - 1
        return Deviation(kind, number, int(cycle), float(seconds) if seconds else _SECONDS.get(kind, 0.0))
    except ValueError:
        raise ConfigError(
            f"cannot read {kind}={text}",
            expected=f"PHASE@CYCLE{':SECONDS' if kind in _SECONDS else ''} with a phase from 1 to {len(PHASES)} or one of {', '.join(PHASES)}",
            found=text,
        ) from None
