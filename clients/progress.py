"""A progress bar over the seconds of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(console: Console, name: str, duration_s: float | None) -> Iterator[Callable[[float], None]]:
    """Yields a function that takes the time reached. Unknown duration: the bar pulses. Gone when the block ends;
    nothing at all where the output is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(40), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=duration_s)
        yield lambda time_s: progress.update(task, completed=time_s)


@contextmanager
def steps_bar(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """Yields a function to call as each of `total` steps begins, with what it is. Gone when the block ends."""
    columns = (BarColumn(30), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        begun = 0

        def step(what: str) -> None:
            nonlocal begun
            progress.update(task, completed=begun, description=what)
            begun += 1

        yield step
