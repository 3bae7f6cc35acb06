"""TensorRT plans on disk: what a plan was built for, where it is kept, and whether it may be used here.

A plan fits one TensorRT version, operating system and GPU generation only. The key is a hash of everything that
matters; a plan is never used under another key, and a JSON sidecar says what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.bundle import Bundle
from engine.errors import EngineBuildError

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
INSTALL = {
    "tensorrt": "pip install 'lockstep[tensorrt]'",
    "tensorrt-rtx": "pip install --no-build-isolation 'lockstep[tensorrt-rtx]'",
}
DEFAULT_MAX_BATCH = 64


@dataclass(frozen=True)
class EngineRequest:
    """Everything that makes one plan different from another. `target`: `sm86+sm89`, or one GPU by name and capability."""

    kind: str
    version: str
    system: str
    target: str
    precision: str
    max_batch: int
    model: str
    """Hash of the bundle's files."""

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def load_module(kind: str) -> ModuleType:
    """`tensorrt` or `tensorrt_rtx`. Raises EngineBuildError if it is not installed, or its libraries are not there."""
    if kind not in MODULES:
        raise EngineBuildError("no such engine", expected=" or ".join(MODULES), found=kind)
    try:
        return import_module(MODULES[kind])
    except Exception as error:  # a missing libcudart or libnvinfer is an OSError, a RuntimeError, …
        missing = find_spec(MODULES[kind]) is None
        raise EngineBuildError(
            f"{kind} is not installed" if missing else f"{kind} is installed but does not start",
            found="" if missing else str(error).splitlines()[0],
            next_step=f"Install it with: {INSTALL[kind]}"
            if missing
            else "Check the NVIDIA driver, or use the onnxruntime runtime.",
        ) from error


def request_for(bundle: Bundle, kind: str, target: str, precision: str, max_batch: int) -> EngineRequest:
    return EngineRequest(
        kind, load_module(kind).__version__, f"{platform.system()} {platform.machine()}", target, precision, max_batch,
        bundle.sha256,
    )  # fmt: skip


def cache_folder() -> Path:
    """`$LOCKSTEP_CACHE`, else the user's cache folder."""
    base = os.environ.get("LOCKSTEP_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep"


def plan_path(request: EngineRequest) -> Path:
    return cache_folder() / "engines" / f"{request.kind}-{request.precision}-{request.key[:20]}.plan"


def sheet_path(plan: Path) -> Path:
    return plan.with_name(plan.name + ".json")


def store_plan(request: EngineRequest, plan: bytes) -> Path:
    """Writes plan and sidecar, the sidecar last. Raises EngineBuildError where the disk does not take them."""
    path = plan_path(request)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(plan)
        partial.replace(path)
        sheet = asdict(request) | {"sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan)}
        sheet_path(path).write_text(json.dumps(sheet, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise EngineBuildError(
            f"cannot keep the engine in {path.parent}",
            expected=f"{len(plan) / 1e6:.0f} MB of free space and the right to write there",
            found=error.strerror or str(error),
            next_step="Free space, or set LOCKSTEP_CACHE to another folder.",
        ) from error
    return path


def stored_plan(request: EngineRequest) -> bytes | None:
    """The plan for exactly this request; None if there is none. Raises EngineBuildError if it is damaged or foreign."""
    path = plan_path(request)
    try:
        plan = path.read_bytes()
        sheet: dict[str, Any] = json.loads(sheet_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(sheet, dict) or {key: sheet.get(key) for key in asdict(request)} != asdict(request):
        raise _damaged(path, "a plan for something else")
    if hashlib.sha256(plan).hexdigest() != sheet.get("sha256"):
        raise _damaged(path, f"{len(plan)} bytes that are not those written ({sheet.get('bytes')})")
    return plan


def plan_for_gpu(
    bundle: Bundle, kind: str, precision: str, name: str, capability: str
) -> tuple[EngineRequest, bytes] | None:
    """The best plan kept here that this GPU can run: built for it by name, else (TensorRT-RTX) for its generation.

    Raises EngineBuildError if there is one, but damaged.
    """
    wanted = request_for(bundle, kind, "", precision, 0)
    same = ("kind", "version", "system", "precision", "model")
    found: list[EngineRequest] = []
    for path in sorted((cache_folder() / "engines").glob(f"{kind}-{precision}-*.plan.json")):
        try:
            sheet = json.loads(path.read_text(encoding="utf-8"))
            request = EngineRequest(**{field: sheet[field] for field in EngineRequest.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a sidecar that says nothing vouches for nothing
        if all(getattr(request, field) == getattr(wanted, field) for field in same):
            found.append(request)
    exact = [request for request in found if request.target == f"{name} sm{capability}"]
    generation = [request for request in found if f"sm{capability}" in request.target.split("+")]
    for request in sorted(exact, key=_largest_first) + sorted(generation, key=_largest_first):
        if (plan := stored_plan(request)) is not None:
            return request, plan
    return None


def _largest_first(request: EngineRequest) -> int:
    return -request.max_batch


def _damaged(path: Path, found: str) -> EngineBuildError:
    return EngineBuildError(
        f"the engine {path.name} cannot be trusted",
        expected="the plan that its sidecar describes",
        found=found,
        next_step="Build it again with `lockstep export BUNDLE --to …`; the station goes on with ONNX Runtime.",
    )


_MESSAGES = (
    # what TensorRT says → (what it means, what to do)
    ("version tag does not match", "was built by another version of TensorRT"),
    ("engine plan file is not compatible with this version", "was built by another version of TensorRT"),
    ("incompatible serialization version", "is no plan of this version of TensorRT, or not a plan at all"),
    ("magictag", "is not a TensorRT plan, or a truncated one"),
    ("generated on an incompatible device", "was built for another GPU"),
    ("compute capability", "was built for another GPU"),
    ("driver version is insufficient", "cannot run: the NVIDIA driver is missing or too old"),
    ("no cuda-capable device", "cannot run: there is no NVIDIA GPU"),
    ("out of memory", "does not fit into the GPU's memory"),
)


def load_error(kind: str, messages: list[str]) -> EngineBuildError:
    """What TensorRT said when it refused a plan, as an error with a next step."""
    text = " ".join(messages)
    meaning = next((meaning for part, meaning in _MESSAGES if part in text.lower()), "was refused by TensorRT")
    advice = (
        "Install the driver, or use the onnxruntime runtime."
        if "driver" in meaning or "no NVIDIA" in meaning
        else "Build it again on this machine with `lockstep export BUNDLE --to " + kind + "`."
    )
    return EngineBuildError(
        f"the {kind} engine {meaning}", found=(messages or ["no reason given"])[0][:200], next_step=advice
    )


def message_log(module: ModuleType) -> Any:
    """A TensorRT logger that prints nothing and keeps errors (`.errors`, list of str)."""

    class Log(module.ILogger):  # type: ignore[name-defined]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (module.ILogger.Severity.ERROR, module.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()
