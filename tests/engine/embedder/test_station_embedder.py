"""One station's embedder: equal to the whole network, savable, and its model can be exchanged while it runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from engine.bundle import Bundle, file_sha256
from engine.embedder import embed_sequence, open_embedder
from engine.embedder.embedder import StationEmbedder
from engine.embedder.native.runtime import NativeRuntime
from engine.embedder.onnxruntime import OnnxRuntime
from engine.embedder.pytorch import TorchRuntime, load_net
from engine.errors import BundleError
from models.crop import crop_sequence

RUNTIMES = [OnnxRuntime, TorchRuntime, NativeRuntime]


def whole_sequence(net, poses: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return net(torch.from_numpy(crop_sequence(poses, "body13"))[None])[0].numpy()


def with_other_weights(bundle: Bundle, folder: Path) -> Bundle:
    """A second model of the same shape, without a second export: the graphs point into the file of weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(8)
    shutil.copytree(bundle.folder, folder)
    weights = {name: torch.randn_like(tensor) * 0.1 for name, tensor in load_net(bundle).state_dict().items()}
    save_file(weights, folder / bundle.info.weights_file)
    sheet = json.loads((folder / "bundle.json").read_text())
    sheet["name"] = "other"
    sheet["files"][bundle.info.weights_file] = file_sha256(folder / bundle.info.weights_file)
    (folder / "bundle.json").write_text(json.dumps(sheet))
    return Bundle(folder)


@pytest.fixture(params=RUNTIMES)
def embedder(request: pytest.FixtureRequest, tiny_bundle) -> StationEmbedder:
    return StationEmbedder(request.param(tiny_bundle))


def test_step_by_step_equals_the_whole_sequence_over_many_windows_and_a_reset(embedder, walk) -> None:
    assert len(walk) >= 3 * embedder.bundle.info.window
    for poses in (walk, walk[::-1].copy()):
        np.testing.assert_allclose(
            embed_sequence(embedder, poses), whole_sequence(load_net(embedder.bundle), poses), atol=1e-5
        )


def test_a_restored_embedder_goes_on_as_the_saved_one(embedder, walk) -> None:
    expected = embed_sequence(embedder, walk)
    embed_sequence(embedder, walk[:25])
    saved = embedder.state()
    embed_sequence(embedder, walk[::-1])
    embedder.restore(saved)
    np.testing.assert_allclose([embedder.step(pose) for pose in walk[25:]], expected[25:], atol=1e-6)


