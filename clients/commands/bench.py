"""`lockstep bench`: how fast this machine follows people, against PyTorch and against arithmetic. docs/performance.md explains it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.step import StepFigures
    from engine.bundle import Bundle


def command(
    bundle: Annotated[
        str | None, typer.Option(help="Bundle to measure: shipped name or folder (default: the shipped one).")
    ] = None,
    batch: Annotated[str, typer.Option(help="Stations per step, comma-separated.")] = "1,16",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant; more for steadier figures.")] = 12,
    seconds: Annotated[
        float, typer.Option(min=0, help="Rendered video for the stage latencies; 0: leave them out.")
    ] = 8.0,
    windows: Annotated[
        str, typer.Option(help="Windows W for the scaling table, comma-separated; each is exported anew. Empty: none.")
    ] = "",
    plot: Annotated[Path | None, typer.Option(help="Write the picture here (.png).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Everything runs on one CPU thread, contestants take turns, so ratios hold even on a machine that is not quiet."""
    import json
    import os

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from rich.console import Console

    from benchmarks.live_path import measure_matcher, measure_stages, memory_mb
    from benchmarks.step import measure_steps
    from engine.bundle import open_bundle

    console = Console()
    opened = open_bundle(bundle)
    batches = _numbers(batch, "--batch")
    figures: dict[str, Any] = {"bundle": opened.info.name, "machine": _machine()}
    with console.status("Measuring …") as status:
        figures["memory_mb"] = memory_mb(opened)
        steps = measure_steps(opened, batches, rounds, lambda what: status.update(f"Measuring steps: {what} …"))
        figures |= steps.as_json()
        figures["ratios"] = _ratios(steps)
        status.update("Measuring the matcher …")
        figures["matcher"] = measure_matcher(opened)
        if windows:
            figures["windows"] = _scaling(opened, _numbers(windows, "--windows"), rounds, status)
        if seconds:
            status.update("Measuring the live path …")
            figures["stages_ms"] = measure_stages(opened, seconds)
    figures["stations_per_core"] = _capacity(figures, steps, opened.info.rate_hz)
    _show(console, opened, steps, figures)
    if plot is not None:
        _plot(steps, opened, plot)
        console.print(f"[dim]picture: {plot}[/]")
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _numbers(text: str, option: str) -> list[int]:
    from engine.errors import ConfigError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"{option} is wrong", expected="positive whole numbers with commas between", found=repr(text))
    return [int(part) for part in parts]


def _machine() -> dict[str, Any]:
    import platform

    import psutil

    from engine.embedder.cuda import first_gpu

    gpu = first_gpu()
    name = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "cpu": name,
        "cores": psutil.cpu_count(),
        "load_at_start": round(psutil.getloadavg()[0], 2),
        "gpu": gpu.name if gpu else None,
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _ratios(steps: StepFigures) -> dict[str, float]:
    """Of medians, within this run."""
    from benchmarks.step import RECOMPUTE

    ratios = {}
    if "onnxruntime" in steps.samples_ms:
        for batch in steps.flops:
            ratios[f"onnxruntime_over_floor_{batch}"] = steps.percentile("onnxruntime", batch, 50) / steps.floor_ms(
                batch
            )
        if RECOMPUTE in steps.samples_ms:
            for batch in steps.flops:
                whole = steps.percentile(RECOMPUTE, batch, 50)
                ratios[f"whole_window_over_onnxruntime_{batch}"] = whole / steps.percentile("onnxruntime", batch, 50)
    return {name: round(value, 2) for name, value in ratios.items()}


def _capacity(figures: dict[str, Any], steps: StepFigures, rate_hz: float) -> dict[str, float]:
    """Stations one core (or the GPU) keeps up with, from medians: embedding alone, and everything after pose."""
    capacity: dict[str, float] = {
        f"{name}, batch {batch}": round(1000 * batch / steps.percentile(name, batch, 50) / rate_hz)
        for name, batches in steps.samples_ms.items()
        for batch in batches
    }
    stages = figures.get("stages_ms")
    if stages:
        capacity["everything after pose"] = round(
            1000 / sum(stages[name]["p50"] for name in ("embed", "match", "events")) / rate_hz
        )
        capacity["with pose (one frame at 30 fps)"] = round(1000 / stages["frame"]["p50"] / 30, 1)
    return capacity


