"""Readers of published formats, on small files made in those formats; what breaks the rules is named, not skipped silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from engine.errors import ConfigError, DataError
from engine.pose.track import PoseTrack
from models import skeleton
from training.datasets import READERS, read
from training.datasets.penn import INVISIBLE_CONFIDENCE


def penn_copy(folder: Path, **changes: object) -> Path:
    """Two clips, 'a' (train, labelled) and 'b' (val); `changes` replaces keypoints, phases or the index."""
    poses = np.random.default_rng(0).uniform(50, 150, (4, 13, 3)).astype(np.float32)
    poses[..., 2] = 1
    poses[0, 0] = (1, 1, 1)
    poses[1, 1, 2] = 0
    index = "id,action,view,split,frames,height,width,phases\na,wave,left,train,4,240,320,2\nb,wave,,val,4,240,320,\n"
    np.savez(folder / "keypoints.npz", **changes.get("keypoints", {"a": poses, "b": poses}))  # type: ignore[arg-type]
    np.savez(folder / "phases.npz", **changes.get("phases", {"a": np.array([0, 0, 1, 1], np.int8)}))  # type: ignore[arg-type]
    (folder / "index.csv").write_text(str(changes.get("index", index)))
    return folder


def test_penn_placeholders_are_not_seen_and_hidden_joints_are_doubted(tmp_path: Path) -> None:
    dataset = read("penn", penn_copy(tmp_path))
    a, b = dataset.clips
    assert dataset.problems == {}
    assert a.poses[0, 0, 2] == 0 and a.poses[1, 1, 2] == INVISIBLE_CONFIDENCE and a.poses[2, 2, 2] == 1
    assert a.image_size == (320, 240) and a.view == "left" and a.rate_hz == 30
    np.testing.assert_array_equal(a.phases, [0, 0, 1, 1])
    assert b.phases is None and b.split == "val"


GOOD = np.ones((4, 13, 3), np.float32) * 9


@pytest.mark.parametrize(
    ("changes", "name", "problem"),
    [
        ({"keypoints": {"a": GOOD}}, "b", "not in keypoints.npz"),
        ({"keypoints": {"a": GOOD, "b": GOOD, "c": GOOD}}, "c", "not in index.csv"),
        ({"keypoints": {"a": GOOD, "b": GOOD[:3]}}, "b", "index.csv says 4 frames"),
        ({"keypoints": {"a": GOOD, "b": GOOD[:, :12]}}, "b", "13, 3"),
        ({"keypoints": {"a": GOOD, "b": np.where(np.eye(13, 3) > 0, np.nan, GOOD)}}, "b", "not finite"),
        ({"phases": {"a": np.array([0, 1, 0, 1])}}, "a", "never decrease"),
        ({"phases": {"a": np.array([0, 1])}}, "a", "2,) labels for 4 frames"),
        ({"phases": {"a": np.array([0.0, 0, 1, 1])}}, "a", "not whole numbers"),
        ({"phases": {"z": np.array([0, 1])}}, "z", "in phases.npz, but not in index.csv"),
        ({"index": "id,action,split\na,wave,train\nb,wave,test\n"}, "b", "neither train nor val"),
        ({"index": "id,action,split\na,wave,train\na,wave,val\nb,wave,val\n"}, "a", "listed twice"),
    ],
)
def test_penn_names_what_breaks_the_rules_and_keeps_the_rest(
    tmp_path: Path, changes: dict[str, object], name: str, problem: str
) -> None:
    dataset = read("penn", penn_copy(tmp_path, **changes))
    assert problem in dataset.problems[name]
    assert dataset.clips and dataset.clips[0].id == "a"
    assert all(np.isfinite(clip.poses).all() for clip in dataset.clips)


def test_penn_needs_neither_labels_nor_picture_sizes(tmp_path: Path) -> None:
    penn_copy(tmp_path, index="id,action,split\na,wave,train\nb,wave,val\n")
    (tmp_path / "phases.npz").unlink()
    dataset = read("penn", tmp_path)
    assert dataset.problems == {} and all(clip.phases is None for clip in dataset.clips)
    assert min(dataset.clips[0].image_size) > 100


def test_penn_as_published(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    rng = np.random.default_rng(0)
    good = {
        "action": "pushup", "pose": "left", "train": 1, "x": rng.uniform(9, 99, (5, 13)), "y": rng.uniform(9, 99, (5, 13)),
        "visibility": np.ones((5, 13)), "dimensions": [270, 480, 5], "nframes": 5, "bbox": np.ones((5, 4)),
    }  # fmt: skip
    savemat(tmp_path / "labels" / "0001.mat", good)
    savemat(tmp_path / "labels" / "0002.mat", {**good, "train": -1, "visibility": np.zeros((5, 13))})
    savemat(tmp_path / "labels" / "0003.mat", {**good, "x": np.ones((5, 12))})
    (tmp_path / "labels" / "0004.mat").write_bytes(b"not a mat file")
    dataset = read("penn-mat", tmp_path)
    assert [(c.id, c.action, c.split, c.image_size) for c in dataset.clips] == [
        ("0001", "pushups", "train", (480, 270)),
        ("0002", "pushups", "val", (480, 270)),
    ]
    np.testing.assert_allclose(dataset.clips[0].poses[..., 0], good["x"], rtol=1e-6)
    assert (dataset.clips[1].poses[..., 2] == INVISIBLE_CONFIDENCE).all()
    assert set(dataset.problems) == {"0003.mat", "0004.mat"}


def test_ikea_asm_as_published(tmp_path: Path) -> None:
    first, second = "Kallax_Shelf_Drawer/0001_black_table", "Lack_TV_Bench/0007_oak_floor"
    segments = {
        first: {"subset": "training", "annotation": [{"segment": [0, 1], "label": "spin leg"}, {"segment": [2, 2], "label": "NA"}]},
        second: {"subset": "testing", "annotation": [{"segment": [0, 2], "label": "align leg"}]},
        "Lack_TV_Bench/0008_no_poses": {"subset": "testing", "annotation": []},
    }  # fmt: skip
    (tmp_path / "action_annotations").mkdir()
    (tmp_path / "action_annotations" / "gt_segments.json").write_text(
        json.dumps({"version": "2.0.1", "database": segments})
    )
    small, large = np.full((25, 3), 0.9), np.full((25, 3), 0.9)
    small[:, :2], large[:, :2] = np.eye(25, 2) * 10, np.eye(25, 2) * 100
    for recording in (first, second):
        poses = tmp_path / recording / "dev3" / "predictions" / "pose2d" / "openpose"
        poses.mkdir(parents=True)
        for t in range(3):
            people = [{"pose_keypoints_2d": p.ravel().tolist()} for p in (small, large)] if t != 1 else []
            (poses / f"scan_video_{t:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    broken = tmp_path / second / "dev3" / "predictions" / "pose2d" / "openpose"
    (broken / "scan_video_000000000002_keypoints.json").write_text("{")
    dataset = read("ikea-asm", tmp_path)
    kallax, lack = dataset.clips
    assert (kallax.action, kallax.split, kallax.layout) == ("kallax_shelf_drawer", "train", "openpose25")
    assert (lack.action, lack.split) == ("lack_tv_bench", "val")
    np.testing.assert_array_equal(kallax.phases, [2, 2, 0])  # NA, align leg, spin leg
    np.testing.assert_allclose(kallax.poses[0], large)
    assert (kallax.poses[1] == 0).all()
    assert "1 of 3 frames" in dataset.problems[second] and "no poses" in dataset.problems["Lack_TV_Bench/0008_no_poses"]


def test_h2o_as_published(tmp_path: Path) -> None:
    camera = np.array([600.0, 610.0, 640.0, 360.0, 1280, 720])

    def sequence(name: str, labels: list[int], left: int = 1) -> Path:
        place = tmp_path / name / "cam4"
        (place / "hand_pose").mkdir(parents=True)
        (place / "action_label").mkdir()
        (place / "cam_intrinsics.txt").write_text(" ".join(map(str, camera)))
        for t, label in enumerate(labels):
            joints = np.tile([0.1, -0.05, 0.5], (21, 1)) + 0.001 * np.arange(21)[:, None]
            values = [left, *joints.ravel(), 1, *(joints + 0.02).ravel()]
            (place / "hand_pose" / f"{t:06d}.txt").write_text(" ".join(map(str, values)))
            (place / "action_label" / f"{t:06d}.txt").write_text(str(label))
        return place

    sequence("subject1_ego/h1/1", [0, 13, 5, 23])
    sequence("subject4/k1/0", [1, 33], left=0)
    place = sequence("subject3/k2/0", [5, 5])
    (place / "hand_pose" / "000001.txt").write_text("1 2 3")
    dataset = read("h2o", tmp_path)
    by_name = {clip.id: clip for clip in dataset.clips}
    milk, book = by_name["subject1/h1/1"], by_name["subject4/k1/0"]
    assert (milk.action, milk.split, milk.layout, milk.image_size) == ("pouring_milk", "train", "hands42", (1280, 720))
    np.testing.assert_array_equal(milk.phases, [0, 13, 5, 23])
    np.testing.assert_allclose(milk.poses[0, 0], [600 * 0.1 / 0.5 + 640, 610 * -0.05 / 0.5 + 360, 1], rtol=1e-5)
    assert book.action == "book" and book.split == "val" and by_name["subject3/k2/0"].split == "val"
    assert (book.poses[:, :21, 2] == 0).all() and (book.poses[:, 21:, 2] == 1).all()
    assert "000001.txt" in dataset.problems["subject3/k2/0"]


def test_one_s_own_tracks(tmp_path: Path) -> None:
    poses = np.random.default_rng(0).uniform(0, 99, (9, 13, 3)).astype(np.float32)
    poses[..., 2] = 1
    labels = {"phases": [0] * 4 + [1] * 5}

    def save(name: str, times_s: np.ndarray, layout: str = "body13", **more: object) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        size = skeleton.layout(layout).size
        PoseTrack(np.resize(poses, (9, size, 3)), times_s, layout, (640, 480), **more).save(tmp_path / name)  # type: ignore[arg-type]

    save("train/screw/a.npz", np.arange(9) / 25, labels=labels)
    save("val/screw/b.npz", np.arange(9) / 25)
    save("val/screw/c.npz", np.arange(9) / 25, layout="coco17")
    save("val/screw/d.npz", np.arange(9) / 25, labels={"phases": [1, 2]})
    (tmp_path / "val" / "screw" / "e.npz").write_bytes(b"broken")
    dataset = read("tracks", tmp_path)
    a, b = dataset.clips
    assert (a.action, a.split, a.rate_hz) == ("screw", "train", pytest.approx(25))
    np.testing.assert_allclose(a.poses, poses, atol=1e-3)
    np.testing.assert_array_equal(a.phases, labels["phases"])
    assert b.split == "val" and b.phases is None
    assert set(dataset.problems) == {"val/screw/c", "val/screw/d", "val/screw/e"}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("prepare", [lambda folder: None, lambda folder: (folder / "x.txt").write_text("hello")])
def test_a_folder_of_another_kind_is_refused_with_the_next_step(
    tmp_path: Path, name: str, prepare: Callable[[Path], object]
) -> None:
    prepare(tmp_path)
    with pytest.raises(DataError) as refused:
        read(name, tmp_path)
    assert refused.value.expected and refused.value.next_step


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="ikea-asm"):
        read("imagenet", "nowhere")
