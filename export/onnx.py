"""LockstepNet → ONNX: the graph of one tick (what runs live) and the graph of a whole sequence (its oracle, offline).

step      keypoints (B, K, 3), state  →  embedding (B, D), next state      batch dynamic, heatmaps inside
sequence  keypoints (B, T, K, 3)      →  embeddings (B, T, D)              batch and length dynamic
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.errors import BundleError
from models.live_step import LiveStep
from models.lockstep_net import LockstepNet

OPSET = 20
"""The first with Gelu as one operator; ONNX Runtime ≥ 1.17 and TensorRT ≥ 10.2 read it."""
IR_VERSION = 10
"""Of the file, not of the operators: the newest that ONNX Runtime 1.19 opens."""
MAX_BATCH, MAX_TICKS = 4096, 100_000


class _Step(nn.Module):
    def __init__(self, live: LiveStep, names: list[str]) -> None:
        super().__init__()
        self.live, self.names = live, names

    def forward(self, keypoints: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        embedding, following = self.live.step(keypoints, dict(zip(self.names, state, strict=True)))
        return embedding, *(following[name] for name in self.names)


def export_step(net: LockstepNet) -> onnx.ModelProto:
    """The step graph: inputs `keypoints` and the state by name, outputs `embedding` and `next_<name>`."""
    live = LiveStep(net.eval())
    state = live.initial_state(2)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    keypoints = torch.rand(2, net.joints, 3) * (net.config.grid - 1)
    return _export(
        _Step(live, list(state)),
        (keypoints, *state.values()),
        ["keypoints", *state],
        ["embedding", *(f"next_{name}" for name in state)],
        ({0: batch}, tuple({0: batch} for _ in state)),
    )


def export_sequence(net: LockstepNet) -> onnx.ModelProto:
    """The whole-sequence graph: input `keypoints` (B, T, K, 3), output `embeddings` (B, T, D)."""
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    ticks = torch.export.Dim("ticks", min=2, max=MAX_TICKS)
    keypoints = torch.rand(2, net.config.window + 9, net.joints, 3) * (net.config.grid - 1)
    return _export(_Sequence(net), (keypoints,), ["keypoints"], ["embeddings"], ({0: batch, 1: ticks},))


class _Sequence(nn.Module):
    def __init__(self, net: LockstepNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.net(keypoints)


def _export(
    module: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str], dynamic: tuple[Any, ...]
) -> onnx.ModelProto:
    """Raises BundleError where PyTorch cannot express the model in ONNX, or the result is not what was asked for."""
    # The flash kernels' strides cannot be exported with two dynamic dimensions; plain products and a softmax can.
    with _quiet(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        try:
            program = torch.onnx.export(
                module.eval(),
                example,
                dynamo=True,
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=dynamic,
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:
            raise BundleError(
                "PyTorch cannot express this model in ONNX",
                expected=f"operators of opset {OPSET}",
                found=str(error).strip().splitlines()[-1][:300] if str(error).strip() else type(error).__name__,
                next_step="Change the part of the model that it names, or switch it off in the configuration.",
            ) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    used = {node.domain for node in model.graph.node}
    if used != {""} or opsets.get("") != OPSET:
        raise BundleError(
            "the exported graph uses operators that not every runtime has",
            expected=f"the standard operators of opset {OPSET}",
            found=f"opset {opsets}, domains {sorted(used)}",
        )
    _strip(model)
    model.ir_version = min(model.ir_version, IR_VERSION)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Without the exporter's notes: they hold source lines and paths of the machine that exported."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    graph.name = "lockstep"


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks about torchvision and its own future; neither concerns the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
