"""A station's YAML: paths are relative to the file, and every mistake is one line that says what to do."""

import pytest

from engine.config import load_station
from engine.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "station.yaml"
    path.write_text(text)
    return path


def test_the_least_a_station_needs_is_a_reference(tmp_path):
    config = load_station(write(tmp_path, "reference: my.ref\n"))
    assert config.reference == tmp_path / "my.ref"
    assert config.store.url == f"sqlite:///{tmp_path}/station.db"
    assert config.bus.publish == "tcp://127.0.0.1:5560"


def test_files_named_in_the_yaml_are_found_beside_it(tmp_path):
    (tmp_path / "clip.mp4").touch()
    config = load_station(write(tmp_path, "reference: a.ref\nsource: {open: clip.mp4}\n"))
    assert config.source.open == str(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reference: a.ref\ncamera: 0\n", "unknown key 'camera'.*expected one of station, source"),
        ("reference: a.ref\nsource: {device: 0}\n", "unknown key 'source.device'.*expected one of open, policy"),
        ("station: bench\n", "lacks 'reference'"),
        ("reference: a.ref\nstation: ../../etc\n", "'station' is wrong"),
        ("reference: a.ref\nsource: {policy: newest}\n", "'source.policy' is wrong.*'freshest'"),
        ("reference: [a\n", "is not YAML.*line"),
        ("reference: !!python/object/apply:os.system ['true']\n", "is not YAML"),
        ("- a\n- b\n", "expected a mapping of settings, found list"),
        ("", "holds no settings"),
        ("reference: a.ref\nstore: {keep_days: -1}\n", "'store.keep_days' is wrong"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        load_station(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*No such file"):
        load_station(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        load_station(tmp_path / "binary.yaml")
