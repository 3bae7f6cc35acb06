"""Arithmetic of a graph, and how fast this thread does arithmetic: together the floor that no runtime can beat.

    floor = floating-point operations of the graph's matrix products ÷ rate of one large matrix product, measured here and now

Only products are counted (2·M·N·K each): elementwise work and the movement of caches cost time but count nothing, so the
floor is a true lower bound for a runtime that computes in float32 on one thread.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.sessions import one_thread

SIDE = 512
"""Of the square matrices: large enough to reach the peak, small enough to stay in the second-level cache's reach."""


def product_flops(path: Path, feeds: dict[str, NDArray[np.float32]]) -> int:
    """Counted on a real run: every product's operands become outputs, and their shapes are looked at."""
    model = onnx.load(str(path))
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    wanted = {name for node in products for name in (node.input[0], node.output[0])}
    known = {value.name for value in [*model.graph.output, *model.graph.input]}
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    extra = sorted(wanted - known - set(constants))
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in extra)
    session = one_thread(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    shapes = {name: value.shape for name, value in zip(names, session.run(names, feeds), strict=True)}
    shapes |= {name: array.shape for name, array in feeds.items()} | constants
    total = 0
    for node in products:
        rows = shapes[node.input[0]]
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        inner = rows[0] if transposed else rows[-1]
        total += 2 * int(np.prod(shapes[node.output[0]])) * inner
    return total


class ProductRate:
    """Rate of one large product on one thread of ONNX Runtime, sampled between other measurements."""

    def __init__(self) -> None:
        matrix = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("MatMul", ["a", "b"], ["c"])],
            "product",
            [matrix("a", onnx.TensorProto.FLOAT, [SIDE, SIDE]), matrix("b", onnx.TensorProto.FLOAT, [SIDE, SIDE])],
            [matrix("c", onnx.TensorProto.FLOAT, [SIDE, SIDE])],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
        self._session = one_thread(model.SerializeToString())
        rng = np.random.default_rng(0)
        self._feeds = {name: rng.random((SIDE, SIDE), np.float32) for name in "ab"}
        self._seconds: list[float] = []

    def sample(self) -> None:
        started = time.perf_counter()
        self._session.run(None, self._feeds)
        self._seconds.append(time.perf_counter() - started)

    @property
    def gflops(self) -> float:
        """Of the fastest tenth of the samples, 10⁹ operations per second: a busy machine must not lower the floor's bar."""
        return 2 * SIDE**3 / float(np.percentile(self._seconds, 10)) / 1e9
