"""Phases as a person marks them: a YAML list of names with start and end, in seconds as a video player shows them.

    phases:
      - {name: pick, start_s: 1.2, end_s: 3.0}
      - {name: fasten, start_s: 3.0, end_s: 6.5, limit_s: 8}

Times are those of the first demonstration's recording. Phases follow each other and do not overlap; a gap between two
belongs to the one before it. Without --start/--end the reference reaches from the first phase's start to the last one's
end; with them, what lies before the first phase belongs to it, and what lies after the last one to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from engine.config import Section, read_yaml, validated
from engine.errors import ConfigError
from engine.reference import Phase

SLACK_S = 0.1
"""A mark may lie this far outside the recording: players round, and the last frame lasts beyond its time stamp."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PhaseMark(Section):
    """One entry of the file."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    start_s: Annotated[Seconds, Field(validation_alias=AliasChoices("start_s", "start"))]
    end_s: Annotated[Seconds, Field(validation_alias=AliasChoices("end_s", "end"))]
    optional: bool = False
    group: str | None = None
    limit_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    confirm: bool = False


class PhaseFile(Section):
    phases: list[object]


def read_phases(path: Path) -> list[Phase]:
    """The phases of a file, on the clock of the recording they were marked on.

    Raises ConfigError: unreadable, unknown keys, names used twice, ends before starts, overlaps.
    """
    entries = validated(PhaseFile, read_yaml(path), str(path)).phases
    phases = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}, phase {number}"
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} is wrong", expected="name, start_s, end_s", found=repr(entry)[:60])
        phases.append(Phase(**validated(PhaseMark, entry, where).model_dump()))
    check_order(phases, str(path))
    return phases


def check_order(phases: Sequence[Phase], where: str) -> None:
    """Raises ConfigError unless there are phases, named apart, each with an extent, in order, without overlap."""
    if not phases:
        raise ConfigError(f"{where} holds no phases", expected="at least one", found="none", next_step="Add one.")
    for phase in phases:
        if phase.end_s <= phase.start_s:
            raise ConfigError(
                f"{where}: phase {phase.name!r} ends before it begins",
                expected=f"an end after {phase.start_s:g} s",
                found=f"{phase.end_s:g} s",
                next_step="Correct its times.",
            )
    for before, after in pairwise(phases):
        if after.start_s < before.end_s - 1e-6:
            overlap = after.start_s >= before.start_s
            raise ConfigError(
                f"{where}: phases {before.name!r} and {after.name!r} {'overlap' if overlap else 'are out of order'}",
                expected=f"{after.name!r} to start at {before.end_s:g} s or later",
                found=f"{after.start_s:g} s",
                next_step="Correct their times.",
            )
    names = [phase.name for phase in phases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"{where} uses a name twice",
            expected="a different name for each phase",
            found=", ".join(map(repr, twice)),
            next_step="Rename one.",
        )


def on_reference_clock(phases: Sequence[Phase], start_s: float, end_s: float) -> list[Phase]:
    """Phases marked on a recording's clock, on that of the reference cut from it at `start_s` … `end_s`, without gaps.

    Raises ConfigError for a phase that is not within the cut.
    """
    for phase in phases:
        if phase.start_s < start_s - SLACK_S or phase.end_s > end_s + SLACK_S:
            raise ConfigError(
                f"phase {phase.name!r} lies outside the demonstration",
                expected=f"times within {start_s:.2f}–{end_s:.2f} s",
                found=f"{phase.start_s:g}–{phase.end_s:g} s",
                next_step="Correct the phase, or --start and --end.",
            )
    starts = [start_s, *(phase.start_s for phase in phases[1:])]
    ends = [*starts[1:], end_s]
    return [
        phase.model_copy(update={"start_s": max(a, start_s) - start_s, "end_s": min(b, end_s) - start_s})
        for phase, a, b in zip(phases, starts, ends, strict=True)
    ]
