"""Whole recordings at once, and what becomes of a bundle that needs them when somebody asks it to follow a stream."""

import json
import shutil

import numpy as np
import pytest

from engine.bundle import Bundle
from engine.embedder import open_embedder
from engine.embedder.pytorch import load_net
from engine.embedder.whole import WholeRecordings
from engine.errors import BundleError, DataError
from models.crop import crop_sequence


def test_a_whole_recording_is_embedded_as_the_network_does(paper_bundle, walk) -> None:
    import torch

    poses = walk.copy()
    poses[3, 4] = np.nan
    keypoints = crop_sequence(poses, "body13", policy="recording")
    with torch.no_grad():
        expected = load_net(paper_bundle)(torch.from_numpy(keypoints)[None])[0].numpy()
    np.testing.assert_allclose(WholeRecordings(paper_bundle)(poses), expected, atol=1e-5)


def test_a_causal_bundle_gives_on_whole_recordings_what_it_gives_live(tiny_bundle, walk) -> None:
    from engine.embedder import embed_sequence

    live = embed_sequence(open_embedder(tiny_bundle, "onnxruntime"), walk)
    np.testing.assert_allclose(WholeRecordings(tiny_bundle)(walk), live, atol=1e-5)


def test_a_bundle_that_crops_whole_recordings_refuses_a_stream_and_says_what_it_is_for(paper_bundle) -> None:
    with pytest.raises(BundleError, match="cannot follow a stream") as refused:
        open_embedder(paper_bundle, "onnxruntime")
    assert "lockstep align" in str(refused.value)


def test_a_recording_that_would_not_fit_into_memory_is_refused_before_it_is_tried(paper_bundle) -> None:
    with pytest.raises(DataError, match="too long for bundle paper") as refused:
        WholeRecordings(paper_bundle)(np.zeros((3001, 13, 3), np.float32))
    assert "at most 150 s" in str(refused.value)


def test_a_bundle_without_a_sequence_graph_is_named(tiny_bundle, tmp_path) -> None:
    shutil.copytree(tiny_bundle.folder, tmp_path / "old")
    sheet = json.loads((tmp_path / "old" / "bundle.json").read_text())
    sheet["sequence_file"] = None
    (tmp_path / "old" / "bundle.json").write_text(json.dumps(sheet))
    with pytest.raises(BundleError, match="cannot embed whole recordings"):
        WholeRecordings(Bundle(tmp_path / "old"))
