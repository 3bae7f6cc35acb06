"""Do two models compute the same thing? Numbers (error, cosine) and what they are for (phase and progress)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle, open_bundle
from engine.embedder.opening import open_runtime
from engine.embedder.whole import WholeRecordings
from engine.errors import BadReference, ConfigError, ParityError
from engine.matching import open_matcher
from engine.matching.building import EmbeddedDemo, build_reference
from engine.reference import Phase
from export.streams import Streams
from models.crop import crop_sequence

MAX_ERROR = 1e-4
LEAST_COSINE = 0.999
LEAST_SAME_PHASE = 0.999
WHOLE_TICKS = 600
"""Of each recording that is compared as a whole: every tick attends to all, so memory goes with the square."""
PHASES = 4
"""Equal parts of the reference: what matters is that both models name the same one."""


@dataclass(frozen=True)
class Side:
    """One of the two: where it comes from, how exact it claims to be, and poses (T, K, 3) px → embeddings (T, D)."""

    label: str
    precision: str
    layout: str
    rate_hz: float
    embed: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    bundle: Bundle | None


@dataclass
class Report:
    """What was measured over all ticks. `cosine` is the smallest of any tick."""

    a: str
    b: str
    precision: str
    ticks: int = 0
    max_error: float = 0.0
    mean_error: float = 0.0
    cosine: float = 1.0
    same_phase: float = 1.0
    progress_difference: float = 0.0
    """Mean over ticks, cyclic, as a fraction of the cycle. Like `same_phase` not a number if the model follows nothing."""
    groups: dict[str, int] = field(default_factory=dict)

    def gates(self) -> list[tuple[str, float, str, bool]]:
        """(what, measured, limit, passed). A largest error would fail half precision falsely: there, meaning is the gate."""
        if self.precision == "fp32":
            return [("largest error", self.max_error, f"≤ {MAX_ERROR:g}", bool(self.max_error <= MAX_ERROR))]
        return [
            ("least cosine", self.cosine, f"≥ {LEAST_COSINE:g}", bool(self.cosine >= LEAST_COSINE)),
            ("same phase", self.same_phase, f"≥ {LEAST_SAME_PHASE:g}", bool(self.same_phase >= LEAST_SAME_PHASE)),
        ]

    def check(self) -> None:
        """Raises ParityError that names the first gate that failed."""
        for what, measured, limit, passed in self.gates():
            if not passed:
                raise ParityError(
                    f"{self.b} does not compute what {self.a} computes: gate “{what}” ({self.precision})",
                    expected=limit,
                    found=f"{measured:.6g} over {self.ticks} ticks",
                    next_step="Do not use it. Export it again; if that does not help, choose a higher precision.",
                )


def open_side(name: str) -> Side:
    """A checkpoint folder (the whole network in PyTorch), a bundle, or `BUNDLE@runtime`. Raises BundleError, ConfigError."""
    if (Path(name) / "config.json").is_file() and not (Path(name) / "bundle.json").exists():
        return checkpoint_side(Path(name))
    folder, _, runtime = name.partition("@")
    return bundle_side(open_bundle(folder), runtime or "onnxruntime")


def bundle_side(bundle: Bundle, runtime: str = "onnxruntime") -> Side:
    """`onnxruntime` runs half precision on the CPU with the roundings of a GPU (see `export.precision.emulate_products`)."""
    if runtime == "onnxruntime" and bundle.info.precision != "fp32":
        from export.precision import write_emulated

        with tempfile.TemporaryDirectory() as scratch:
            opened = open_runtime(write_emulated(bundle, Path(scratch) / "emulated"), runtime)
    else:
        opened = open_runtime(bundle, runtime)
    lanes, info = opened.lanes(1), bundle.info

    def embed(poses: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tick by tick, as live."""
        lanes.reset(0)
        return np.concatenate([lanes.step(tick[None]) for tick in crop_sequence(poses, info.layout, **info.crop)])

    return Side(
        f"{bundle.info.name} on {opened.name}",
        opened.precision,
        bundle.info.layout,
        bundle.info.rate_hz,
        embed,
        bundle,
    )


def checkpoint_side(folder: Path) -> Side:
    """The oracle: the whole sequence at once through the network, or window by window for a bidirectional one."""
    import torch

    from training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(folder)
    net, config = checkpoint.net, checkpoint.net.config

    def embed(poses: NDArray[np.float32]) -> NDArray[np.float32]:
        keypoints = torch.from_numpy(crop_sequence(poses, config.layout, **checkpoint.crop))
        with torch.inference_mode():
            if config.temporal == "causal":
                return net(keypoints[None])[0].numpy()
            state, out = net.initial_state(1), []
            for tick in keypoints:
                embedding, state = net.step(tick[None], state)
                out.append(embedding[0])
            return torch.stack(out).numpy()

    return Side(f"{folder.name} in PyTorch", "fp32", config.layout, config.rate_hz, embed, None)


