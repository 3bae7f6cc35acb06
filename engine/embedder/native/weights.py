"""A bundle's weights, read without PyTorch and arranged as the compiled step reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.native.products import pack, padded
from engine.errors import EngineBuildError
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
    """Two packed products with their biases, (1, …) each; (0, 1): features are the embedding, after `feature`."""
    feature: tuple[Floats, Floats]
    """Scale and shift (D,) of the norm that ends the temporal encoder: 1 and 0 where the head's first product has them."""
    centre: tuple[Floats, Floats]
    """(E,): subtracted, and multiplied with, before the embedding gets unit length."""
    embedding_dim: int


UNDERSTOOD = frozenset(
    [
        "layout",
        "rate_hz",
        "heatmaps",
        "grid",
        "patch",
        "sigma",
        "motion",
        "width",
        "heads",
        "mlp_ratio",
        "spatial_depth",
        "spatial_positions",  # switched off they are zeros
        "temporal_depth",
        "temporal",
        "positions",
        "window",
        "cross_attention_depth",
        "projection",
        "embedding_dim",
        "dropout",
    ]
)
"""Parts of a network (`models.lockstep_net.NetConfig`) that the compiled step has, refuses or need not have."""


def load_weights(bundle: Bundle) -> Weights:
    """Raises EngineBuildError for a network that the compiled step does not run, or whose weights are not what they should be."""
    if reason := unsupported(bundle):
        raise EngineBuildError(
            f"the native runtime does not run bundle {bundle.info.name}",
            expected="a causal network in fp32, without cross-attention, with its weights",
            found=reason,
            next_step="Use the onnxruntime runtime.",
        )
    assert bundle.info.weights_file is not None
    tensors = _Tensors(bundle.folder / bundle.info.weights_file)
    try:
        return _arrange(bundle, tensors)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise EngineBuildError(
            f"the native runtime does not know the network of bundle {bundle.info.name}",
            expected="weights of the network that bundle.json describes",
            found=f"{type(error).__name__}: {error}",
            next_step="Use the onnxruntime runtime, or export the bundle again.",
        ) from error


def unsupported(bundle: Bundle) -> str:
    """Why the compiled step does not run this bundle; empty if it does."""
    info, network = bundle.info, bundle.info.network
    if info.weights_file is None or not network:
        return "no weights but those inside the graph"
    if info.precision != "fp32":
        return info.precision
    if unknown := sorted(set(network) - UNDERSTOOD):
        return f"a network with {', '.join(unknown)}"
    if network.get("temporal") != "causal":
        return f"temporal: {network.get('temporal')}"
    return "cross-attention" if network.get("cross_attention_depth") else ""


class _Tensors:
    """The float32 tensors of a safetensors file: eight bytes of header length, a JSON header, the data."""

    def __init__(self, path: Path) -> None:
        """Raises EngineBuildError."""
        try:
            raw = path.read_bytes()
            size = int.from_bytes(raw[:8], "little")
            header = json.loads(raw[8 : 8 + size])
            header.pop("__metadata__", None)
            self._arrays = {}
            for name, entry in header.items():
                start, end = (8 + size + offset for offset in entry["data_offsets"])
                if entry["dtype"] == "F32":
                    self._arrays[name] = np.frombuffer(raw[start:end], np.float32).reshape(entry["shape"]).copy()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineBuildError(
                f"cannot read the weights in {path}",
                expected="safetensors",
                found=str(error),
                next_step="Export the bundle again, or use the onnxruntime runtime.",
            ) from error

    def take(self, name: str, *shape: int) -> Floats:
        """Raises KeyError, ValueError: the compiled step trusts every shape."""
        array = self._arrays[name]
        if array.shape != shape:
            raise ValueError(f"{name} is {array.shape}, not {shape}")
        return array

    def linear(self, name: str, inputs: int, outputs: int) -> tuple[Floats, Floats]:
        return self.take(f"{name}.weight", outputs, inputs), self.take(f"{name}.bias", outputs)

    def norm(self, name: str, width: int) -> tuple[Floats, Floats]:
        return self.take(f"{name}.weight", width), self.take(f"{name}.bias", width)


