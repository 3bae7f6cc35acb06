"""`lockstep pose` on real files: tracks, what is kept, what is made again, and a broken video among good ones."""

import cv2
import pytest

from clients.cli import main
from engine.pose.track import PoseTrack
from engine.sources.rendered import RenderedStation, StationParams


def lockstep(*arguments):
    """Exit status of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two short videos of rendered workers, and one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    for seed, name in ((3, "first.avi"), (2, "second.avi")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (640, 480))
        for frame in RenderedStation(StationParams.random(seed, cycles=1)):
            if frame.index == 20:
                break
            writer.write(frame.image)
        writer.release()
    (folder / "broken.avi").write_bytes(b"RIFF, but not really")
    return folder


def test_a_video_becomes_a_track(videos, tmp_path):
    assert lockstep("pose", videos / "first.avi", "-o", tmp_path / "tracks") == 0
    track = PoseTrack.load(tmp_path / "tracks" / "first.npz")
    assert (track.layout, track.image_size, track.estimator) == ("mediapipe33", (640, 480), "mediapipe")
    assert len(track.times_s) == 20 and (track.poses[:, 11, 2] > 0.5).mean() > 0.9


def test_one_broken_video_does_not_stop_the_others(videos, tmp_path, capsys):
    names = [videos / name for name in ("first.avi", "broken.avi", "second.avi", "missing.avi")]
    assert lockstep("pose", *names, "-o", tmp_path, "--layout", "body13") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.npz", "second.npz"]
    assert PoseTrack.load(tmp_path / "second.npz").layout == "body13"
    said = " ".join(capsys.readouterr().err.split())
    assert "2 of 4 failed" in said and "broken.avi" in said and "Traceback" not in said


def test_finished_tracks_are_kept_and_interrupted_ones_made_again(videos, tmp_path, capsys):
    lockstep("pose", videos / "first.avi", videos / "second.avi", "-o", tmp_path)
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    before = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:200])  # as if the power had failed
    assert lockstep("pose", videos / "first.avi", videos / "second.avi", "-o", tmp_path) == 0
    assert first.stat().st_mtime_ns == before and "kept" in capsys.readouterr().err
    assert len(PoseTrack.load(second).times_s) == 20


def test_another_setting_makes_the_track_again(videos, tmp_path):
    lockstep("pose", videos / "first.avi", "-o", tmp_path)
    assert lockstep("pose", videos / "first.avi", "-o", tmp_path, "--region", "0.9,0,1,0.1") == 0
    assert (PoseTrack.load(tmp_path / "first.npz").poses == 0).all()  # nobody is in that corner


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--estimator", "openpose"], "unknown pose estimator"),
        (["--layout", "body99"], "unknown layout"),
        (["--layout", "hand21"], "do not fit"),
        (["--region", "1,2,3"], "region of interest is wrong"),
        (["--model", "none.task"], "the pose model is missing"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(videos, tmp_path, capsys, arguments, said):
    assert lockstep("pose", videos / "first.avi", "-o", tmp_path / "t", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "Traceback" not in error
    assert not list(tmp_path.rglob("*.npz"))


def test_a_folder_that_cannot_be_written_is_one_line(videos, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert lockstep("pose", videos / "first.avi", "-o", tmp_path / "file" / "tracks") == 2
    assert "cannot write to" in capsys.readouterr().err


def test_an_interrupted_extraction_leaves_no_track(videos, tmp_path, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.pose.extraction.extract", interrupted)
    assert lockstep("pose", videos / "first.avi", "-o", tmp_path) in (1, 130)
    assert list(tmp_path.iterdir()) == []