def compare(a: Side, b: Side, groups: list[Streams], progress: Callable[[], None] = lambda: None) -> Report:
    """Runs both over all streams from a fresh start each. The reference of each group is embedded by `a`, for both.

    `progress` is called after each group. Raises ConfigError if the two cannot be compared.
    """
    bundle = a.bundle or b.bundle
    if bundle is None or (a.layout, a.rate_hz) != (b.layout, b.rate_hz):
        raise ConfigError(
            f"{a.label} and {b.label} cannot be compared",
            expected="the same layout and rate, and a bundle on at least one side",
            found=f"{a.layout} at {a.rate_hz:g} Hz, {b.layout} at {b.rate_hz:g} Hz",
        )
    halves = [side.precision for side in (a, b) if side.precision != "fp32"]
    report = Report(a.label, b.label, halves[0] if halves else "fp32")
    errors, cosines, same, apart = [], [], [], []
    for group in groups:
        expert = a.embed(group.reference)
        ends_s = np.linspace(0, len(expert) / a.rate_hz, PHASES + 1).tolist()
        phases = [Phase(name=str(i), start_s=ends_s[i], end_s=ends_s[i + 1]) for i in range(PHASES)]
        try:
            reference = build_reference([EmbeddedDemo("expert", expert, group.reference)], phases, bundle)
        except BadReference:  # an untrained model tells no tick from another: there is nothing to follow
            reference = None
        for poses in group.streams:
            x, y = a.embed(poses), b.embed(poses)
            if x.shape != y.shape:
                raise ConfigError("the two have embeddings of different width", found=f"{x.shape[1]} and {y.shape[1]}")
            errors.append(np.abs(x - y).max(axis=1))
            cosines.append((x * y).sum(axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)))
            if reference is None:
                continue
            followed = [_follow(reference, side, poses, a.rate_hz) for side in (x, y)]
            same.append(followed[0][0] == followed[1][0])
            away = np.abs(followed[0][1] - followed[1][1])
            apart.append(np.minimum(away, 1 - away))
        report.groups[group.name] = len(group.streams)
        progress()
    error = np.concatenate(errors)
    report.ticks = len(error)
    report.max_error = _worst(error.max())
    report.mean_error = _worst(error.mean())
    cosine = np.concatenate(cosines)
    report.cosine = float(cosine.min()) if np.isfinite(cosine).all() else 0.0
    report.same_phase = float(np.concatenate(same).mean()) if same else float("nan")
    report.progress_difference = float(np.concatenate(apart).mean()) if apart else float("nan")
    return report


def check_whole(checkpoint: Path, bundle: Bundle, groups: list[Streams]) -> float:
    """Largest difference between a checkpoint's network and the bundle's graph of whole recordings, over all streams.

    `compare` steps tick by tick; alignment and offline evaluation use this other graph. Raises ParityError where it is too large.
    """
    import torch

    from training.checkpoint import load_checkpoint

    loaded, whole, worst = load_checkpoint(checkpoint), WholeRecordings(bundle), 0.0
    for poses in (stream for group in groups for stream in group.streams):
        keypoints = crop_sequence(poses[:WHOLE_TICKS], loaded.net.config.layout, **loaded.crop)
        with torch.inference_mode():
            wanted = loaded.net(torch.from_numpy(keypoints)[None])[0].numpy()
        worst = max(worst, _worst(np.abs(wanted - whole.of_cropped(keypoints)).max()))
    if worst > MAX_ERROR:
        raise ParityError(
            f"{bundle.folder / str(bundle.info.sequence_file)} does not compute what {checkpoint} computes",
            expected=f"≤ {MAX_ERROR:g}",
            found=f"{worst:.6g}",
            next_step="Do not use it. Export it again.",
        )
    return worst


def _worst(value: float) -> float:
    return float(value) if np.isfinite(value) else float("inf")


def _follow(
    reference, embeddings: NDArray[np.float32], poses: NDArray[np.float32], rate_hz: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Phase and cycle progress at each tick."""
    matcher = open_matcher(reference)
    seen = (poses[..., 2] > 0).any(axis=1)
    matches = [
        matcher.step(e if s and np.isfinite(e).all() else None, 1 / rate_hz)
        for e, s in zip(embeddings, seen, strict=True)
    ]
    return np.array([match.phase for match in matches]), np.array([match.cycle_progress for match in matches])