def _arrange(bundle: Bundle, tensors: _Tensors) -> Weights:
    network = bundle.info.network
    width, heads, window, grid, patch = (int(network[key]) for key in ("width", "heads", "window", "grid", "patch"))
    hidden, motions = int(width * network["mlp_ratio"]), [int(delay) for delay in network["motion"]]
    embedding_dim = int(network["embedding_dim"]) if network["projection"] else width
    if min(width, heads, window, grid, patch, hidden, *motions) < 1 or width % heads or grid % patch:
        raise ValueError(f"sizes that do not go together: {network}")
    if network["layout"] != bundle.info.layout or embedding_dim != bundle.info.embedding_dim:
        raise ValueError(f"not the layout or the embedding of bundle.json: {network['layout']}, {embedding_dim}")
    layout = skeleton.layout(network["layout"])
    drawn = network["heatmaps"]
    segments = [(k, k) for k in range(layout.size)] if "joints" in drawn else []
    segments += list(layout.limbs) if "limbs" in drawn else []
    maps, patches = len(segments) * (1 + len(motions)), (grid // patch) ** 2
    embed, embed_bias = tensors.linear("frames.embed", maps * patch * patch, width)
    wide = np.zeros((len(segments), 1 + len(motions), patch * patch, padded(width)), np.float32)
    by_map = embed.reshape(width, 1 + len(motions), len(segments), patch * patch)
    wide[..., :width] = by_map.transpose(2, 1, 3, 0)
    table = np.zeros((heads, window), np.float32)
    if network["positions"] == "relative":
        table = tensors.take("temporal.bias.table", heads, window)
    scale, shift = tensors.norm("temporal.norm", width)
    plain = np.ones(width, np.float32), np.zeros(width, np.float32)
    head = tuple(np.zeros((0, 1), np.float32) for _ in range(4))
    if network["projection"]:
        first = tensors.linear("project.0", width, width)
        second = tensors.linear("project.2", width, embedding_dim)
        head = tuple(
            part[None] for part in (*_packed(first[0] * scale, first[1] + first[0] @ shift), *_packed(*second))
        )
    return Weights(
        width, heads, hidden, window, grid, patch, np.array(motions, np.int64),
        np.float32(1 / (2**0.5 * float(network["sigma"]))),
        np.array([a for a, _ in segments]), np.array([b for _, b in segments]),
        wide.ravel(), tensors.take("frames.positions", patches, width) + embed_bias,
        _blocks(tensors, "frames.blocks", int(network["spatial_depth"]), heads, width, hidden),
        _blocks(tensors, "temporal.blocks", int(network["temporal_depth"]), heads, width, hidden),
        np.ascontiguousarray(table[:, (window - 1 - np.arange(2 * window)) % window]),
        tensors.norm("frames.norm", width),
        head,
        plain if network["projection"] else (scale, shift),
        (tensors.take("centring.mean", embedding_dim), 1 / tensors.take("centring.spread", embedding_dim)),
        embedding_dim,
    )  # fmt: skip


def _blocks(tensors: _Tensors, prefix: str, depth: int, heads: int, width: int, hidden: int) -> tuple[Floats, ...]:
    """Norms and the query's scale go into the product that follows; see `blocks`."""
    layers = []
    for layer in range(depth):
        name = f"{prefix}.{layer}"
        attention, mlp = (tensors.norm(f"{name}.{norm}", width) for norm in ("before_attention", "before_mlp"))
        query, key, value, out = (
            tensors.linear(f"{name}.attention.{part}", width, width) for part in ("query", "key", "value", "out")
        )
        softer = np.float32((width // heads) ** -0.5)
        weight = np.concatenate([query[0] * softer, key[0], value[0]])
        bias = np.concatenate([query[1] * softer, key[1], value[1]])
        up, down = tensors.linear(f"{name}.mlp.0", width, hidden), tensors.linear(f"{name}.mlp.2", hidden, width)
        layers.append(
            (*_packed(weight * attention[0], bias + weight @ attention[1]), *_packed(*out),
             *_packed(up[0] * mlp[0], up[1] + up[0] @ mlp[1]), *_packed(*down))
        )  # fmt: skip
    if not layers:
        return tuple(np.zeros((0, 1), np.float32) for _ in range(8))
    return tuple(np.stack(parts) for parts in zip(*layers, strict=True))


def _packed(weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """A linear's weight (out, in) and bias (out,), packed for `product`."""
    wide = np.zeros(padded(len(bias)), np.float32)
    wide[: len(bias)] = bias
    return pack(np.ascontiguousarray(weight.T, np.float32)), wide
