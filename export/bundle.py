"""Writes a bundle: two graphs, one file of weights that both (and PyTorch) read, and `bundle.json`.

bundle.json         what one must know to run it, hashes of the other files   (engine.bundle reads it)
model.onnx          graph of one tick
sequence.onnx       graph of a whole sequence
model.safetensors   the weights, once: the graphs point into this file ("external data" in ONNX)
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file

from engine.bundle import Bundle, BundleInfo, Tensor, file_sha256
from engine.errors import BundleError
from export.onnx import OPSET, export_sequence, export_step
from models.live_step import LiveStep
from models.lockstep_net import LockstepNet

WEIGHTS = "model.safetensors"
LEAST_SHARED = 256
"""Tensors of fewer elements stay inside the graph."""


def write_bundle(
    net: LockstepNet,
    folder: Path,
    *,
    name: str,
    crop: dict[str, Any],
    training: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
) -> Bundle:
    """Exports `net` to `folder` and reads it back. `crop`: how the person was cut out, see `models.crop`.

    `training` and `metrics`: whatever JSON should be known about how the weights came about and how good they are.
    A bundle that is already there is replaced in one step; a folder that is none is refused. Raises BundleError.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "bundle.json").exists():
        raise BundleError(
            f"{folder} is not a bundle and will not be overwritten",
            expected="a new folder, an empty one, or a bundle",
            next_step="Choose another folder with -o.",
        )
    config = net.config
    with scratch_beside(folder) as place:
        weights = {key: tensor.detach().cpu().contiguous() for key, tensor in net.state_dict().items()}
        save_file(weights, place / WEIGHTS)
        (place / WEIGHTS).chmod(0o644)
        index = _WeightIndex(place / WEIGHTS)
        for file, model in (("model.onnx", export_step(net)), ("sequence.onnx", export_sequence(net))):
            index.share(model)
            onnx.save(model, str(place / file))
            onnx.checker.check_model(str(place / file))
        state = {key: tensor.shape[1:] for key, tensor in LiveStep(net).initial_state(1).items()}
        info = BundleInfo(
            format=1,
            name=name,
            layout=config.layout,
            rate_hz=config.rate_hz,
            mode="causal" if config.temporal == "causal" else "window",
            window=config.window,
            embedding_dim=config.output_dim,
            crop=crop,
            sequence_file="sequence.onnx",
            weights_file=WEIGHTS,
            network=config.to_json(),
            state=tuple(Tensor(name=key, shape=tuple(shape)) for key, shape in state.items()),
            files={file: file_sha256(place / file) for file in ("model.onnx", "sequence.onnx", WEIGHTS)},
            opset=OPSET,
            training={"torch": version("torch"), **(training or {})},
            metrics=metrics or {},
        )
        (place / "bundle.json").write_text(json.dumps(info.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        Bundle(place)
        if folder.exists():
            for card in folder.glob("*.md"):  # written by hand, so it stays
                shutil.copy2(card, place)
            shutil.rmtree(folder)
        place.chmod(0o755)
        place.rename(folder)
        place.mkdir()  # what the temporary folder expects to remove
    return Bundle(folder)


@contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """An empty folder on the same disk, to be renamed to `folder` when all is written. Raises BundleError: cannot write."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            yield Path(scratch)
    except (OSError, SafetensorError) as error:
        reasons = error.args[0] if isinstance(error, shutil.Error) else [[str(error)]]
        raise BundleError(
            f"cannot write the bundle {folder}",
            expected="free space and the right to write there",
            found=str(reasons[0][-1]),
            next_step="Free space, or choose another folder with -o.",
        ) from error


class _WeightIndex:
    """Where each tensor of a safetensors file lies, to point at from a graph instead of copying it."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])
        header.pop("__metadata__", None)
        self._file = path.name
        self._tensors: dict[str, tuple[NDArray[np.float32], int]] = {}
        for key, entry in header.items():
            if entry["dtype"] == "F32":
                start, end = (8 + size + offset for offset in entry["data_offsets"])
                array = np.frombuffer(raw[start:end], np.float32).reshape(entry["shape"])
                self._tensors[key] = array, start

    def share(self, model: onnx.ModelProto) -> None:
        """Replaces each large initialiser that is a weight, or a weight transposed, by a pointer into the file."""
        graph = model.graph
        transposes = []
        shared: dict[str, onnx.TensorProto] = {}
        kept = []
        for initialiser in graph.initializer:
            found = None
            if initialiser.data_type == onnx.TensorProto.FLOAT and np.prod(initialiser.dims) >= LEAST_SHARED:
                found = self._find(onnx.numpy_helper.to_array(initialiser))
            if found is None:
                kept.append(initialiser)
                continue
            key, transposed = found
            target = f"weights/{key}" if transposed else initialiser.name
            shared.setdefault(target, self._pointer(key, target))
            if transposed:
                transposes.append(
                    onnx.helper.make_node("Transpose", [target], [initialiser.name], f"transpose/{key}", perm=[1, 0])
                )
        del graph.initializer[:]
        graph.initializer.extend([*kept, *shared.values()])
        nodes = [*transposes, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        names = set(shared)
        values = [value for value in graph.value_info if value.name not in names]
        del graph.value_info[:]
        graph.value_info.extend(values)

    def _find(self, array: NDArray[Any]) -> tuple[str, bool] | None:
        for key, (weight, _) in self._tensors.items():
            if weight.shape == array.shape and np.array_equal(weight, array):
                return key, False
            if weight.ndim == 2 and weight.shape == array.shape[::-1] and np.array_equal(weight.T, array):
                return key, True
        return None

    def _pointer(self, key: str, name: str) -> onnx.TensorProto:
        weight, offset = self._tensors[key]
        tensor = onnx.TensorProto(
            name=name, data_type=onnx.TensorProto.FLOAT, dims=weight.shape, data_location=onnx.TensorProto.EXTERNAL
        )
        for field, value in (("location", self._file), ("offset", str(offset)), ("length", str(weight.nbytes))):
            tensor.external_data.add(key=field, value=value)
        return tensor
