"""`lockstep bench`: how fast this machine follows people, against PyTorch and against arithmetic. docs/performance.md explains it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
    plot: Annotated[Path | None, typer.Option(help="Draw the figures into this file (.png, .svg or .pdf).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """The network is compared with PyTorch and with the least time its arithmetic takes; docs/performance.md explains it.

    Everything runs on one CPU thread, contestants take turns, so ratios hold even on a machine that is not quiet.

    Where there is a GPU, TensorRT engines in every precision, ONNX Runtime on CUDA and torch.compile with CUDA graphs
    take part: `lockstep bench --batch 1,16,256,1024`.
    """
    import json
    import os

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from rich.console import Console

    from benchmarks.live_path import measure_matcher, measure_stages, memory_mb
    from benchmarks.step import measure_steps
    from clients.bench_report import draw, show
    from clients.results import check_picture, check_writable
    from engine.bundle import open_bundle

    check_writable(json_file)
    check_picture(plot)
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
            figures["frames_per_s"] = round(1000 / figures["stages_ms"]["frame"]["p50"], 1)
    rate_hz = opened.info.rate_hz
    figures["stations_per_core"] = _capacity(steps, rate_hz, on_gpu=False)
    if seconds:
        figures["stations_per_core"] |= _live_capacity(figures["stages_ms"], rate_hz)
    figures["stations_per_gpu"] = _capacity(steps, rate_hz, on_gpu=True)
    show(console, opened, steps, figures)
    if plot is not None:
        draw(opened, steps, figures, plot)
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
    """Of medians, within this run: incremental runtimes on the CPU over the floor, and the whole window over them."""
    from benchmarks.step import RECOMPUTE

    ratios = {}
    for name in ("native", "onnxruntime"):
        for batch in steps.samples_ms.get(name, {}):
            median = steps.percentile(name, batch, 50)
            ratios[f"{name}_over_floor_{batch}"] = median / steps.floor_ms(batch)
            if RECOMPUTE not in steps.on_gpu and batch in steps.samples_ms.get(RECOMPUTE, {}):
                ratios[f"whole_window_over_{name}_{batch}"] = steps.percentile(RECOMPUTE, batch, 50) / median
    return {name: round(value, 2) for name, value in ratios.items()}


def _capacity(steps: StepFigures, rate_hz: float, on_gpu: bool) -> dict[str, float]:
    """Stations that one core, or the GPU, keeps up with: their embeddings alone, from medians."""
    return {
        f"{name}, batch {batch}": round(1000 * batch / steps.percentile(name, batch, 50) / rate_hz)
        for name, batches in steps.samples_ms.items()
        if (name in steps.on_gpu) == on_gpu
        for batch in batches
    }


def _live_capacity(stages: dict[str, dict[str, float]], rate_hz: float) -> dict[str, float]:
    return {
        "everything after pose": round(
            1000 / sum(stages[name]["p50"] for name in ("embed", "match", "events")) / rate_hz
        ),
        "with pose (one frame at 30 fps)": round(1000 / stages["frame"]["p50"] / 30, 1),
    }


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
