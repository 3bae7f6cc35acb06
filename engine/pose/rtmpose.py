"""RTMPose (Jiang et al. 2023) as an ONNX file of the user's: top-down, one operator, no detector needed.

    BGR image → box → upright crop, normalised RGB → SimCC → joints in the crop → pixels → next box

The box follows the person: around the last pose, or the whole picture until somebody is found. The layout follows from
the number of joints.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import PoseError
from engine.pose.picture import is_picture

LAYOUTS = {17: "coco17", 26: "halpe26", 21: "hand21"}
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
"""Of RGB, as MMPose trains it."""
PADDING = 1.25
"""The crop is this much larger than the person, as in training."""
SEEN = 0.3
FOUND = 0.35
"""Mean score below which the crop shows nobody."""


class RtmPose:
    """Raises PoseError: no ONNX Runtime, no file, or a graph that is no RTMPose."""

    def __init__(self, model: Path | None, threads: int = 1) -> None:
        if model is None or not Path(model).is_file():
            raise PoseError(
                "the pose model is missing",
                expected="an RTMPose .onnx file",
                found="no model" if model is None else f"no file {model}",
                next_step="Name it: --model FILE, or `pose.model` in a station's YAML.",
            )
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            (image,) = self._session.get_inputs()
            x, y = self._session.get_outputs()
            self._input = image.name
            height, width = image.shape[2:]
            joints, columns, rows = x.shape[1], x.shape[2], y.shape[2]
            self.layout = LAYOUTS[joints]
            self._split = (columns / width, rows / height)
            self._crop_size = (int(width), int(height))
        except Exception as error:  # onnxruntime has no common class of errors
            raise PoseError(
                f"{model} is not an RTMPose model",
                expected=f"one image in, SimCC x and y out, {', '.join(map(str, LAYOUTS))} joints",
                found=(str(error).splitlines() or [type(error).__name__])[0][:120],
                next_step="Export it with MMDeploy, without a decoder in the graph.",
            ) from error
        self._box: tuple[float, float, float, float] | None = None

    def estimate(self, image: NDArray[np.uint8] | None) -> list[NDArray[np.float32]]:
        """Image (H, W, 3) BGR uint8 → at most one pose (K, 3) in pixels. Empty for nobody and for what is no picture."""
        if not is_picture(image):
            return []
        height, width = image.shape[:2]
        pose = self._in_box(image, self._box or (0.0, 0.0, float(width), float(height)))
        if self._box is not None and pose[:, 2].mean() < FOUND:  # lost: look everywhere at once
            pose = self._in_box(image, (0.0, 0.0, float(width), float(height)))
        seen = pose[pose[:, 2] >= SEEN, :2]
        if pose[:, 2].mean() < FOUND or len(seen) < 3:
            self.reset()
            return []
        low, high = seen.min(axis=0), seen.max(axis=0)
        self._box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return [pose]

    def _in_box(self, image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.float32]:
        """The pose (K, 3) within a box (left, top, right, bottom), pixels."""
        to_crop = crop_transform(box, self._crop_size)
        crop = cv2.warpAffine(image, to_crop, self._crop_size, flags=cv2.INTER_LINEAR)
        rgb = (cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype(np.float32) - MEAN) / DEVIATION
        x, y = self._session.run(None, {self._input: np.ascontiguousarray(rgb.transpose(2, 0, 1)[None])})
        pose = decode_simcc(x[0], y[0], self._split)
        back = cv2.invertAffineTransform(to_crop)
        pose[:, :2] = pose[:, :2] @ back[:, :2].T.astype(np.float32) + back[:, 2].astype(np.float32)
        return pose

    def reset(self) -> None:
        self._box = None

    def close(self) -> None:
        """Nothing to release."""


def decode_simcc(x: NDArray[np.floating], y: NDArray[np.floating], split: tuple[float, float]) -> NDArray[np.float32]:
    """SimCC scores x (K, X) and y (K, Y), `split` bins per pixel → (K, 3): pixels of the crop and min of both maxima.

    The score is that of MMPose (the lesser maximum, at most 1); a joint without a positive score is not seen.
    """
    score = np.minimum(x.max(axis=1), y.max(axis=1))
    pose = np.column_stack([x.argmax(axis=1) / split[0], y.argmax(axis=1) / split[1], np.clip(score, 0, 1)])
    return pose.astype(np.float32)


def crop_transform(box: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.float64]:
    """Affine map (2, 3) from the picture to a crop of `size` that holds `box`, padded, in its own aspect ratio."""
    left, top, right, bottom = box
    width, height = max(right - left, 1.0) * PADDING, max(bottom - top, 1.0) * PADDING
    scale = min(size[0] / width, size[1] / height)
    return np.array(
        [
            [scale, 0.0, size[0] / 2 - scale * (left + right) / 2],
            [0.0, scale, size[1] / 2 - scale * (top + bottom) / 2],
        ]
    )
