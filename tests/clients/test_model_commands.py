"""export, parity, bench and doctor as a user types them: what is printed, and one clear line where something is wrong."""

from __future__ import annotations

import json

import pytest

from clients import cli
from engine.embedder.opening import RUNTIMES


def lockstep(*arguments: object) -> int:
    """Exit status."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture
def tracks(tmp_path, walk):
    """A folder of recordings, as `lockstep pose` leaves them."""
    import numpy as np

    from engine.pose.track import PoseTrack

    folder = tmp_path / "tracks"
    folder.mkdir()
    for name, poses in {"a": walk, "b": walk[::-1].copy()}.items():
        PoseTrack(poses, np.arange(len(poses)) / 20, "body13", (640, 480)).save(folder / f"{name}.npz")
    return folder


def test_doctor_says_what_would_be_picked(tiny_bundle, capsys) -> None:
    assert lockstep("doctor", "--bundle", tiny_bundle.folder) == 0
    printed = capsys.readouterr().out
    assert "auto picks this one" in printed and "tiny: body13 at 20 Hz" in printed
    for runtime in RUNTIMES[1:]:
        assert runtime in printed, "not said whether it can be used"


def test_doctor_names_a_broken_bundle_and_exits_1(tmp_path, capsys) -> None:
    assert lockstep("doctor", "--bundle", tmp_path / "nowhere") == 1
    assert "no bundle at" in capsys.readouterr().out


def test_doctor_checks_the_reference_of_a_station_against_the_bundle_of_that_station(
    tiny_bundle, tracks, tmp_path, capsys
) -> None:
    reference, station = tmp_path / "my.ref", tmp_path / "station.yaml"
    assert lockstep("reference", "build", tracks / "a.npz", "--bundle", tiny_bundle.folder, "-o", reference) == 0
    ports = "bus: {publish: null, requests: null}"
    station.write_text(f"reference: my.ref\nbundle: {tiny_bundle.folder}\n{ports}\n")
    assert lockstep("doctor", "--station", station) == 0
    assert "tiny: body13" in (said := capsys.readouterr().out) and "1 phase" in said
    station.write_text(f"reference: my.ref\n{ports}\n")
    assert lockstep("doctor", "--station", station) == 1
    assert "made with another bundle" in " ".join(capsys.readouterr().out.split())


def test_parity_of_a_bundle_with_itself_on_recorded_tracks(tiny_bundle, tracks, tmp_path, capsys) -> None:
    pytest.importorskip("torch")
    figures = tmp_path / "parity.json"
    assert (
        lockstep("parity", tiny_bundle.folder, f"{tiny_bundle.folder}@torch", "--data", tracks, "--json", figures) == 0
    )
    report = json.loads(figures.read_text())
    assert report["max_error"] <= 1e-5 and report["groups"] == {"tracks": 1}
    assert "passed" in capsys.readouterr().out


def test_parity_without_recordings_says_what_is_expected(tiny_bundle, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    assert lockstep("parity", tiny_bundle.folder, tiny_bundle.folder, "--data", tmp_path / "empty") == 2
    assert "Penn Action" in capsys.readouterr().err


def test_export_of_something_that_is_no_checkpoint_is_one_line(tmp_path, capsys) -> None:
    pytest.importorskip("torch")
    assert lockstep("export", tmp_path, "-o", tmp_path / "bundle") == 2
    assert "cannot read the checkpoint" in capsys.readouterr().err and not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("option", [("--precision", "fp16"), ("--gpu", "sm89")])
def test_an_option_that_a_bundle_of_a_checkpoint_cannot_have_is_refused_not_ignored(tmp_path, capsys, option) -> None:
    assert lockstep("export", tmp_path, "-o", tmp_path / "bundle", *option) == 2
    said = capsys.readouterr().err
    assert option[1] in said or option[0] in said
    assert "cannot read" not in said and not (tmp_path / "bundle").exists()


def test_a_file_that_cannot_be_written_is_one_line(tiny_bundle, tracks, tmp_path, capsys) -> None:
    figures = tmp_path / "nowhere" / "parity.json"
    assert lockstep("parity", tiny_bundle.folder, tiny_bundle.folder, "--data", tracks, "--json", figures) == 2
    said = capsys.readouterr().err
    assert str(figures) in said and "No such file or directory" in said and len(said.splitlines()) == 1


def test_export_to_an_engine_prints_where_it_is(tiny_bundle, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    plan = tmp_path / "body.plan"
    assert lockstep("export", tiny_bundle.folder, "--to", "tensorrt-rtx", "--gpu", "sm89", "-o", plan) == 0
    assert plan.stat().st_size > 100_000 and json.loads((tmp_path / "body.plan.json").read_text())["target"] == "sm89"
    assert "sm89" in capsys.readouterr().out
    assert lockstep("export", tiny_bundle.folder, "--to", "tensorrt-rtx", "--gpu", "sm99") == 2


@pytest.fixture
def no_compiler(monkeypatch) -> None:
    """torch.compile takes a minute, and not every machine has what it needs; the matcher's scaling is cut short."""

    def missing(*arguments):
        raise RuntimeError("no C++ compiler found\nand many more lines")

    monkeypatch.setattr("benchmarks.step._compiled", missing)
    monkeypatch.setattr("benchmarks.live_path.LENGTHS", (60,))


def test_bench_measures_steps_against_the_floor(tiny_bundle, tmp_path, capsys, no_compiler) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("torch")
    figures, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    status = lockstep(
        "bench", "--bundle", tiny_bundle.folder, "--batch", "1,2", "--rounds", 1, "--seconds", 0, "--json", figures, "--plot", picture
    )  # fmt: skip
    assert status == 0
    found = json.loads(figures.read_text())
    for runtime in ("native", "onnxruntime", "torch", "whole window, torch"):
        assert set(found["step"][runtime]) == {"1", "2"}
        for row in found["step"][runtime].values():
            assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert found["ratios"]["whole_window_over_native_1"] > 1 and found["ratios"]["native_over_floor_1"] > 0
    assert 1.9 < found["flops"]["2"] / found["flops"]["1"] <= 2.0 and found["floor_ms"]["1"] > 0
    assert picture.stat().st_size > 10_000
    assert "floor" in capsys.readouterr().out


def test_bench_says_why_a_contestant_did_not_run(tiny_bundle, tmp_path, capsys, monkeypatch, no_compiler) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("torch")
    monkeypatch.setattr("benchmarks.step.MOST_RECOMPUTED", 1)
    figures = tmp_path / "bench.json"
    status = lockstep(
        "bench", "--bundle", tiny_bundle.folder, "--batch", 2, "--rounds", 1, "--seconds", 0, "--json", figures
    )  # fmt: skip
    assert status == 0
    found = json.loads(figures.read_text())
    assert found["skipped"]["torch.compile, batch 2"] == "no C++ compiler found"
    assert found["skipped"]["whole window, torch, batch 2"] and "torch.compile" not in found["step"]
    assert "torch.compile, batch 2 not measured: no C++ compiler found" in capsys.readouterr().out


def test_bench_refuses_a_batch_that_is_no_number(tiny_bundle, capsys) -> None:
    assert lockstep("bench", "--bundle", tiny_bundle.folder, "--batch", "one") == 2
    assert "--batch" in capsys.readouterr().err
