"""`lockstep doctor`: what is installed, what would be used, and the exact command to get more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = Literal["ok", "optional", "problem"]


class Finding(NamedTuple):
    verdict: Verdict
    what: str
    found: str
    get: str = ""
    """The command or step that would change it."""


def command(
    bundle: Annotated[str | None, typer.Option(help="Bundle to check (default: the shipped one).")] = None,
    station: Annotated[
        Path | None, typer.Option(help="STATION.yaml: check also its bundle, reference, ports and store.")
    ] = None,
) -> None:
    """Exit status 1 if something a station needs is missing."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if bundle is None and station is not None:
        bundle = _bundle_of(station)
    sections: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("This machine", _machine),
        ("Live path", _live_path),
        ("Runtimes, best first", lambda: _runtimes(bundle)),
        ("Model", lambda: _model(bundle)),
        ("Cameras", _cameras),
        ("Station" if station else "Bus and store", lambda: _bus_and_store(station, bundle)),
        ("More", _extras),
    ]
    marks = {"ok": "[green]✓[/]", "optional": "[dim]–[/]", "problem": "[red]✗[/]"}
    problems = 0
    table = Table.grid(padding=(0, 2))
    for title, look in sections:
        table.add_row("", f"[bold]{title}[/]")
        with console.status(f"{title} …"):  # the first time, the native step is compiled
            findings = look()
        for finding in findings:
            problems += finding.verdict == "problem"
            soft = "dim" if finding.verdict == "optional" else ""
            table.add_row(marks[finding.verdict], f"[{soft}]{finding.what}[/]" if soft else finding.what, finding.found)
            if finding.get:
                table.add_row("", "", f"[cyan]{finding.get}[/]".replace("lockstep[", r"lockstep\["))
        table.add_row("")
    console.print(table, highlight=False)
    if problems:
        console.print(
            f"[red]{problems} thing{'s' if problems > 1 else ''} a station needs {'are' if problems > 1 else 'is'} missing.[/]"
        )
        raise typer.Exit(1)
    next_step = f"lockstep run {escape(str(station))}" if station else "lockstep demo"
    console.print(f"[green]Everything a station needs is here.[/] Try: {next_step}", soft_wrap=True)


def _machine() -> list[Finding]:
    import platform

    import psutil

    from engine.embedder.cuda import first_gpu

    gpu = first_gpu()
    memory = psutil.virtual_memory()
    return [
        Finding("ok", "system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"),
        Finding(
            "ok",
            "processor",
            f"{psutil.cpu_count()} cores, {memory.available / 1e9:.0f} of {memory.total / 1e9:.0f} GB memory free",
        ),
        Finding(
            "ok",
            "GPU",
            f"{gpu.name}, capability {gpu.capability[:-1]}.{gpu.capability[-1]}, {gpu.memory_bytes / 1e9:.0f} GB",
        )
        if gpu
        else Finding("optional", "GPU", "none (not needed for one station)"),
    ]


def _live_path() -> list[Finding]:
    packages = {
        "mediapipe": "pose estimation",
        "opencv-contrib-python": "cameras and video",
        "onnxruntime": "runs the model",
        "numba": "compiles the matcher and the native step",
        "pyzmq": "the bus",
        "msgspec": "messages",
        "sqlalchemy": "the store",
    }
    return [_package(name, purpose, "pip install -e .", needed=True) for name, purpose in packages.items()]


def _extras() -> list[Finding]:
    table = {
        "torch": ("training, export", "pip install -e '.[train,export]'"),
        "onnx": ("export, parity, bench", "pip install -e '.[export]'"),
        "scikit-learn": ("evaluation", "pip install -e '.[train]'"),
        "pyarrow": ("history as Parquet", "pip install -e '.[parquet]'"),
        "psycopg": ("PostgreSQL as store", "pip install -e '.[postgres]'"),
    }
    return [_package(name, purpose, get) for name, (purpose, get) in table.items()]


def _package(name: str, purpose: str, get: str, needed: bool = False) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding("ok", name, f"{version(name)}  [dim]{purpose}[/]")
    except PackageNotFoundError:
        return Finding("problem" if needed else "optional", name, f"not installed  [dim]{purpose}[/]", get)


def _runtimes(name: str | None) -> list[Finding]:
    from engine.bundle import open_bundle
    from engine.embedder.opening import candidates
    from engine.errors import LockstepError

    try:
        found = candidates(open_bundle(name))
    except LockstepError:  # said under "Model"
        found = candidates()
    picked = next((candidate for candidate in found if candidate.usable), None)
    findings = []
    for candidate in found:
        chosen = "  [green]← auto picks this one[/]" if candidate is picked else ""
        findings.append(
            Finding("ok" if candidate.usable else "optional", candidate.runtime, candidate.why + chosen, candidate.get)
        )
    if picked is None:
        findings.append(Finding("problem", "none usable", "no runtime can run a bundle", "pip install -e ."))
    return findings