@pytest.mark.parametrize("to", RUNTIMES)
@pytest.mark.parametrize("seen", [0, 3, 30])
def test_a_state_moves_between_runtimes(embedder, tiny_bundle, walk, to, seen: int) -> None:
    expected = embed_sequence(embedder, walk)
    embed_sequence(embedder, walk[:seen])
    other = StationEmbedder(to(tiny_bundle))
    embed_sequence(other, walk[::-1])
    other.restore(embedder.state())
    np.testing.assert_allclose([other.step(pose) for pose in walk[seen:]], expected[seen:], atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_torch_compile_computes_the_same(tiny_bundle, walk) -> None:
    plain, fast = TorchRuntime(tiny_bundle), TorchRuntime(tiny_bundle)
    fast.compile()
    expected, got = (embed_sequence(StationEmbedder(runtime), walk[:20]) for runtime in (plain, fast))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_foreign_state_is_refused(embedder) -> None:
    with pytest.raises(BundleError, match="not of bundle tiny"):
        embedder.restore({"crop": np.zeros(7), "recent": np.zeros((0, 13, 3)), "cache/keys": np.zeros((1, 2, 3))})


def test_poses_that_are_no_numbers_give_an_embedding_of_unit_length(embedder, walk) -> None:
    for pose in (np.full((13, 3), np.nan, np.float32), np.zeros((13, 3), np.float32), walk[0] * 1e9, walk[0]):
        assert np.linalg.norm(embedder.step(pose)) == pytest.approx(1.0, abs=1e-5)


def test_lanes_are_independent_and_resting_ones_stay(tiny_bundle, walk) -> None:
    crops = crop_sequence(walk, "body13")
    for runtime in (opened(tiny_bundle) for opened in RUNTIMES):
        alone = runtime.lanes(1)
        expected = [alone.step(crop[None])[0] for crop in crops[:12]]
        lanes, at, got = runtime.lanes(3), [0, 0, 0], [[], [], []]
        for tick in range(12):
            active = np.array([True, tick % 2 == 0, tick % 3 == 0])
            out = lanes.step(np.stack([crops[t] for t in at]), active)
            for lane in np.flatnonzero(active):
                got[lane].append(out[lane])
                at[lane] += 1
        for lane in range(3):
            np.testing.assert_allclose(got[lane], expected[: at[lane]], atol=1e-5)


@pytest.mark.parametrize("to", RUNTIMES)
def test_swapping_to_another_runtime_of_the_same_bundle_changes_nothing(embedder, tiny_bundle, walk, to) -> None:
    expected = embed_sequence(embedder, walk)
    embed_sequence(embedder, walk[:20])
    embedder.swap(to(tiny_bundle))
    np.testing.assert_allclose([embedder.step(pose) for pose in walk[20:]], expected[20:], atol=1e-5)


def test_swapping_models_while_ticks_come_loses_none_and_ends_on_the_new_model(tiny_bundle, walk, tmp_path) -> None:
    other = with_other_weights(tiny_bundle, tmp_path / "other")
    embedder, stranger = StationEmbedder(OnnxRuntime(tiny_bundle)), StationEmbedder(OnnxRuntime(other))
    poses = np.concatenate([walk, walk[::-1]] * 4)
    before = embed_sequence(embedder, poses)
    embedder.reset()
    half_way = threading.Event()

    def exchange() -> None:
        half_way.wait(10)
        embedder.swap(OnnxRuntime(other))

    thread = threading.Thread(target=exchange)
    thread.start()
    got = []
    for tick, pose in enumerate(poses):
        got.append(embedder.step(pose))
        if tick == len(poses) // 2:
            half_way.set()
    thread.join(10)
    got += [embedder.step(pose) for pose in walk]
    is_old = [np.allclose(g, b, atol=1e-5) for g, b in zip(got, before, strict=False)]
    switched = is_old.index(False) if False in is_old else len(is_old)
    assert switched > len(poses) // 2 and not any(is_old[switched:])
    assert embedder.bundle.sha256 == other.sha256
    full = embed_sequence(stranger, np.concatenate([poses, walk]))
    # The crop remembers more than the new model was shown, so the two agree to a hundredth, not to the last digit.
    np.testing.assert_allclose(got[-10:], full[-10:], atol=1e-2)


def test_the_live_path_runs_without_torch(tiny_bundle) -> None:
    program = f"""
        import sys
        sys.modules["torch"] = None
        sys.modules["onnx"] = None
        import numpy as np
        from pathlib import Path
        from engine.bundle import Bundle
        from engine.embedder import embed_sequence, open_embedder
        out = embed_sequence(open_embedder(Bundle(Path({str(tiny_bundle.folder)!r}))), np.ones((5, 13, 3), np.float32))
        assert out.shape == (5, 16)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_bundle_without_weights_for_torch_says_so(tiny_bundle, tmp_path) -> None:
    shutil.copytree(tiny_bundle.folder, tmp_path / "b")
    sheet = tmp_path / "b" / "bundle.json"
    sheet.write_text(json.dumps(json.loads(sheet.read_text()) | {"network": {}}))
    with pytest.raises(BundleError, match="carries no weights for PyTorch"):
        TorchRuntime(Bundle(tmp_path / "b"))
    assert open_embedder(Bundle(tmp_path / "b")).runtime.name.startswith("onnxruntime")
