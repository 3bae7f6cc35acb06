"""Whole recordings at once, through a bundle's sequence graph: for attention that looks both ways, and for work offline.

poses (T, K, 3) px → crop, by the bundle's policy → sequence graph → embeddings (T, D)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle import Bundle
from engine.embedder.onnxruntime import open_graph
from engine.errors import BundleError, DataError
from models.crop import crop_sequence

LONGEST = 3000
"""Ticks that a recording may have: all are drawn, and attend to all, at once (2.4 GiB for 3000, 6 GiB for 6000 with `body13-full`)."""


class WholeRecordings:
    """Runs the sequence graph on the processor, one thread a call; several threads may call.

    Raises BundleError: the bundle has no such graph, or ONNX Runtime cannot load it.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        if bundle.info.sequence_file is None:
            raise BundleError(
                f"bundle {bundle.info.name} cannot embed whole recordings",
                expected="a graph of whole sequences beside the one of a single tick",
                found="none in bundle.json",
                next_step="Export it again with `lockstep export CHECKPOINT -o BUNDLE`.",
            )
        self._session = open_graph(bundle, bundle.info.sequence_file, ["CPUExecutionProvider"])
        (self._keypoints,) = (node.name for node in self._session.get_inputs())

    def __call__(self, poses: NDArray[np.float32]) -> NDArray[np.float32]:
        """Poses (T, K, 3) in pixels at the bundle's rate → (T, D), unit length. Raises DataError for more than `LONGEST` ticks."""
        info = self.bundle.info
        if len(poses) > LONGEST:
            raise DataError(
                f"the recording is too long for bundle {info.name}, which sees the whole of it at once",
                expected=f"at most {LONGEST / info.rate_hz:.0f} s",
                found=f"{len(poses) / info.rate_hz:.0f} s",
                next_step="Cut the recording, or leave --bundle out: the shipped one goes through it tick by tick.",
            )
        return self.of_cropped(crop_sequence(poses, info.layout, **info.crop))

    def of_cropped(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same of poses in crop coordinates."""
        embeddings: NDArray[np.float32] = self._session.run(None, {self._keypoints: keypoints[None]})[0][0]
        return embeddings
