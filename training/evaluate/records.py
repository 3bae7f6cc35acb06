"""Records of what was measured: JSON files that any reader of JSON can read, each with the command that gave its figures."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from engine.errors import DataError
from training.evaluate.tables import machine

Record = Mapping[str, Any]


def origin(program: str) -> dict[str, str]:
    """Where a record comes from: the command that is running, as `program` (say "lockstep"), the day and the processor."""
    return {
        "command": shlex.join([*program.split(), *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": machine(),
    }


def finite(value: Any) -> Any:
    """The same with None for NaN and infinity, for which JSON has no words: what was never measured, or never came."""
    if isinstance(value, Mapping):
        return {str(name): finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_record(path: Path, record: Record) -> None:
    path.write_text(json.dumps(finite(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_record(path: Path) -> Record:
    """Raises DataError for what is not a record."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"cannot read {path}",
            expected="a record written with --json",
            found=str(error),
            next_step="Write it again with the command of its kind and `--json`, or take it out of the folder.",
        ) from error