def _scaling(bundle: Bundle, windows: list[int], rounds: int, status) -> dict[str, dict[str, float]]:
    """The same network with other windows, exported anew with random weights (speed does not depend on them)."""
    import tempfile

    from benchmarks.step import measure_steps
    from clients.commands.export import need
    from engine.errors import ConfigError

    need("torch", "onnx", "onnxscript", "safetensors")
    from export.bundle import write_bundle
    from models.lockstep_net import LockstepNet, NetConfig

    if not bundle.info.network:
        raise ConfigError("this bundle does not say what network it is", next_step="Leave --windows out.")
    table = {}
    with tempfile.TemporaryDirectory() as scratch:
        for window in windows:
            status.update(f"Exporting and measuring W = {window} …")
            net = LockstepNet(NetConfig(**(bundle.info.network | {"window": window}))).eval()
            made = write_bundle(net, Path(scratch) / str(window), name=str(window), crop=bundle.info.crop)
            steps = measure_steps(made, [1], max(2, rounds // 3))
            table[str(window)] = {
                name: round(steps.percentile(name, 1, 50), 4) for name in steps.samples_ms
            } | {"floor": round(steps.floor_ms(1), 4)}  # fmt: skip
    return table


def _show(console: Console, bundle: Bundle, steps: StepFigures, figures: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    machine = figures["machine"]
    console.print(
        f"[bold]{bundle.info.name}[/], window {bundle.info.window} ticks at {bundle.info.rate_hz:g} Hz, on {machine['cpu']}, one thread"
        f"{', ' + machine['gpu'] if machine['gpu'] else ''}; load before the run {machine['load_at_start']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, title="One tick of the embedder", title_justify="left")
    for column in ("", "batch", "p50 ms", "p95 ms", "p99 ms", "ticks/s", "× floor"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for batch in steps.flops:
        medians = {name: steps.percentile(name, batch, 50) for name in steps.samples_ms}
        names = sorted(medians, key=medians.__getitem__, reverse=True)
        for name in names:
            p50, p95, p99 = (steps.percentile(name, batch, q) for q in (50, 95, 99))
            floor = f"{p50 / steps.floor_ms(batch):.1f}"
            table.add_row(
                name, str(batch), f"{p50:.3f}", f"{p95:.3f}", f"{p99:.3f}", f"{1000 * batch / p50:.0f}", floor
            )
        mflop = steps.flops[batch] / 1e6
        table.add_row(f"floor, {mflop:.0f} MFLOP", str(batch), f"{steps.floor_ms(batch):.3f}", "", "", "", "1.0", end_section=True)  # fmt: skip
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
    for name, value in figures["ratios"].items():
        console.print(f"{name.replace('_', ' ')}: {value:g}", highlight=False)


def _plot(steps: StepFigures, bundle: Bundle, path: Path) -> None:
    """Per station and tick: every contestant's median with its p99, by batch, against the floor."""
    from matplotlib.figure import Figure

    names = sorted(steps.samples_ms, key=lambda name: -steps.percentile(name, next(iter(steps.flops)), 50))
    batches = list(steps.flops)
    figure = Figure(figsize=(8.5, 1.6 + 0.34 * len(names) * len(batches)), layout="constrained")
    axes = figure.subplots()
    colours = ("#0072b2", "#56b4e9", "#009e73", "#e69f00")
    height = 0.8 / len(batches)
    for index, batch in enumerate(batches):
        at = [row + (index - (len(batches) - 1) / 2) * height for row in range(len(names))]
        p50 = [steps.percentile(name, batch, 50) / batch for name in names]
        p99 = [steps.percentile(name, batch, 99) / batch for name in names]
        colour = colours[index % len(colours)]
        axes.barh(at, p50, height=height * 0.9, color=colour, label=f"batch {batch}")
        axes.hlines(at, p50, p99, color="#475467", linewidth=1)
        axes.axvline(steps.floor_ms(batch) / batch, color=colour, linestyle=":", linewidth=1.5)
        for y, value, end in zip(at, p50, p99, strict=True):
            axes.text(end * 1.08, y, f"{value:.2f}", va="center", fontsize=8, color="#1d2433")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.6)
    axes.set_xlabel("ms per station and tick: bar = median, line to p99, dotted = arithmetic floor")
    axes.set_title(f"{bundle.info.name}: one tick, one CPU thread", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=130)
