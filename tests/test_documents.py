"""What the documents promise: links that lead somewhere, commands and options that exist, an example that is accepted."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import typer

from clients.cli import COMMANDS, build_app
from engine.phase_marks import read_phases

HERE = Path(__file__).parents[1]
PAGES = [*HERE.glob("*.md"), *(HERE / "docs").rglob("*.md"), *(HERE / "engine" / "bundles").rglob("*.md")]
names = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(HERE).as_posix())


@cache
def options(command: str, part: str) -> frozenset[str]:
    """Of `lockstep COMMAND`, or of `lockstep COMMAND PART` where a command has parts."""
    found = typer.main.get_command(build_app(command)).commands[command]
    found = getattr(found, "commands", {}).get(part, found)
    return frozenset(name for option in found.params for name in (*option.opts, *option.secondary_opts)) | {"--help"}


@names
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        there = (page.parent / target) if target else page
        assert there.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings}


@names
def test_commands_and_their_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8").split("\n")
    for line in text:
        for command, part, rest in re.findall(r"(?:^|[` (])lockstep ([a-z]+) ?([a-z]*)([^`#|;]*)", line):
            if command not in COMMANDS:
                continue  # a sentence about Lockstep's lockstep
            known = options(command, part)
            for option in re.findall(r"(?<![\w-])(--[a-z][a-z-]+|-[a-z])(?![\w-])", rest):
                assert option in known, f"lockstep {command} {part}: {option}"


def test_the_phases_that_the_readme_marks_are_accepted(tmp_path: Path) -> None:
    (marks,) = re.findall(r"```yaml\n(phases:.*?)```", (HERE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "phases.yaml").write_text(marks, encoding="utf-8")
    assert [phase.name for phase in read_phases(tmp_path / "phases.yaml")] == [
        "pick",
        "place",
        "fasten",
        "inspect",
        "hand_off",
    ]
