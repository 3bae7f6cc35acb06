"""`lockstep export`: a checkpoint becomes a bundle, a bundle becomes an engine; each proves that it computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    model: Annotated[str, typer.Argument(help="Checkpoint folder, or (with --to) a bundle: shipped name or folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to: the bundle's folder; for --to, a plan file.")
    ] = None,
    to: Annotated[
        Literal["bundle", "onnx", "tensorrt", "tensorrt-rtx"],
        typer.Option(help="bundle: from a checkpoint. onnx: a bundle in another precision. tensorrt…: an engine."),
    ] = "bundle",
    precision: Annotated[
        Literal["fp32", "fp16", "bf16"],
        typer.Option(help="With --to onnx or an engine: of the matrix products; norms and softmax stay fp32."),
    ] = "fp32",
    gpu: Annotated[
        str | None,
        typer.Option(
            help="tensorrt-rtx: generations to build for, e.g. sm86,sm89,sm120. Default: the GPU in this machine."
        ),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Most stations in one step of an engine.")] = 64,
    name: Annotated[str | None, typer.Option(help="Name of the bundle (default: its folder's).")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Recordings for the parity report: a folder of tracks, or a Penn Action copy. Default: what is found."
        ),
    ] = None,
) -> None:
    """Ends with status 2, naming the gate, if what was exported does not compute what it was made from."""
    from rich.console import Console

    from engine.errors import ConfigError

    if to == "bundle" and precision != "fp32":
        raise ConfigError(
            f"a checkpoint becomes an fp32 bundle, not {precision}",
            expected="--to bundle without --precision",
            next_step=f"Export it, then: lockstep export BUNDLE --to onnx --precision {precision} -o FOLDER",
        )
    if gpu is not None and not to.startswith("tensorrt"):
        raise ConfigError(
            "--gpu is for engines", expected="--to tensorrt-rtx", found=f"--to {to}", next_step="Leave --gpu out."
        )
    console = Console()
    if to == "bundle":
        _checkpoint_to_bundle(console, Path(model), output, name, data)
    elif to == "onnx":
        _bundle_to_precision(console, model, output, precision, name, data)
    else:
        _bundle_to_engine(console, model, output, to, precision, gpu, max_batch, data)


def _checkpoint_to_bundle(console, checkpoint: Path, output: Path | None, name: str | None, data: Path | None) -> None:
    from clients.commands.parity import report_parity
    from engine.errors import ConfigError

    need("torch", "onnx", "onnxscript", "safetensors")
    from export.bundle import write_bundle
    from export.parity import MAX_ERROR, bundle_side, check_whole, checkpoint_side
    from export.streams import real_streams
    from training.checkpoint import load_checkpoint

    if output is None:
        raise ConfigError(
            "where to?", expected="-o FOLDER", found="nothing", next_step="Name the bundle's folder with -o."
        )
    loaded = load_checkpoint(checkpoint)
    with console.status(f"Exporting {checkpoint} …"):
        bundle = write_bundle(
            loaded.net, output, name=name or output.name, crop=loaded.crop, training=loaded.training,
        )  # fmt: skip
    size_mb = sum((bundle.folder / file).stat().st_size for file in bundle.info.files) / 1e6
    info = bundle.info
    console.print(
        f"[bold]{output}[/]  {info.mode}, {info.layout} at {info.rate_hz:g} Hz, window {info.window} ticks "
        f"({info.window / info.rate_hz:.1f} s), opset {info.opset}, {size_mb:.1f} MB",
        highlight=False,
    )
    report_parity(console, checkpoint_side(checkpoint), bundle_side(bundle), data)
    worst = check_whole(checkpoint, bundle, real_streams(data, info.layout, info.rate_hz))
    console.print(f"whole recordings at once: largest error {worst:.2e}, ≤ {MAX_ERROR:g}", highlight=False)


def _bundle_to_precision(
    console, model: str, output: Path | None, precision: str, name: str | None, data: Path | None
) -> None:
    from clients.commands.parity import report_parity
    from engine.bundle import open_bundle
    from engine.errors import ConfigError

    need("onnx")
    from export.parity import bundle_side
    from export.precision import write_precision

    if output is None or precision == "fp32":
        raise ConfigError("nothing to do", expected="-o FOLDER and --precision fp16 or bf16", next_step="Name both.")
    bundle = open_bundle(model)
    cast = write_precision(bundle, output, precision, name or output.name)
    console.print(f"[bold]{output}[/]  {precision}", highlight=False)
    report_parity(console, bundle_side(bundle), bundle_side(cast), data)


def _bundle_to_engine(
    console,
    model: str,
    output: Path | None,
    kind: str,
    precision: str,
    gpu: str | None,
    max_batch: int,
    data: Path | None,
) -> None:
    import shutil
    import time

    from clients.commands.parity import report_parity
    from engine.bundle import open_bundle
    from engine.embedder.cuda import gpu_present

    need("onnx")
    from export.parity import bundle_side
    from export.tensorrt import build_engine, engine_request

    bundle = open_bundle(model)
    request = engine_request(bundle, kind, precision, gpu, max_batch)
    started = time.monotonic()
    with console.status(f"Building for {request.target} …"):
        engine = build_engine(bundle, request)
    took = "from the cache" if engine.was_cached else f"{time.monotonic() - started:.1f} s"
    console.print(
        f"[bold]{engine.path}[/]  {kind} {request.version}, {precision}, {request.target}, batch 1–{max_batch}, "
        f"{engine.path.stat().st_size / 1e6:.1f} MB, {took}",
        highlight=False,
        soft_wrap=True,
    )
    if output is not None:
        shutil.copyfile(engine.path, output)
        shutil.copyfile(engine.sheet, output.with_name(output.name + ".json"))
    if gpu_present() and gpu is None:
        report_parity(console, bundle_side(bundle), bundle_side(bundle, kind), data)
    else:
        console.print("[dim]No parity report of the engine: it needs the GPU that it is for.[/]")
        if precision != "fp32":
            console.print(
                f"[dim]Its roundings can be checked here: lockstep export {model} --to onnx --precision {precision} -o FOLDER[/]",
                soft_wrap=True,
            )


def need(*modules: str) -> None:
    """Raises ConfigError with the command to install what is missing."""
    from importlib.util import find_spec

    from engine.errors import ConfigError

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(
            "exporting needs more than the live path",
            expected=", ".join(modules),
            found=f"no {', '.join(missing)}",
            next_step="Install it with: pip install 'lockstep[export]'",
        )
