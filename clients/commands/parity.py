"""`lockstep parity`: do two models compute the same thing on real movement?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from export.parity import Report, Side


def command(
    a: Annotated[str, typer.Argument(help="The one to trust: checkpoint folder, bundle, or BUNDLE@runtime.")],
    b: Annotated[str, typer.Argument(help="The one to check, likewise; e.g. body13@torch, body13@tensorrt.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of tracks, or a Penn Action copy. Default: what is found, else rendered stations."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Prints error, cosine, and agreement of phase and progress; status 2 names the gate that failed."""
    from rich.console import Console

    from export.parity import open_side

    report_parity(Console(), open_side(a), open_side(b), data, json_file)


def report_parity(console: Console, a: Side, b: Side, data: Path | None, json_file: Path | None = None) -> Report:
    """Compares, prints the table, writes the figures. Raises ParityError if a gate fails."""
    import json
    from dataclasses import asdict

    from rich import box
    from rich.table import Table

    from clients.progress import steps_bar
    from export.parity import compare
    from export.streams import real_streams

    groups = real_streams(data, a.layout, a.rate_hz)
    with steps_bar(console, len(groups)) as step:
        names = iter([group.name for group in groups[1:]])
        step(groups[0].name)
        report = compare(a, b, groups, lambda: step(next(names, "")))
    verdicts = {what: (limit, passed) for what, _, limit, passed in report.gates()}
    console.print(
        f"{report.a}  ⇄  {report.b}   ({report.precision}, {report.ticks} ticks)", highlight=False, soft_wrap=True
    )
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "measured", "gate", ""):
        table.add_column(column, justify="left" if column in ("", "gate") else "right")

    def percent(fraction: float, digits: int) -> str:
        return f"{100 * fraction:.{digits}f} %" if fraction == fraction else "not measured"

    rows = [
        ("largest error", f"{report.max_error:.2e}"),
        ("mean error", f"{report.mean_error:.2e}"),
        ("least cosine", f"{report.cosine:.6f}"),
        ("same phase", percent(report.same_phase, 2)),
        ("progress apart", percent(report.progress_difference, 4)),
    ]
    for what, measured in rows:
        limit, passed = verdicts.get(what, ("", True))
        mark = "" if what not in verdicts else "[green]passed[/]" if passed else "[red]failed[/]"
        table.add_row(what, measured, limit, mark)
    console.print(table)
    streams = ", ".join(f"{name} ({count})" for name, count in report.groups.items())
    console.print(f"[dim]on {streams}[/]", highlight=False)
    if json_file is not None:
        figures = asdict(report) | {"gates": [list(gate) for gate in report.gates()]}
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    report.check()
    return report
