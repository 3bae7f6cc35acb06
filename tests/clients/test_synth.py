"""`lockstep synth`: a video and its truth, or one clear line."""

import json
from pathlib import Path

import numpy as np
import pytest

from clients.cli import main
from engine.sources.opening import open_source
from engine.sources.rendered import RenderedStation, StationParams


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["synth", *arguments])
    return int(ended.value.code or 0)


def test_the_video_and_its_truth_lie_side_by_side_and_agree(tmp_path: Path) -> None:
    output = tmp_path / "station.mp4"
    assert run("-o", str(output), "--seed", "3", "--cycles", "1", "--fps", "5", "--skip", "fasten@1") == 0
    truth = json.loads(output.with_suffix(".json").read_text())
    frames = list(open_source(str(output)))
    assert len(frames) == len(truth["frames"]["time_s"])
    assert [frame.time_s for frame in frames] == pytest.approx(truth["frames"]["time_s"], abs=1e-3)
    assert [event["phase"] for event in truth["events"] if event["kind"] == "skip"] == ["fasten"]
    assert 2 not in truth["frames"]["phase"]
    drawn = next(iter(RenderedStation(StationParams.from_json(truth["params"])))).image
    assert drawn is not None and frames[0].image is not None
    assert np.abs(drawn.astype(int) - frames[0].image).mean() < 8  # what the codec loses


@pytest.mark.parametrize(
    "arguments",
    [("-o", "a.gif"), ("-o", "nowhere/a.mp4"), ("-o", "a.mp4", "--skip", "9@1"), ("-o", "a.mp4", "--pause", "1@9:2")],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("lockstep: ")
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
