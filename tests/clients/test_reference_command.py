"""`lockstep reference build` and `show`: from tracks to a file, a summary and a picture; and what is wrong, in a line."""

import matplotlib.image
import numpy as np
import pytest
from pictures import cut_off, words

from clients.cli import main
from clients.reference_picture import distinctness, reference_figure
from engine.pose.track import PoseTrack
from engine.reference import Phase, Reference
from engine.sources.rendered import StationParams, simulate

PHASES = """
phases:
  - {name: reach, start_s: 1.5, end_s: 3}
  - {name: a rather long name for a phase, start_s: 3, end_s: 3.2, limit_s: 5}
  - {name: hand over, start_s: 3.2, end_s: 6, optional: true}
"""


def lockstep(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracks")
    for seed in (1, 2):
        truth = simulate(StationParams.random(seed, cycles=1))
        PoseTrack(truth.joints, truth.times_s, "body13", (640, 480)).save(folder / f"{seed}.npz")
    (folder / "phases.yaml").write_text(PHASES)
    return folder


@pytest.fixture(scope="module")
def reference(tracks, tiny_bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "my.ref"
    options = ["--phases", tracks / "phases.yaml", "--bundle", tiny_bundle.folder, "-o", path]
    assert lockstep("reference", "build", tracks / "1.npz", tracks / "2.npz", *options) == 0
    return path


def test_a_reference_is_built_and_described(reference, capsys):
    assert lockstep("reference", "show", reference) == 0
    said = capsys.readouterr().out
    for expected in ("4.50 s", "cyclic", "bundle tiny", "from 1.npz, 2.npz", "reach", "limit 5 s", "optional"):
        assert expected in said
    info = Reference.load(reference).info
    assert len(info.durations_s) == 2 and info.phases[0].name == "reach"


def test_a_reference_is_drawn(reference, tmp_path, capsys):
    assert lockstep("reference", "show", reference, "-o", tmp_path / "my.png") == 0
    picture = matplotlib.image.imread(tmp_path / "my.png")
    assert picture.shape[1] > 1000 and picture.std() > 0.05


def test_names_that_do_not_fit_their_strip_are_numbered_and_listed(reference):
    figure = reference_figure(Reference.load(reference), "my")
    said = " ".join(words(figure)).replace("\N{NO-BREAK SPACE}", " ")
    assert {"reach", "2"} <= words(figure) and "2: a rather long name for a phase" in said


def test_of_many_phases_with_long_names_none_is_cut_off(reference):
    loaded = Reference.load(reference)
    step_s = loaded.duration_s / 12
    phases = [
        Phase(name=f"tighten screw {i} to 5 Nm and mark it 検査", start_s=i * step_s, end_s=(i + 1) * step_s)
        for i in range(12)
    ]
    loaded.info = loaded.info.model_copy(update={"phases": phases, "durations_s": [[step_s] * 12] * 2})
    figure = reference_figure(loaded, "my")
    assert cut_off(figure) == []
    assert "12: tighten screw 11" in " ".join(words(figure)).replace("\N{NO-BREAK SPACE}", " ")


def test_a_reference_in_which_nobody_is_seen_is_drawn_all_the_same(reference):
    loaded = Reference.load(reference)
    loaded.poses[:] = 0
    assert reference_figure(loaded, "empty").axes


def test_moments_that_look_alike_are_not_distinct(reference):
    loaded = Reference.load(reference)
    half = len(loaded) // 2
    loaded.mean[half : 2 * half] = loaded.mean[:half]
    assert np.allclose(distinctness(loaded)[: 2 * half], 0, atol=1e-5)


def test_start_and_end_cut_the_only_demonstration(tracks, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "cut.ref"
    cut = ["--start", 2, "--end", 5, "--once", "--picture", tmp_path / "cut.png"]
    assert lockstep("reference", "build", tracks / "1.npz", *cut, "--bundle", tiny_bundle.folder, "-o", out) == 0
    loaded = Reference.load(out)
    assert loaded.duration_s == pytest.approx(3.0) and not loaded.info.cyclic
    assert (tmp_path / "cut.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["missing.npz"], "missing.npz"),
        (["missing.mp4"], "there is no source"),
        (["1.npz", "--start", "5", "--end", "2"], "--end is not after --start"),
        (["1.npz", "--start", "500"], "no poses between"),
        (["1.npz", "--end", "2", "--phases", "phases.yaml"], "lies outside the demonstration"),
        (["1.npz", "--phases", "none.yaml"], "cannot read"),
        (["1.npz", "--bundle", "none"], "no bundle at"),
        (["1.npz", "--picture", "none/my.png"], "no folder for"),
        (["synth:seed=1", "--estimator", "mediapipe-hands"], "expected poses that convert to body13, found hands42"),
    ],
)
def test_a_mistake_is_one_line_and_no_reference(tracks, tiny_bundle, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tracks)
    bundle = [] if "--bundle" in arguments else ["--bundle", tiny_bundle.folder]
    assert lockstep("reference", "build", *arguments, *bundle, "-o", tmp_path / "my.ref") == 2
    error = capsys.readouterr().err
    assert said in error and error.strip().count("\n") == 0 and "Traceback" not in error
    assert not (tmp_path / "my.ref").exists()


def test_a_truncated_reference_is_one_line(reference, tmp_path, capsys):
    (tmp_path / "half.ref").write_bytes(reference.read_bytes()[:500])
    assert lockstep("reference", "show", tmp_path / "half.ref") == 2
    assert "cannot read the reference" in capsys.readouterr().err


def test_a_picture_of_an_unknown_kind_is_one_line(reference, tmp_path, capsys):
    assert lockstep("reference", "show", reference, "-o", tmp_path / "my.abc") == 2
    assert "cannot draw into" in capsys.readouterr().err
