"""Half precision by explicit casts in the graph: matrix products in fp16 or bf16, everything else stays float32.

LayerNorm, softmax, heatmaps and the final normalisation are where half precision goes wrong, so they are never cast; nor
is the projection: what all embeddings share is subtracted after it, and with bf16 products in it the small rest is mostly
rounding (of all products of the shipped network, these two make 19 twentieths of the error). The weights stay float32 in their file; TensorRT folds the casts of constants into its plan.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from engine.bundle import Bundle, file_sha256
from engine.errors import BundleError
from export.bundle import scratch_beside

TYPES = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}
PRODUCTS = ("MatMul", "Gemm")
SMALLEST = 16
"""Products with a constant of fewer rows are geometry (coordinates), not features: they stay exact."""


def cast_products(model: onnx.ModelProto, precision: str) -> None:
    """Puts casts around every matrix product of features of a float32 graph, in place."""
    to = TYPES[precision]
    graph = model.graph
    dims = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    cast: dict[str, str] = {}
    exact = _after_the_last_norm(graph)
    for node in graph.node:
        # a transposed weight has its rows and columns swapped; the smaller one tells geometry from features
        small = any(min(dims[name]) < SMALLEST for name in node.input if name in dims and len(dims[name]) > 1)
        if node.op_type not in PRODUCTS or small or node.name in exact:
            nodes.append(node)
            continue
        inputs = []
        for name in node.input:
            if name not in cast:
                cast[name] = f"{name}/{precision}"
                nodes.append(onnx.helper.make_node("Cast", [name], [cast[name]], f"cast/{cast[name]}", to=to))
            inputs.append(cast[name])
        product = onnx.NodeProto()
        product.CopyFrom(node)
        product.input[:] = inputs
        product.output[:] = [f"{node.output[0]}/{precision}"]
        back = onnx.helper.make_node(
            "Cast", product.output, node.output, f"cast/{node.output[0]}", to=onnx.TensorProto.FLOAT
        )
        nodes += [product, back]
    del graph.node[:]
    graph.node.extend(nodes)


def _after_the_last_norm(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes between the last LayerNorm and the embedding."""
    makers = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    ahead = [graph.output[0].name]
    while ahead:
        node = makers.get(ahead.pop())
        if node is not None and node.op_type != "LayerNormalization" and node.name not in found:
            found.add(node.name)
            ahead += node.input
    return found


def emulate_products(model: onnx.ModelProto) -> None:
    """Rewrites, in place, each product of half precision as a float32 product of rounded numbers, rounded once at the end.

    That is what a tensor core computes (it sums up in float32), in operators that every processor has: ONNX Runtime's CPU
    kernels know no product of bf16.
    """
    graph = model.graph
    half = {node.output[0]: node.attribute[0].i for node in graph.node if node.op_type == "Cast"}
    half = {name: to for name, to in half.items() if to in TYPES.values()}
    nodes: list[onnx.NodeProto] = []
    widened: set[str] = set()

    def cast(source: str, target: str, to: int) -> None:
        nodes.append(onnx.helper.make_node("Cast", [source], [target], f"cast/{target}", to=to))

    for node in graph.node:
        if node.op_type not in PRODUCTS or not any(name in half for name in node.input):
            nodes.append(node)
            continue
        for name in node.input:
            if name not in widened:
                widened.add(name)
                cast(name, f"{name}/wide", onnx.TensorProto.FLOAT)
        product = onnx.NodeProto()
        product.CopyFrom(node)
        product.input[:] = [f"{name}/wide" for name in node.input]
        product.output[:] = [f"{node.output[0]}/wide"]
        nodes.append(product)
        cast(product.output[0], node.output[0], half[node.input[0]])
    del graph.node[:]
    graph.node.extend(nodes)


def write_precision(bundle: Bundle, folder: Path, precision: str, name: str) -> Bundle:
    """A bundle like `bundle` whose graphs compute in `precision`. Raises BundleError: not fp32, folder taken."""
    if bundle.info.precision != "fp32":
        raise BundleError(
            f"bundle {bundle.info.name} is {bundle.info.precision} already",
            expected="an fp32 bundle",
            next_step="Start from the fp32 bundle.",
        )
    return _rewritten(
        bundle, Path(folder), lambda model: cast_products(model, precision), {"name": name, "precision": precision, "metrics": {}}
    )  # fmt: skip


def write_emulated(bundle: Bundle, folder: Path) -> Bundle:
    """A bundle of half precision as one that any CPU runs, with the same roundings. Raises BundleError: folder taken."""
    return _rewritten(bundle, Path(folder), emulate_products, {})


def _rewritten(
    bundle: Bundle, folder: Path, change: Callable[[onnx.ModelProto], None], differs: dict[str, Any]
) -> Bundle:
    """A copy whose graphs are changed in place by `change`, and whose sheet `differs`."""
    if folder.exists():
        raise BundleError(f"{folder} exists already", expected="a new folder", next_step="Choose another with -o.")
    with scratch_beside(folder) as scratch:
        place = scratch / "bundle"
        shutil.copytree(bundle.folder, place, ignore=shutil.ignore_patterns("*.md"))
        graphs = [file for file in (bundle.info.step_file, bundle.info.sequence_file) if file]
        for file in graphs:
            model = onnx.load(str(place / file), load_external_data=False)
            change(model)
            onnx.save(model, str(place / file))
            onnx.checker.check_model(str(place / file))
        hashes = bundle.info.files | {file: file_sha256(place / file) for file in graphs}
        info = bundle.info.model_copy(update={**differs, "files": hashes})
        (place / "bundle.json").write_text(json.dumps(info.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        Bundle(place)
        place.rename(folder)
    return Bundle(folder)
