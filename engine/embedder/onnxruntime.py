"""ONNX Runtime: the default, on any machine. Reads and writes two sets of caches in turn, so a tick allocates nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.base import Arrays
from engine.errors import BundleError
from models import skeleton

if TYPE_CHECKING:
    import onnxruntime as ort

Provider = str | tuple[str, dict[str, str]]


class OnnxRuntime:
    """A session over the step graph, on one CPU thread. Raises BundleError: see `open_session`.

    One thread is fastest for one station (a step is smaller than the cost of sharing it) and leaves the other cores to
    pose estimation.
    """

    def __init__(self, bundle: Bundle) -> None:
        import onnxruntime as ort

        self.bundle = bundle
        self.precision: str = bundle.info.precision
        self.session = open_session(bundle, ["CPUExecutionProvider"])
        self.name = f"onnxruntime {ort.__version__} (CPU)"

    def lanes(self, batch: int = 1) -> OnnxLanes:
        return OnnxLanes(self, batch)


class OnnxLanes:
    """Caches of `batch` streams in two sets: a tick reads one and writes the other."""

    def __init__(self, runtime: OnnxRuntime, batch: int) -> None:
        self.batch = batch
        self._session = runtime.session
        info = runtime.bundle.info
        self._sets = [
            {tensor.name: np.zeros((batch, *tensor.shape), tensor.dtype) for tensor in info.state} for _ in range(2)
        ]
        self._now = 0
        joints = self._session.get_inputs()[0].shape[1]
        self._keypoints = np.zeros((batch, joints, 3), np.float32)
        self._embedding = np.zeros((batch, info.embedding_dim), np.float32)
        self._bindings = [self._bind(self._sets[0], self._sets[1]), self._bind(self._sets[1], self._sets[0])]

    def _bind(self, before: Arrays, after: Arrays):
        binding = self._session.io_binding()
        for name, array in {"keypoints": self._keypoints, **before}.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        outputs = {"embedding": self._embedding, **{f"next_{name}": array for name, array in after.items()}}
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding

    def step(self, keypoints: NDArray[np.float32], active: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        if active is not None and not active.all():
            return self._step_some(keypoints, np.flatnonzero(active))
        np.copyto(self._keypoints, keypoints)
        self._session.run_with_iobinding(self._bindings[self._now])
        self._now = 1 - self._now
        return self._embedding.copy()

    def _step_some(self, keypoints: NDArray[np.float32], lanes: NDArray[np.intp]) -> NDArray[np.float32]:
        caches = self._sets[self._now]
        out = np.zeros_like(self._embedding)
        if len(lanes):
            feeds = {"keypoints": np.ascontiguousarray(keypoints[lanes], np.float32)}
            feeds |= {name: array[lanes] for name, array in caches.items()}
            names = ["embedding", *(f"next_{name}" for name in caches)]
            out[lanes], *after = self._session.run(names, feeds)
            for array, rows in zip(caches.values(), after, strict=True):
                array[lanes] = rows
        return out

    def reset(self, lane: int) -> None:
        for array in self._sets[self._now].values():
            array[lane] = 0

    def state(self, lane: int) -> Arrays:
        return {name: array[lane].copy() for name, array in self._sets[self._now].items()}

    def restore(self, lane: int, state: Arrays) -> None:
        for name, array in self._sets[self._now].items():
            array[lane] = state[name]


def open_session(bundle: Bundle, providers: list[Provider]) -> ort.InferenceSession:
    """Of the step graph. Raises BundleError if it cannot be loaded or is not the one described."""
    session = open_graph(bundle, bundle.info.step_file, providers)
    info = bundle.info
    state = {tensor.name: list(tensor.shape) for tensor in info.state}
    wanted = (
        {"keypoints": [skeleton.layout(info.layout).size, 3], **state},
        {
            "embedding": [info.embedding_dim],
            **{f"next_{name}": shape for name, shape in state.items()},
        },
    )
    found = tuple(
        {node.name: node.shape[1:] for node in nodes} for nodes in (session.get_inputs(), session.get_outputs())
    )
    if wanted != found:
        raise BundleError(
            f"{bundle.step_path} is not the graph that bundle.json describes",
            expected=f"inputs {wanted[0]}, outputs {wanted[1]}",
            found=f"inputs {found[0]}, outputs {found[1]}",
            next_step="Export it again with `lockstep export CHECKPOINT -o BUNDLE`.",
        )
    return session


def open_graph(bundle: Bundle, file: str, providers: list[Provider]) -> ort.InferenceSession:
    """A session of one thread over one of the bundle's graphs; `providers` as ONNX Runtime has them. Raises BundleError."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # between ticks the core is not ours
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(bundle.folder / file), options, providers=providers)
    except Exception as error:  # onnxruntime has no common class of errors
        raise BundleError(
            f"ONNX Runtime {ort.__version__} cannot load {bundle.folder / file}",
            expected=f"a graph of opset {bundle.info.opset} or older that it supports",
            found=_first_line(error),
            next_step="Upgrade onnxruntime, or export the bundle again with `lockstep export CHECKPOINT -o BUNDLE`."
            if bundle.info.precision == "fp32"
            else f"Use the fp32 bundle here: {bundle.info.precision} is for GPUs.",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
