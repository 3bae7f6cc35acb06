"""What `lockstep bench` shows: tables in the terminal, and a picture. docs/performance.md explains every line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

    from benchmarks.step import StepFigures
    from engine.bundle import Bundle

_COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00")
_SOFT = "#475467"


def show(console: Console, bundle: Bundle, steps: StepFigures, figures: dict[str, Any]) -> None:
    """Prints the tables."""
    machine = figures["machine"]
    console.print(
        f"[bold]{bundle.info.name}[/], window {bundle.info.window} ticks at {bundle.info.rate_hz:g} Hz, on {machine['cpu']}, one thread"
        f"{', ' + machine['gpu'] if machine['gpu'] else ''}; load before the run {machine['load_at_start']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, title="One tick of the embedder", title_justify="left", pad_edge=False)
    for column in ("", "batch", "p50 ms", "p95 ms", "p99 ms", "ticks/s", "× floor"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for batch in steps.flops:
        medians = {
            name: steps.percentile(name, batch, 50) for name, found in steps.samples_ms.items() if batch in found
        }
        names = sorted(medians, key=medians.__getitem__, reverse=True)
        for name in names:
            p50, p95, p99 = (steps.percentile(name, batch, q) for q in (50, 95, 99))
            floor = "on the GPU" if name in steps.on_gpu else f"{p50 / steps.floor_ms(batch):.1f}"
            table.add_row(name, str(batch), _ms(p50), _ms(p95), _ms(p99), f"{1000 * batch / p50:.0f}", floor)
        mflop = steps.flops[batch] / 1e6
        table.add_row(f"floor, {mflop:.0f} MFLOP", str(batch), _ms(steps.floor_ms(batch)), "", "", "", "1.0", end_section=True)  # fmt: skip
    console.print(table)
    console.print(
        f"[dim]floor: matrix products of the graph at {steps.gflops:.0f} GFLOP/s, measured in between[/]",
        highlight=False,
    )
    for name, why in steps.skipped.items():
        console.print(f"[dim]{name} not measured: {why}[/]", highlight=False)
    if "stages_ms" in figures:
        stages = Table(box=box.SIMPLE_HEAD, title="The live path, per frame or tick", title_justify="left")
        for column in ("", "p50 ms", "p95 ms", "p99 ms"):
            stages.add_column(column, justify="left" if not column else "right")
        for name, row in figures["stages_ms"].items():
            stages.add_row(name, f"{row['p50']:.3f}", f"{row['p95']:.3f}", f"{row['p99']:.3f}")
        console.print(stages)
        console.print(f"{figures['frames_per_s']:g} frames/s of one camera, end to end", highlight=False)
    scaling = Table(box=box.SIMPLE_HEAD, title="Scaling", title_justify="left")
    for column in ("", "", "p50 ms"):
        scaling.add_column(column, justify="right" if column else "left")
    for length, row in figures["matcher"].items():
        scaling.add_row("matcher", f"reference of {length} ticks", f"{row['p50_ms']:.3f}")
    for window, row in figures.get("windows", {}).items():
        for name, value in row.items():
            scaling.add_row(f"window {window}", name, f"{value:.3f}")
    console.print(scaling)
    memory = figures["memory_mb"]
    console.print(
        f"memory: {memory['runtime']} MB for the runtime and its weights, {memory['per_station']} MB per station",
        highlight=False,
    )
    for name, count in figures["stations_per_core"].items():
        console.print(f"stations per core, {name}: {count:g}", highlight=False)
    for name, count in figures["stations_per_gpu"].items():
        console.print(f"stations per GPU, {name}: {count:g}", highlight=False)
    for name, value in figures["ratios"].items():
        console.print(f"{name.replace('_', ' ')}: {value:g}", highlight=False)


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def draw(bundle: Bundle, steps: StepFigures, figures: dict[str, Any], path: Path) -> None:
    """Left, one tick of every contestant against the floor; right, how time grows with the batch, the reference, the window."""
    from matplotlib.figure import Figure

    rows = sum(len(batches) for batches in steps.samples_ms.values())
    growths = [_draw_batches, _draw_matcher, *([_draw_windows] if figures.get("windows") else [])]
    figure = Figure(figsize=(14, max(2.6 * len(growths), 1.6 + 0.3 * rows)), layout="constrained")
    grid = figure.add_gridspec(len(growths), 2, width_ratios=(1.5, 1))
    _draw_steps(figure.add_subplot(grid[:, 0]), bundle, steps)
    for row, growth in enumerate(growths):
        axes = figure.add_subplot(grid[row, 1])
        growth(axes, steps, figures)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(path, dpi=130)


def _draw_steps(axes: Axes, bundle: Bundle, steps: StepFigures) -> None:
    """Per station and tick: every contestant's median with a line to its p99, by batch."""
    batches = list(steps.flops)

    def slowest(name: str) -> float:
        return max(steps.percentile(name, batch, 50) / batch for batch in steps.samples_ms[name])

    names = sorted(steps.samples_ms, key=slowest, reverse=True)
    height = 0.8 / len(batches)
    for index, batch in enumerate(batches):
        colour = _COLOURS[index % len(_COLOURS)]
        here = [row for row, name in enumerate(names) if batch in steps.samples_ms[name]]
        at = [row + (index - (len(batches) - 1) / 2) * height for row in here]
        p50 = [steps.percentile(names[row], batch, 50) / batch for row in here]
        p99 = [steps.percentile(names[row], batch, 99) / batch for row in here]
        axes.barh(at, p50, height=height * 0.9, color=colour, label=f"batch {batch}")
        axes.hlines(at, p50, p99, color=_SOFT, linewidth=1)
        axes.axvline(steps.floor_ms(batch) / batch, color=colour, linestyle=":", linewidth=1.5)
        for y, value, end in zip(at, p50, p99, strict=True):
            axes.text(end * 1.08, y, f"{value:.3g}", va="center", fontsize=8, color="#1d2433")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.6)
    axes.set_xlabel("ms per station and tick: bar = median, line to p99, dotted = arithmetic floor of one CPU thread")
    axes.set_title(f"{bundle.info.name}: one tick of the embedder", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")


def _draw_batches(axes: Axes, steps: StepFigures, figures: dict[str, Any]) -> None:
    lines: dict[str, dict[int, float]] = {"floor": {batch: steps.floor_ms(batch) for batch in steps.flops}}
    for name in sorted(set(steps.samples_ms) & {"native", "onnxruntime", *steps.on_gpu}):
        lines[name] = {batch: steps.percentile(name, batch, 50) for batch in steps.samples_ms[name]}
    _lines(axes, {name: list(line.items()) for name, line in lines.items()}, "stations in one step", "ms, one step")


def _draw_matcher(axes: Axes, steps: StepFigures, figures: dict[str, Any]) -> None:
    line = [(int(length), row["p50_ms"]) for length, row in figures["matcher"].items()]
    _lines(axes, {"matcher": line}, "ticks of the reference (N)", "ms, one tick")


def _draw_windows(axes: Axes, steps: StepFigures, figures: dict[str, Any]) -> None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for window, row in figures["windows"].items():
        for name in set(row) & {"floor", "native", "onnxruntime"}:
            lines.setdefault(name, []).append((int(window), row[name]))
    _lines(axes, lines, "ticks of the window (W)", "ms, one tick")


def _lines(axes: Axes, lines: dict[str, list[tuple[int, float]]], x: str, y: str) -> None:
    for index, (name, points) in enumerate(sorted(lines.items())):
        colour, dashes = (_SOFT, ":") if name == "floor" else (_COLOURS[index % len(_COLOURS)], "-")
        axes.plot(*zip(*sorted(points), strict=True), dashes, color=colour, marker="o", markersize=3, label=name)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.legend(frameon=False, fontsize=8)
