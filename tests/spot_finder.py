"""A tiny model of RTMPose's kind, and pictures in which it finds somebody; RTMPose's own cannot be had everywhere."""

import numpy as np
import pytest

SPOTS = 17


def spot_finder(path, joints=SPOTS, height=256, width=192, bins=2):
    """An ONNX graph of RTMPose's shape: joint k is the brightest row and column of the k-th horizontal band."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    bands = np.full((1, joints, height, 1), -9.0, np.float32)  # everything outside a joint's band is made dark
    for k in range(joints):
        bands[0, k, k * height // joints : (k + 1) * height // joints] = 0.0
    constants = {
        "bands": bands,
        "columns": np.repeat(np.arange(width), bins),
        "rows": np.repeat(np.arange(height), bins),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Add", ["grey", "bands"], ["banded"]),
        helper.make_node("ReduceMax", ["banded"], ["x"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["banded"], ["y"], axes=[3], keepdims=0),
        helper.make_node("Gather", ["x", "columns"], ["x_bins"], axis=2),
        helper.make_node("Gather", ["y", "rows"], ["y_bins"], axis=2),
        helper.make_node("Sigmoid", ["x_bins"], ["simcc_x"]),
        helper.make_node("Sigmoid", ["y_bins"], ["simcc_y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("image", kinds.FLOAT, [1, 3, height, width])],
        [
            helper.make_tensor_value_info("simcc_x", kinds.FLOAT, [1, joints, bins * width]),
            helper.make_tensor_value_info("simcc_y", kinds.FLOAT, [1, joints, bins * height]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def one_per_band(size=(480, 360)):
    """A place (x, y) per joint in its band of the crop, which at first is the whole picture, padded; some are outside it."""
    height, width = size
    scale = min(192 / (width * 1.25), 256 / (height * 1.25))
    return [(60 + 14 * k, round(height / 2 + ((k + 0.5) * 256 / SPOTS - 128) / scale)) for k in range(SPOTS)]


def dots(positions, size=(480, 360)):
    """A dark picture (H, W, 3) with white dots, those outside it left out."""
    image = np.zeros((*size, 3), np.uint8)
    for x, y in positions:
        if 5 < y < size[0] - 5:
            image[y - 3 : y + 4, x - 3 : x + 4] = 255
    return image
