"""Pictures of a followed station say in words what was true and what was told, each at its time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from clients.station_pictures import belief_figure, delay_figure, draw_station, timeline_figure
from engine.sources.rendered import Deviation, StationParams
from training.evaluate.online import stations


@pytest.fixture(scope="module")
def followed() -> stations.Followed:
    """One worker shows, another does it twice and leaves out `place`; followed on raw joints."""
    bundle = SimpleNamespace(info=SimpleNamespace(rate_hz=20.0, name="joints", layout="body13"), sha256="0" * 64)
    takes = [StationParams.random(4, cycles=1, idle_s=1.0)]
    worker = StationParams.random(5, cycles=2, deviations=(Deviation("skip", phase=1, cycle=2),))
    reference = stations.station_reference([stations.jittered_joints(t) for t in takes], bundle, "keypoints")
    return stations.follow_keypoints(stations.jittered_joints(worker), reference)


def texts(figure: Figure) -> dict[str, float]:
    """Everything written in a figure, with where it stands along the first axis."""
    return {text.get_text(): text.get_position()[0] for text in figure.findobj(Text)}


def test_both_pictures_name_the_deviation_and_the_alarm(followed: stations.Followed, tmp_path: Path) -> None:
    (skip,) = followed.truth.events_of("skip")
    (told,) = (event for event in followed.events if event.event == "phase_skipped")
    for figure in (belief_figure("bench", followed, stations.belief_of(followed)), timeline_figure("bench", followed)):
        written = texts(figure)
        assert written["skips place"] == pytest.approx(skip.start_s)
        assert written["skipped place"] == pytest.approx(told.noticed_s, abs=0.2)
        assert {"pick", "hand_off", "time of the recording (s)"} <= set(written)
    draw_station(tmp_path, "first", "bench", followed, stations.belief_of(followed))
    assert {path.name for path in tmp_path.iterdir()} == {"first_belief.png", "first_timeline.png"}


def test_the_true_position_is_not_drawn_while_nobody_works(followed: stations.Followed) -> None:
    strip = belief_figure("bench", followed, stations.belief_of(followed)).axes[0]
    truth = next(line for line in strip.lines if len(line.get_ydata()) == len(followed.times_s))
    assert np.isnan(np.asarray(truth.get_ydata())[~followed.at_work]).all()


def test_delays_are_drawn_in_percent_of_the_deviations() -> None:
    curve = delay_figure({"followed": {"1": 0.5, "2": 1.0}}).axes[0].lines[0]
    assert np.asarray(curve.get_xdata()).tolist() == [0, 1, 2] and np.asarray(curve.get_ydata()).tolist() == [
        0,
        50,
        100,
    ]
