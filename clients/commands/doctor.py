"""`lockstep doctor`: what is installed, what would be used, and the exact command to get more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.errors import LockstepError

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
        Path | None, typer.Option(help="STATION.yaml whose bundle, reference, addresses and store to check too.")
    ] = None,
) -> None:
    """Exit status 1 if something a station needs is missing."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    bundle = bundle or _bundle_of(station)
    sections: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("This machine", _machine),
        ("Live path", _live_path),
        ("Runtimes, best first", lambda: _runtimes(bundle)),
        ("Model", lambda: _model(bundle)),
        ("Cameras", _cameras),
        ("Station" if station else "Bus and store", lambda: _bus_and_store(station)),
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
            f"[red]{problems} thing{'s' if problems > 1 else ''} a station needs {'are' if problems > 1 else 'is'} missing or wrong.[/]"
        )
        raise typer.Exit(1)
    next_step = f"lockstep run {escape(str(station))}" if station else "lockstep demo"
    console.print(f"[green]Everything a station needs is here.[/] Try: {next_step}", soft_wrap=True)


def _bundle_of(station: Path | None) -> str | None:
    from engine.config import load_station
    from engine.errors import LockstepError

    try:
        return load_station(station).bundle if station is not None else None
    except LockstepError:  # said under "Station"
        return None


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


def _bus_and_store(station: Path | None) -> list[Finding]:
    from engine.config import BusConfig

    if station is None:
        return [_port(address) for address in (BusConfig().publish, BusConfig().requests) if address] + [
            _writable(Path.cwd())
        ]
    from engine.bundle import open_bundle
    from engine.config import load_station
    from engine.errors import LockstepError
    from engine.redact import redact
    from engine.reference import Reference
    from engine.security import Access, own_key
    from engine.sources.opening import is_live, open_reader

    try:
        config = load_station(station)
    except LockstepError as error:
        return [_refused(str(station), error)]
    bus = config.bus

    def reference() -> str:
        loaded = Reference.load(config.reference)
        loaded.check_bundle(open_bundle(config.bundle))
        phases = len(loaded.info.phases)
        return f"{config.reference}: {phases} phase{'' if phases == 1 else 's'}, {loaded.duration_s:.1f} s"

    def access() -> str:
        for address in filter(None, (bus.publish, bus.requests)):
            Access(bus.keys, bus.insecure).check(address)
        if bus.keys is None:
            return "no keys"
        own_key(bus.keys)
        return f"keys in {bus.keys}"

    def source() -> str:
        if is_live(config.source.open):  # perhaps in use by the station itself
            return f"{redact(config.source.open)}, not tried"
        open_reader(config.source.open).close()
        return config.source.open

    checks = {"reference": reference, "access": access, "source": source}
    findings = [_port(address) for address in (bus.publish, bus.requests) if address]
    if config.health.address is not None:
        findings.append(_port(f"tcp://{config.health.address}"))
    for what, check in checks.items():
        try:
            findings.append(Finding("ok", what, escape(check())))
        except LockstepError as error:
            findings.append(_refused(what, error))
    return [*findings, _store(config.store.url or "sqlite://")]


def _refused(what: str, error: LockstepError) -> Finding:
    return Finding("problem", escape(what), escape(str(error)))


def _port(address: str) -> Finding:
    """Whether a station could bind it now."""
    import errno
    import socket
    from urllib.parse import urlsplit

    where = urlsplit(address)
    if where.scheme != "tcp" or where.netloc.endswith(":*"):
        return Finding("ok", "address", escape(address))
    try:
        host, port = where.hostname or "", where.port or 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("" if host == "*" else host, port))
    except (OSError, ValueError) as error:
        found = f"{address}: {getattr(error, 'strerror', None) or error}"
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            return Finding("optional", "address", escape(found), "another station may be running there: lockstep watch")
        return Finding("problem", "address", escape(found), "give it an address of this machine that is free")
    return Finding("ok", "address", escape(f"{address} is free"))


def _store(url: str) -> Finding:
    import sqlalchemy as sa

    from engine.errors import LockstepError
    from engine.redact import redact
    from engine.store import Store

    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return _writable(Path(parsed.database).resolve().parent)
        Store(url).close()  # a server is asked to do what a station will ask of it
    except LockstepError as error:
        return _refused("store", error)
    except sa.exc.ArgumentError:
        return Finding("problem", "store", escape(f"{redact(url)} is no URL of a database"), "set store.url")
    return Finding("ok", "store", escape(redact(url)))


def _writable(folder: Path) -> Finding:
    import os
    import shutil

    if not folder.is_dir():
        return Finding("problem", "store", escape(f"there is no folder {folder}"), "make it, or set store.url")
    free_gb = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        return Finding(
            "problem", "store", escape(f"{folder} is not writable"), "run from a folder of your own, or set store.url"
        )
    return Finding("ok" if free_gb > 1 else "problem", "store", escape(f"{folder} is writable, {free_gb:.0f} GB free"))
