"""A bundle's weights, read without PyTorch and arranged as the compiled step reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.native.products import pack, padded
from engine.errors import BundleError, EngineBuildError
from models import skeleton

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """Sizes of the network and its packed weights. C channels, D width, P patches, H heads, W window."""

    width: int
    heads: int
    hidden: int
    window: int
    grid: int
    patch: int
    delays: NDArray[np.int64]
    scale: np.float32
    """1 / (√2·σ)"""
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    """(C,) joints at the ends of each segment that is drawn."""
    embed: Floats
    """Flat (C, 1 + delays, patch², D padded)."""
    places: Floats
    """(P, D): bias and position of each patch."""
    spatial: tuple[Floats, ...]
    temporal: tuple[Floats, ...]
    """See `blocks`."""
    by_slot: Floats
    """(H, 2 · W): entry i is the bias of distance (W − 1 − i) mod W."""
    token: tuple[Floats, Floats]
    """Scale and shift (D,) of the norm that ends the frame encoder."""
    head: tuple[Floats, ...]
    """Two packed products with their biases; empty: features are the embedding, after `feature`."""
    feature: tuple[Floats, Floats]
    """Scale and shift (D,) of the norm that ends the temporal encoder: 1 and 0 where the head's first product has them."""
    centre: tuple[Floats, Floats]
    """(E,): subtracted, and multiplied with, before the embedding gets unit length."""
    embedding_dim: int


def load_weights(bundle: Bundle) -> Weights:
    """Raises EngineBuildError for a network that the compiled step does not run, BundleError for one without weights."""
    network = bundle.info.network
    if bundle.info.weights_file is None or not network:
        raise BundleError(
            f"bundle {bundle.info.name} carries no weights",
            expected="weights_file and network in bundle.json",
            next_step="Use the onnxruntime runtime, or export the bundle again.",
        )
    if reason := unsupported(network):
        raise EngineBuildError(
            f"the native runtime does not run bundle {bundle.info.name}",
            expected="a causal network without cross-attention, in fp32",
            found=reason,
            next_step="Use the onnxruntime runtime.",
        )
    tensors = read_safetensors(bundle.folder / bundle.info.weights_file)
    try:
        return _arrange(network, tensors)
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"the network of bundle {bundle.info.name} is not one that this version knows",
            found=str(error),
            next_step="Upgrade lockstep, or export the bundle again.",
        ) from error


def unsupported(network: dict[str, Any]) -> str:
    """Why the compiled step does not run this network; empty if it does."""
    if network.get("temporal") != "causal":
        return f"temporal: {network.get('temporal')}"
    return "cross-attention" if network.get("cross_attention_depth") else ""


def read_safetensors(path: Path) -> dict[str, Floats]:
    """Float32 tensors by name: eight bytes of header length, a JSON header, the data. Raises BundleError."""
    try:
        raw = path.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])
        header.pop("__metadata__", None)
        tensors = {}
        for name, entry in header.items():
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            if entry["dtype"] == "F32":
                tensors[name] = np.frombuffer(raw[start:end], np.float32).reshape(entry["shape"])
        return tensors
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"cannot read the weights in {path}", expected="safetensors", found=str(error)) from error


def _arrange(network: dict[str, Any], tensors: dict[str, Floats]) -> Weights:
    width, heads, window, patch = (int(network[key]) for key in ("width", "heads", "window", "patch"))
    hidden, motions = int(width * network["mlp_ratio"]), tuple(network["motion"])
    layout = skeleton.layout(network["layout"])
    drawn = network["heatmaps"]
    segments = [(k, k) for k in range(layout.size)] if "joints" in drawn else []
    segments += list(layout.limbs) if "limbs" in drawn else []
    embed = tensors["frames.embed.weight"].reshape(width, 1 + len(motions), len(segments), patch * patch)
    wide = np.zeros((len(segments), 1 + len(motions), patch * patch, padded(width)), np.float32)
    wide[..., :width] = embed.transpose(2, 1, 3, 0)
    table = tensors.get("temporal.bias.table", np.zeros((heads, window), np.float32))
    scale, shift = tensors["temporal.norm.weight"], tensors["temporal.norm.bias"]
    plain = np.ones(width, np.float32), np.zeros(width, np.float32)
    head: tuple[Floats, ...] = ()
    if network["projection"]:
        first, second = (_linear(tensors, f"project.{i}") for i in (0, 2))
        head = tuple(
            part[None] for part in (*_packed(first[0] * scale, first[1] + first[0] @ shift), *_packed(*second))
        )
    return Weights(
        width, heads, hidden, window, int(network["grid"]), patch, np.array(motions, np.int64),
        np.float32(1 / (2**0.5 * network["sigma"])),
        np.array([a for a, _ in segments]), np.array([b for _, b in segments]),
        wide.ravel(), tensors["frames.positions"] + tensors["frames.embed.bias"],
        _blocks(tensors, "frames.blocks", int(network["spatial_depth"]), heads, width, hidden),
        _blocks(tensors, "temporal.blocks", int(network["temporal_depth"]), heads, width, hidden),
        np.ascontiguousarray(table[:, (window - 1 - np.arange(2 * window)) % window]),
        (tensors["frames.norm.weight"], tensors["frames.norm.bias"]),
        head,
        plain if head else (scale, shift),
        (tensors["centring.mean"], 1 / tensors["centring.spread"]),
        int(network["embedding_dim"]) if head else width,
    )  # fmt: skip


def _blocks(
    tensors: dict[str, Floats], prefix: str, depth: int, heads: int, width: int, hidden: int
) -> tuple[Floats, ...]:
    layers = []
    for layer in range(depth):
        name = f"{prefix}.{layer}"
        attention, mlp = (
            (tensors[f"{name}.{norm}.weight"], tensors[f"{name}.{norm}.bias"])
            for norm in ("before_attention", "before_mlp")
        )
        query, key, value, out = (
            _linear(tensors, f"{name}.attention.{part}") for part in ("query", "key", "value", "out")
        )
        softer = np.float32((width // heads) ** -0.5)
        weight = np.concatenate([query[0] * softer, key[0], value[0]])
        bias = np.concatenate([query[1] * softer, key[1], value[1]])
        up, down = _linear(tensors, f"{name}.mlp.0"), _linear(tensors, f"{name}.mlp.2")
        layers.append(
            (*_packed(weight * attention[0], bias + weight @ attention[1]), *_packed(*out),
             *_packed(up[0] * mlp[0], up[1] + up[0] @ mlp[1]), *_packed(*down))
        )  # fmt: skip
    if not layers:
        return tuple(np.zeros((0, 1), np.float32) for _ in range(8))
    return tuple(np.stack(parts) for parts in zip(*layers, strict=True))


def _linear(tensors: dict[str, Floats], name: str) -> tuple[Floats, Floats]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _packed(weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """A linear's weight (out, in) and bias (out,), packed for `product`."""
    wide = np.zeros(padded(len(bias)), np.float32)
    wide[: len(bias)] = bias
    return pack(np.ascontiguousarray(weight.T, np.float32)), wide