def _model(name: str | None) -> list[Finding]:
    from engine.bundle import open_bundle
    from engine.embedder.opening import open_runtime
    from engine.embedder.plans import cache_folder
    from engine.errors import LockstepError

    try:
        bundle = open_bundle(name)
        runtime = open_runtime(bundle)
        ticks = runtime.lanes(1)
        _ = ticks.state(0)
    except LockstepError as error:
        return [
            Finding("problem", "bundle", error.problem + (f": {error.found}" if error.found else ""), error.next_step)
        ]
    info = bundle.info
    plans = sorted((cache_folder() / "engines").glob("*.plan"))
    kept = f"{len(plans)} in {cache_folder() / 'engines'}" if plans else "none built yet"
    return [
        Finding(
            "ok",
            "bundle",
            f"{info.name}: {info.layout} at {info.rate_hz:g} Hz, {info.mode}, window {info.window} ticks, {info.precision}",
        ),
        Finding("ok", "runs on", runtime.name),
        Finding("ok" if plans else "optional", "TensorRT engines", kept),
    ]


def _cameras() -> list[Finding]:
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        return [Finding("optional", "webcam", "none at /dev/video*; files, RTSP and the rendered station work without")]
    findings = []
    for device in devices:
        readable = _readable(device)
        findings.append(
            Finding("ok" if readable else "optional", str(device), "readable" if readable else "no permission",
                    "" if readable else "sudo usermod -aG video $USER   (then log in again)")
        )  # fmt: skip
    return findings


def _readable(device: Path) -> bool:
    import os

    return os.access(device, os.R_OK | os.W_OK)


def _bundle_of(station: Path) -> str | None:
    from engine.config import load_station
    from engine.errors import LockstepError

    try:
        return load_station(station).bundle
    except LockstepError:  # said under "Station"
        return None


def _bus_and_store(station: Path | None, bundle: str | None) -> list[Finding]:
    from engine.config import BusConfig, load_station
    from engine.errors import LockstepError

    if station is None:
        return [_port(address) for address in (BusConfig().publish, BusConfig().requests) if address] + [
            _writable(Path.cwd())
        ]
    try:
        config = load_station(station)
    except LockstepError as error:
        return [Finding("problem", str(station), str(error))]
    findings = [_port(address) for address in (config.bus.publish, config.bus.requests) if address]
    findings.append(_reference(Path(config.reference), bundle))
    return [*findings, _store(config.store.url or "sqlite://")]


def _reference(path: Path, bundle: str | None) -> Finding:
    from engine.bundle import open_bundle
    from engine.errors import BundleError, LockstepError
    from engine.reference import Reference

    if not path.is_file():
        return Finding("problem", "reference", f"no file at {path}", "lockstep reference build DEMO -o FILE")
    try:
        reference = Reference.load(path)
        reference.check_bundle(open_bundle(bundle))
    except BundleError:  # said under "Model"
        return Finding("optional", "reference", f"{path}: not compared with the bundle, which cannot be opened")
    except LockstepError as error:
        return Finding("problem", "reference", f"{error.problem}: {error.found}", error.next_step)
    phases = len(reference.info.phases)
    return Finding(
        "ok", "reference", f"{path}: {phases} phase{'' if phases == 1 else 's'}, {reference.duration_s:.1f} s"
    )


def _store(url: str) -> Finding:
    """Where it would be written; nothing is made, and no server is asked."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    from engine.redact import redact

    try:
        parsed = make_url(url)
    except ArgumentError:
        return Finding("problem", "store", f"no SQLAlchemy URL: {redact(url)}", "correct store.url")
    if parsed.get_backend_name() != "sqlite":
        return Finding("optional", "store", f"{redact(url)}, tried when the station starts")
    return _writable(Path(parsed.database or ".").resolve().parent)


def _port(address: str) -> Finding:
    import socket
    from urllib.parse import urlsplit

    where = urlsplit(address)
    if where.scheme != "tcp" or where.port is None:
        return Finding("ok", "bus", address)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((where.hostname or "127.0.0.1", where.port))
        except OSError as error:
            return Finding(
                "optional",
                "bus",
                f"{address}: {error.strerror}",
                "another station may be running there: lockstep watch",
            )
    return Finding("ok", "bus", f"{address} is free")


def _writable(folder: Path) -> Finding:
    import os
    import shutil

    free_gb = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        return Finding(
            "problem", "store", f"{folder} is not writable", "run from a folder of your own, or set store.url"
        )
    return Finding("ok" if free_gb > 1 else "problem", "store", f"{folder} is writable, {free_gb:.0f} GB free")
