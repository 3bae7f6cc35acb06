"""`lockstep align`: two tracks in, path, pictures and video out."""

import csv

import cv2
import numpy as np
import pytest
from pictures import cut_off, words

from clients.alignment_pictures import correspondence_figure, path_figure, posterior_figure
from clients.cli import main
from engine.pose.track import PoseTrack


def test_two_tracks_are_aligned_into_a_folder(tmp_path, walk, tiny_bundle):
    for name, poses in (("a", walk), ("b", np.repeat(walk, 2, axis=0)[:90])):
        PoseTrack(poses, np.arange(len(poses)) / 30, "body13", (640, 480), name).save(tmp_path / f"{name}.npz")
    arguments = ["align", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--bundle", str(tiny_bundle.folder)])
    assert end.value.code == 0
    with (tmp_path / "out" / "path.csv").open() as file:
        rows = [(float(row["a_s"]), float(row["b_s"])) for row in csv.DictReader(file)]
    assert rows == sorted(rows) and rows[0] == (0.0, 0.0)
    for picture in ("path.png", "correspondence.png", "live.png"):
        assert cv2.imread(str(tmp_path / "out" / picture)).std() > 5
    video = cv2.VideoCapture(str(tmp_path / "out" / "aligned.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == pytest.approx(40, abs=2)


def test_pictures_name_both_recordings_however_long_their_names_are(walk):
    names = ("the second shift of last Tuesday, " * 8, "検査" * 60)
    path = np.column_stack([np.arange(len(walk))] * 2)
    correspondence = correspondence_figure((walk, walk), "body13", path, 20.0, names)
    cost = path_figure(np.eye(len(walk)), path, 20.0, names)
    live = posterior_figure(np.linspace(0, 3, len(walk)), np.eye(len(walk)), 3.0, names=names)
    for figure in (correspondence, cost, live):
        assert cut_off(figure) == []
        for name in names:
            assert any(name[:15] in said for said in words(figure))


def test_a_bundle_that_looks_both_ways_aligns_whole_recordings_and_believes_nothing_live(tmp_path, walk, paper_bundle):
    for name, poses in (("a", walk), ("b", walk[:50])):
        PoseTrack(poses, np.arange(len(poses)) / 20, "body13", (640, 480), name).save(tmp_path / f"{name}.npz")
    arguments = ["align", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "-o", str(tmp_path / "out"), "--no-video"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--bundle", str(paper_bundle.folder)])
    assert end.value.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["correspondence.png", "path.csv", "path.png"]


def test_a_missing_recording_is_one_clear_line(tmp_path, tiny_bundle, capsys):
    arguments = ["align", str(tmp_path / "no.npz"), str(tmp_path / "no.npz"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--bundle", str(tiny_bundle.folder)])
    assert end.value.code == 2
    assert "no.npz" in capsys.readouterr().err
