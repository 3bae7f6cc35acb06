"""`lockstep train`: a network from a training's YAML."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[Path, typer.Argument(help="Training YAML; see configs/.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder (default: runs/NAME).")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, to identical results.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Another seed than the file's.", min=0, max=2**32 - 1)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Another number of steps than the file's.")] = None,
) -> None:
    """The run folder keeps settings, metrics, TensorBoard files and the checkpoint; `lockstep export` makes a bundle of it.

    Several processes: torchrun --nproc-per-node N -m clients.cli train CONFIG.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from training.checks import check, in_words, keep_problems
    from training.config import load_training
    from training.trainer import train

    settings = load_training(config)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    if steps is not None:
        settings = settings.model_copy(update={"schedule": settings.schedule.model_copy(update={"steps": steps})})
    folder = output or Path("runs") / settings.name
    first = os.environ.get("RANK", "0") == "0"  # of several processes the first speaks
    console = Console(stderr=True, quiet=not first)
    problems = check(settings)
    if problems and first:
        console.print(in_words(problems), style="yellow", highlight=False, markup=False)
        keep_problems(folder, problems)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("making batches", total=settings.schedule.steps)
        train(
            settings,
            folder,
            resume=resume,
            report=lambda done, figures: progress.update(
                task, completed=done, description=f"loss {figures['loss']:.3f}"
            ),
        )
    console.print(f"checkpoint: {folder / 'checkpoint'}   next: lockstep export {folder / 'checkpoint'} -o BUNDLE")
