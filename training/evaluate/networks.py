"""A network as features for the evaluation: poses → tick grid → crop → network → one feature per frame.

A frame gets the embedding of the newest tick at or before it, as a station would have at that moment. Where the network sees
whole recordings, which nobody has at that moment, a frame between two ticks gets what lies between their embeddings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.opening import open_runtime
from engine.embedder.whole import WholeRecordings
from engine.resample import resample_track
from models import skeleton
from models.crop import crop_sequence
from training.evaluate.controls import Features

if TYPE_CHECKING:
    from models.lockstep_net import LockstepNet, NetConfig

_Embed = Callable[[list[NDArray[np.float32]]], list[NDArray[np.float32]]]
"""Cropped keypoints of a few recordings, (N, K, 3) each → embeddings (N, D) each."""

_LANES = 16
"""Recordings that go through the live graph together."""
_TICKS = 128
"""Ticks that go through a PyTorch network together: beyond this their heatmaps leave the processor's cache."""


def bundle_features(bundle: Bundle, source_rate_hz: float, source_layout: str | None = None) -> Features:
    """What a bundle makes of poses at `source_rate_hz`, in `source_layout` (None: its own). With full attention it sees whole recordings.

    Raises BundleError if ONNX Runtime cannot load it, KeyError if the layout does not convert to its own.
    """
    info = bundle.info
    whole = info.mode == "window" and bool(info.sequence_file)
    embed = _whole_sequences(bundle) if whole else _tick_by_tick(bundle)
    return _converted(
        _on_ticks(embed, info.layout, info.rate_hz, info.crop, source_rate_hz, whole), source_layout, info.layout
    )


def network_features(
    net: LockstepNet, crop: dict[str, Any], source_rate_hz: float, source_layout: str | None = None
) -> Features:
    """The same of a PyTorch network, on whole recordings."""
    config = net.config
    whole = config.temporal == "full"
    features = _on_ticks(_padded(net), config.layout, config.rate_hz, crop, source_rate_hz, whole)
    return _converted(features, source_layout, config.layout)


def untrained(
    config: NetConfig, crop: dict[str, Any], source_rate_hz: float, seed: int, source_layout: str | None = None
) -> Features:
    """A control: the architecture with random weights."""
    import torch

    from models.lockstep_net import LockstepNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network_features(LockstepNet(config), crop, source_rate_hz, source_layout)


def _converted(features: Features, source: str | None, target: str) -> Features:
    """`features` of recordings in the layout `source`. Raises KeyError where it does not convert to `target`."""
    if source is None or source == target:
        return features
    skeleton.conversion(source, target)
    return lambda recordings: features([skeleton.convert(poses, source, target) for poses in recordings])


def _on_ticks(
    embed: _Embed, layout: str, rate_hz: float, crop: dict[str, Any], source_rate_hz: float, whole: bool
) -> Features:
    def features(recordings: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        cropped, at = [], []
        for poses in recordings:
            times_s = np.arange(len(poses)) / source_rate_hz
            ticks_s, at_ticks = resample_track(times_s, poses, rate_hz)
            cropped.append(crop_sequence(at_ticks, layout, **crop))
            ticks = np.interp(times_s, ticks_s, np.arange(len(ticks_s)))
            at.append(ticks if whole else np.floor(ticks + 1e-4))
        return [_between(embedding, ticks) for embedding, ticks in zip(embed(cropped), at, strict=True)]

    return features


def _between(embeddings: NDArray[np.float32], ticks: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (N, D) of embeddings (T, D) at fractional `ticks` (N,), linear between neighbours."""
    low = np.floor(ticks).astype(int)
    weight = (ticks - low).astype(np.float32)[:, None]
    return embeddings[low] + (embeddings[np.minimum(low + 1, len(embeddings) - 1)] - embeddings[low]) * weight


def _tick_by_tick(bundle: Bundle) -> _Embed:
    """The live graph. Causal, so what pads the end of a shorter recording cannot reach it."""
    runtime = open_runtime(bundle)

    def embed(recordings: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        padded, _ = _stacked(recordings)
        lanes = runtime.lanes(len(recordings))
        out = np.stack([lanes.step(padded[:, t]) for t in range(padded.shape[1])], axis=1)
        return [out[i, : len(poses)] for i, poses in enumerate(recordings)]

    return lambda recordings: _in_batches(embed, recordings, lambda count, longest: count <= _LANES, _cores())


def _whole_sequences(bundle: Bundle) -> _Embed:
    whole = WholeRecordings(bundle)

    def embed(recordings: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        return [whole.of_cropped(keypoints) for keypoints in recordings]

    return lambda recordings: _in_batches(embed, recordings, lambda count, longest: False, _cores())


def _padded(net: LockstepNet) -> _Embed:
    import torch

    from training.packing import Packed

    net = net.eval()
    run = net if len(net.cross) else Packed(net, sparse=True).eval()  # the same, in half the time

    @torch.inference_mode()
    def embed(recordings: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        padded, mask = _stacked(recordings)
        out = run(torch.from_numpy(padded), torch.from_numpy(mask)).numpy()
        return [out[i, : len(poses)] for i, poses in enumerate(recordings)]

    return lambda recordings: _in_batches(embed, recordings, lambda count, longest: count * longest <= _TICKS, 1)


def _in_batches(
    embed: _Embed, recordings: list[NDArray[np.float32]], fits: Callable[[int, int], bool], workers: int
) -> list[NDArray[np.float32]]:
    """`embed` on recordings of similar length together, as many as fit (count, longest); results in the order given."""
    order = sorted(range(len(recordings)), key=lambda i: len(recordings[i]))
    batches: list[list[int]] = []
    for i in order:
        if batches and fits(len(batches[-1]) + 1, len(recordings[i])):
            batches[-1].append(i)
        else:
            batches.append([i])
    with ThreadPoolExecutor(workers) as pool:
        embedded = pool.map(lambda batch: embed([recordings[i] for i in batch]), batches)
        out = {i: e for batch, of in zip(batches, embedded, strict=True) for i, e in zip(batch, of, strict=True)}
    return [out[i] for i in range(len(recordings))]


def _cores() -> int:
    """As many as numerical libraries would take: `OMP_NUM_THREADS`, else all."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def _stacked(recordings: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(B, longest, K, 3), zeros after the end of each, and the mask (B, longest) of what is there."""
    lengths = np.array([len(poses) for poses in recordings])
    out = np.zeros((len(recordings), lengths.max(), *recordings[0].shape[1:]), np.float32)
    for i, poses in enumerate(recordings):
        out[i, : len(poses)] = poses
    return out, np.arange(lengths.max()) < lengths[:, None]
