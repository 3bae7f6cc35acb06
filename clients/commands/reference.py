"""`lockstep reference build` and `lockstep reference show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.reference import Reference

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def build(
    demonstrations: Annotated[
        list[str],
        typer.Argument(metavar="DEMO", help="One or several videos, or tracks (.npz), of the procedure done well."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The reference to write, for example my.ref.")],
    start: Annotated[float | None, typer.Option(help="Start of the cycle in the first recording, seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="End of the cycle in the first recording, seconds.")] = None,
    phases: Annotated[
        Path | None,
        typer.Option(help="phases.yaml: names, start_s and end_s on the first recording. Default: one phase."),
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="Bundle, by name or folder (default: the shipped one).")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also draw the reference into this file (.png, .svg or .pdf).")
    ] = None,
    estimator: Annotated[str, typer.Option(help="Pose estimator for videos.")] = "mediapipe",
    model: Annotated[
        Path | None, typer.Option(help="Model file for the estimator (default: the packaged one).")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Where the operator is: 'left,top,right,bottom' or 'x,y x,y x,y …', as fractions 0–1."),
    ] = None,
    cyclic: Annotated[bool, typer.Option("--cyclic/--once", help="Whether the work starts over at its end.")] = True,
) -> None:
    """Make a reference from one or several demonstrations; in all but the first, the cycle is looked for."""
    from rich.console import Console

    from clients.progress import progress_bar
    from clients.results import check_picture, check_writable
    from engine.bundle import open_bundle
    from engine.errors import ConfigError
    from engine.phase_marks import read_phases
    from engine.pose.selection import parse_region
    from engine.reference_building import Demonstration, reference_from_recordings

    if start is not None and end is not None and end <= start:
        raise ConfigError("--end is not after --start", expected=f"more than {start:g}", found=f"{end:g}")
    for path in filter(None, (output, picture)):
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"no folder for {path}", found=f"no {path.parent}", next_step="Create it first.")
    check_writable(output)
    check_picture(picture)
    marks = read_phases(phases) if phases is not None else None
    area = parse_region(region) if region is not None else None
    first = Demonstration(demonstrations[0], start, end)
    with progress_bar(Console(stderr=True), "reading", None) as advance_to:
        reference = reference_from_recordings(
            [first, *map(Demonstration, demonstrations[1:])],
            open_bundle(bundle),
            marks,
            cyclic=cyclic,
            estimator=estimator,
            model=model,
            area=area,
            each_frame=lambda name, time_s: advance_to(time_s),
        )
    reference.save(output)
    _describe(reference, output)
    if picture is not None:
        _draw(reference, picture, output.stem)


@app.command()
def show(
    reference: Annotated[Path, typer.Argument(help="A reference made by `lockstep reference build`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw it into this file (.png, .svg or .pdf).")
    ] = None,
) -> None:
    """Say what a reference holds, and draw it."""
    from clients.results import check_picture
    from engine.reference import Reference

    check_picture(output)
    loaded = Reference.load(reference)
    _describe(loaded, reference)
    if output is not None:
        _draw(loaded, output, reference.stem)


def _draw(reference: Reference, path: Path, title: str) -> None:
    from clients.reference_picture import save_reference_picture

    save_reference_picture(reference, path, title)
    typer.echo(f"written: {path}")


def _describe(reference: Reference, path: Path) -> None:
    import numpy as np
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from clients.colours import phase_colour

    info = reference.info
    console = Console()
    console.print(
        f"{path}: {reference.duration_s:.2f} s, {'cyclic' if info.cyclic else 'not cyclic'}, {info.layout} at "
        f"{info.rate_hz:g} Hz, bundle {info.bundle} ({info.bundle_sha256[:12]})",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"from {', '.join(info.demonstrations)}", highlight=False, markup=False, style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("phase")
    for heading in ("start s", "end s", "median s", "range s"):
        table.add_column(heading, justify="right")
    table.add_column("rules")
    durations = np.array(info.durations_s)
    for index, phase in enumerate(info.phases):
        column = durations[:, index]
        rules = [
            "optional" if phase.optional else "",
            f"any order in {phase.group}" if phase.group else "",
            f"limit {phase.limit_s:g} s" if phase.limit_s else "",
            "needs confirmation" if phase.confirm else "",
        ]
        table.add_row(
            Text("■ ", style=phase_colour(index)) + Text(phase.name),
            f"{phase.start_s:.2f}",
            f"{phase.end_s:.2f}",
            f"{np.median(column):.2f}",
            f"{column.min():.2f}–{column.max():.2f}" if len(column) > 1 else "",
            ", ".join(filter(None, rules)),
        )
    console.print(table)
