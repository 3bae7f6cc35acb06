"""What a user writes picks the source; what cannot be read is told in one line."""

import resource
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.config import load_station
from engine.errors import ConfigError, DataError, LockstepError, SourceError
from engine.pose.track import PoseTrack
from engine.sources.base import Policy, Source
from engine.sources.images import ImageFolder
from engine.sources.live import LiveSource
from engine.sources.opening import open_source
from engine.sources.pacing import Paced
from engine.sources.recorded import RecordedPoses
from engine.sources.rendered import RenderedStation, StationParams
from engine.sources.video import VideoFile
from engine.sources.video_writer import VideoWriter


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25, (64, 48)) as writer:
        for i in range(10):
            writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"frame{i}.png"), np.full((48, 64, 3), 20 * i, np.uint8))
    return folder


@pytest.fixture
def track(tmp_path: Path) -> Path:
    path = tmp_path / "a.npz"
    poses = np.ones((5, 13, 3), np.float32) * np.arange(5, dtype=np.float32)[:, None, None] / 5
    PoseTrack(poses, 3.0 + np.arange(5) / 10, "body13", (64, 48)).save(path)
    return path


def test_each_way_of_writing_opens_its_kind(video: Path, folder: Path, track: Path) -> None:
    for spec, kind in [
        (str(video), VideoFile),
        (str(folder), ImageFolder),
        (f"images:{folder},fps=15", ImageFolder),
        (str(track), RecordedPoses),
        ("synth:seed=3,cycles=1", RenderedStation),
        (StationParams(cycles=1), RenderedStation),
    ]:
        source = open_source(spec)
        assert isinstance(source, kind)
        assert isinstance(source, Source)
        assert not source.live
        source.close()


def test_a_recording_can_be_played_as_if_it_were_live(video: Path, track: Path) -> None:
    for spec, kind in [(str(video), LiveSource), (str(track), Paced)]:
        source = open_source(spec, policy="freshest")
        assert isinstance(source, kind)
        assert isinstance(source, Source)
        assert source.live
        source.close()


def test_every_frame_of_a_video_comes_in_order(video: Path) -> None:
    source = open_source(str(video))
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(10)])
    assert [round(float(frame.image.mean()) / 20) for frame in frames if frame.image is not None] == list(range(10))
    assert (source.fps, source.size, source.dropped) == (25, (64, 48), 0)
    assert [frame.time_s for frame in source] == [frame.time_s for frame in frames]  # it can be read again


def test_images_come_in_the_order_people_sort_them(folder: Path) -> None:
    frames = list(open_source(f"images:{folder},fps=10"))
    assert [int(frame.image[0, 0, 0]) // 20 for frame in frames if frame.image is not None] == list(range(12))
    assert frames[-1].time_s == pytest.approx(1.1)


def test_an_unreadable_image_in_the_middle_is_a_frame_without_one(folder: Path) -> None:
    (folder / "frame5.png").write_bytes(b"not a picture")
    frames = list(open_source(str(folder)))
    assert [frame.index for frame in frames if frame.image is None] == [5]
    assert len(frames) == 12


def test_recorded_poses_begin_at_time_zero_and_bring_their_layout(track: Path) -> None:
    source = open_source(str(track))
    frames = list(source)
    assert source.layout == "body13"
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert all(frame.image is None and frame.pose is not None and frame.pose.shape == (13, 3) for frame in frames)


def test_recorded_poses_played_live_drop_what_nobody_waited_for(track: Path) -> None:
    source = open_source(str(track), policy="freshest")
    seen = [frame.index for frame in source]
    assert seen == sorted(seen)
    assert seen[-1] == 4
    assert len(seen) + source.dropped == 5


def test_what_cannot_be_opened_is_told_in_one_line(tmp_path: Path, track: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    unreadable = tmp_path / "unreadable"
    unreadable.mkdir()
    (unreadable / "a.png").write_bytes(b"no")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(range(256)) * 20)
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(b"")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(track.read_bytes()[:100])
    cases: list[tuple[str, type[LockstepError]]] = [
        (str(tmp_path / "missing.mp4"), SourceError),
        (str(tmp_path / "missing.npz"), SourceError),
        (str(empty), SourceError),
        (str(unreadable), SourceError),
        (str(broken), SourceError),
        (str(nothing), SourceError),
        (str(damaged), DataError),
        (f"images:{empty},rate=3", SourceError),
        (f"images:{empty},fps=0", SourceError),
        ("ftp://camera/1", SourceError),
        ("synth:colour=red", ConfigError),
        ("97", SourceError),
        ("/dev/video97", SourceError),
        ("rtsp://user:secret@127.0.0.1:9/camera", SourceError),
    ]
    for spec, kind in cases:
        with pytest.raises(kind) as caught:
            open_source(spec)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("policy", ["every", "freshest"])
def test_no_source_at_all_is_not_the_folder_one_is_in(folder: Path, policy: Policy, monkeypatch) -> None:
    (folder / "station.yaml").write_text("reference: bench.ref\nsource: {open: ''}\n")
    monkeypatch.chdir(folder)
    with pytest.raises(SourceError, match=r"there is no source ''.*found nothing"):
        open_source(load_station(Path("station.yaml")).source.open, policy)


def test_the_capture_process_tells_the_same_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(SourceError) as told:
        open_source(str(broken))
    with pytest.raises(SourceError) as told_from_afar:
        open_source(str(broken), policy="freshest")
    assert str(told_from_afar.value) == str(told.value)


def test_a_writer_leaves_a_whole_video_or_none(tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    with pytest.raises(RuntimeError), VideoWriter(path, 25, (64, 48)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SourceError):
        VideoWriter(tmp_path / "a.gif", 25, (64, 48))
    with pytest.raises(SourceError):
        VideoWriter(tmp_path / "nowhere" / "a.mp4", 25, (64, 48))


def test_a_video_that_is_cut_off_by_the_disk_is_told_of_and_not_there_under_its_own_name(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # to FFmpeg as good as a full disk
    try:
        with pytest.raises(SourceError, match="cut off"), VideoWriter(tmp_path / "a.mp4", 25, (320, 240)) as writer:
            for _ in range(20):
                writer.write(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [".a.partial.mp4"]


def test_a_video_of_a_stream_keeps_its_time_though_frames_were_dropped_and_its_size_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with VideoWriter(path, 25, (64, 48)) as writer:
        for time_s, size in ((0.0, (48, 64)), (0.04, (48, 64)), (0.05, (48, 64)), (0.4, (48, 64)), (0.6, (96, 128))):
            writer.write_at(time_s, np.full((*size, 3), 400 * time_s, np.uint8))
    shown = [round(float(frame.image.mean()) / 400, 2) for frame in VideoFile(path) if frame.image is not None]
    assert shown == pytest.approx([0.0, 0.04] + [0.05] * 8 + [0.4] * 5 + [0.6], abs=0.01)
