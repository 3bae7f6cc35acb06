"""A bundle is read only if all of it is what its sheet says: a wrong word is named at once, not met at the first tick."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.bundle import Bundle
from engine.embedder.onnxruntime import OnnxRuntime
from engine.errors import BundleError


def altered(bundle: Bundle, folder: Path, **changes: Any) -> Path:
    shutil.copytree(bundle.folder, folder)
    sheet = json.loads((folder / "bundle.json").read_text()) | changes
    (folder / "bundle.json").write_text(json.dumps(sheet))
    return folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"rate_hz": float("inf")}, "rate_hz"),
        ({"window": -3}, "window"),
        ({"embedding_dim": 0}, "embedding_dim"),
        ({"look_ahead": -1}, "look_ahead"),
        ({"layout": "body99"}, "body99"),
        ({"crop": {"side": 0}}, "side"),
        ({"crop": {"side": float("nan")}}, "side"),
        ({"crop": {"grid": "a"}}, "grid"),
        ({"crop": {"rise": -1}}, "rise"),
        ({"crop": {"zoom": 2}}, "zoom"),
        ({"crop": {"policy": "magic"}}, "magic"),
        ({"crop": {"policy": "recording", "margin": "a"}}, "margin"),
        ({"sequence_file": "other.onnx"}, "other.onnx"),
        ({"weights_file": "other.safetensors"}, "other.safetensors"),
        ({"files": {}}, "model.onnx"),
    ],
    ids=str,
)
def test_a_sheet_that_makes_no_sense_is_refused_with_the_word_that_is_wrong(
    tiny_bundle, tmp_path, changes, says
) -> None:
    with pytest.raises(BundleError, match=says):
        Bundle(altered(tiny_bundle, tmp_path / "b", **changes))


@pytest.mark.parametrize("changes", [{"embedding_dim": 8}, {"layout": "coco17"}, {"state": "wider"}], ids=str)
def test_a_graph_of_other_shapes_than_the_sheet_s_is_refused_before_the_first_tick(
    tiny_bundle, tmp_path, changes
) -> None:
    if "state" in changes:
        state = [tensor.model_dump() for tensor in tiny_bundle.info.state]
        changes = {"state": [state[0] | {"shape": [size + 1 for size in state[0]["shape"]]}, *state[1:]]}
    bundle = Bundle(altered(tiny_bundle, tmp_path / "b", **changes))
    with pytest.raises(BundleError, match="is not the graph that"):
        OnnxRuntime(bundle)


@pytest.mark.parametrize("file", ["model.onnx", "sequence.onnx", "model.safetensors"])
@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])])
def test_a_file_that_was_cut_off_or_changed_is_named(tiny_bundle, tmp_path, file, damage) -> None:
    folder = altered(tiny_bundle, tmp_path / "b")
    (folder / file).write_bytes(damage((folder / file).read_bytes()))
    with pytest.raises(BundleError, match=file):
        Bundle(folder)
