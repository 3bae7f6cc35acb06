"""`lockstep doctor --station`: what would keep this station from running, before anybody starts it."""

import pytest
import yaml

from benchmarks.light_station import make
from clients.cli import main
from engine.bundle import open_bundle
from engine.errors import BundleError


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    try:
        return make(tmp_path_factory.mktemp("station"), open_bundle(), cycles=1, seed=1, policy="every")
    except BundleError as error:
        pytest.skip(f"no shipped bundle: {error.problem}")


@pytest.fixture
def doctor(station, capsys, monkeypatch):
    """Exit status and what is said of the station with some settings changed."""
    monkeypatch.setenv("COLUMNS", "300")  # nothing is wrapped
    path = station.yaml.with_name("changed.yaml")

    def look(**settings):
        path.write_text(yaml.safe_dump({**yaml.safe_load(station.yaml.read_text()), **settings}))
        with pytest.raises(SystemExit) as end:
            main(["doctor", "--station", str(path)])
        return end.value.code, capsys.readouterr().out

    return look


def test_a_station_that_could_run_has_no_problem(doctor, tmp_path):
    status, said = doctor(store={"url": f"sqlite:///{tmp_path}/[elsewhere].db"})
    assert status == 0, said
    assert f"{tmp_path} is writable" in said  # the store's folder, not that of the YAML
    assert not (tmp_path / "[elsewhere].db").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"store": {"url": "sqlite:////nowhere/at/all.db"}}, "there is no folder /nowhere/at"),
        ({"store": {"url": "nonsense"}}, "no URL of a database"),
        ({"bundle": "nonsense"}, "no bundle at nonsense"),
        ({"reference": "station.yaml"}, "station.yaml"),
        ({"source": {"open": "gone.mp4"}}, "there is no source 'gone.mp4'"),
        ({"source": {"open": "ftp://camera"}}, "cannot read ftp:// addresses"),
        ({"bus": {"publish": "tcp://127.0.0.1:99999"}}, "99999"),
        ({"bus": {"publish": "tcp://0.0.0.0:*"}}, "without keys would let anyone on the network"),
        ({"bus": {"keys": "nowhere"}}, "no usable keys"),
        ({"health": {"address": "192.0.2.1:9560"}}, "tcp://192.0.2.1:9560"),
    ],
)
def test_what_would_keep_it_from_running_is_a_problem(doctor, settings, said):
    status, text = doctor(**settings)
    assert status == 1 and "✗" in text
    assert said in text
