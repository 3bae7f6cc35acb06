"""A station's YAML: paths are relative to the file, and every mistake is one line that says what to do."""

import pytest

from engine.config import load_station, station_from_options
from engine.errors import ConfigError
from engine.store import Store


def write(tmp_path, text):
    path = tmp_path / "station.yaml"
    path.write_text(text)
    return path


def test_the_least_a_station_needs_is_a_reference(tmp_path):
    config = load_station(write(tmp_path, "reference: my.ref\n"))
    assert config.reference == tmp_path / "my.ref"
    assert config.store.url == f"sqlite:///{tmp_path}/station.db"
    assert config.bus.publish == "tcp://127.0.0.1:5560"


def test_a_store_beside_the_yaml_is_there_and_nowhere_else(tmp_path):
    strange = tmp_path / "100% é #1 [x]; y & z"
    strange.mkdir()
    with Store(load_station(write(strange, "reference: my.ref\n")).store.url):
        assert (strange / "station.db").is_file()
    (tmp_path / "what?").mkdir()
    with pytest.raises(ConfigError, match="question mark"):
        load_station(write(tmp_path / "what?", "reference: my.ref\n"))


def test_files_named_in_the_yaml_are_found_beside_it(tmp_path):
    (tmp_path / "clip.mp4").touch()
    config = load_station(write(tmp_path, "reference: a.ref\nsource: {open: clip.mp4}\n"))
    assert config.source.open == str(tmp_path / "clip.mp4")
    config = load_station(write(tmp_path, "reference: a.ref\npose: {model: rtmpose.onnx}\nbus: {keys: keys}\n"))
    assert config.pose.model == tmp_path / "rtmpose.onnx" and config.bus.keys == tmp_path / "keys"


def test_a_camera_is_named_by_its_number_with_or_without_quotes_whatever_else_has_that_name(tmp_path):
    (tmp_path / "0").touch()
    for number in ("0", "'0'", '"0"'):
        assert load_station(write(tmp_path, f"reference: a.ref\nsource: {{open: {number}}}\n")).source.open == "0"
    assert load_station(write(tmp_path, "reference: a.ref\nsource: {open: ./0}\n")).source.open == str(tmp_path / "0")


def test_the_region_is_a_box_or_a_polygon(tmp_path):
    box = load_station(write(tmp_path, "reference: a.ref\npose: {region: [0.1, 0, 0.9, 1]}\n"))
    polygon = load_station(write(tmp_path, "reference: a.ref\npose: {region: [[0, 0], [1, 0], [0.5, 1]]}\n"))
    assert box.pose.region == (0.1, 0, 0.9, 1) and polygon.pose.region == ((0, 0), (1, 0), (0.5, 1))


ON = ("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5561")


@pytest.mark.parametrize(
    ("bus", "publish", "then"),
    [
        ("{publish: 'ipc://a', requests: 'ipc://b'}", None, ("ipc://a", "ipc://b")),
        ("{publish: 'ipc://a', requests: 'ipc://b'}", True, ("ipc://a", "ipc://b")),
        ("{publish: 'ipc://a', requests: 'ipc://b'}", False, (None, None)),
        ("{publish: null, requests: null}", None, (None, None)),
        ("{publish: null, requests: null}", True, ON),
        ("{publish: null, requests: 'ipc://b'}", True, (ON[0], "ipc://b")),
        ("{publish: 'ipc://a', requests: null}", True, ("ipc://a", None)),
    ],
)
def test_a_station_is_on_the_bus_as_its_yaml_says_unless_the_command_says_otherwise(tmp_path, bus, publish, then):
    path = write(tmp_path, f"reference: a.ref\nbus: {bus}\n")
    config = station_from_options(path, None, None, None, None, publish)
    assert (config.bus.publish, config.bus.requests) == then


@pytest.mark.parametrize(("publish", "then"), [(None, (None, None)), (False, (None, None)), (True, ON)])
def test_a_station_without_a_yaml_is_on_the_bus_only_if_asked_to(tmp_path, publish, then):
    config = station_from_options(None, "0", tmp_path / "a.ref", None, None, publish)
    assert (config.bus.publish, config.bus.requests) == then


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reference: a.ref\ncamera: 0\n", "unknown key 'camera'.*expected one of station, source"),
        ("reference: a.ref\nsource: {device: 0}\n", "unknown key 'source.device'.*expected one of open, policy"),
        ("station: bench\n", "lacks 'reference'"),
        ("reference: a.ref\nstation: ../../etc\n", "'station' is wrong: expected a name of letters"),
        ("reference: a.ref\n'a[0]{b}': 1\n", r"unknown key 'a\[0\]\{b\}'"),
        ("reference: a.ref\nstation: 5\n", "expected text, in quotes if it looks like a number, found 5"),
        ("reference: a.ref\nsource: 0\n", "'source' is wrong: expected a mapping of settings, found 0"),
        ("reference: a.ref\nsource:\n", "'source' is wrong: expected a mapping of settings, found nothing"),
        ("reference: a.ref\nprivacy: perhaps\n", "'privacy' is wrong: expected true or false, found 'perhaps'"),
        ("reference: a.ref\nbus: {keys: 3}\n", "'bus.keys' is wrong: expected a path, found 3"),
        ("reference: a.ref\npose: {region: left}\n", r"'pose.region' is wrong: expected left, .* corners \[x, y\]"),
        ("reference: a.ref\npose: {region: [0, 0, 1]}\n", "'pose.region' is wrong: expected left, top, right, bottom"),
        ("reference: a.ref\nsource: {policy: newest}\n", "'source.policy' is wrong.*'freshest'"),
        ("reference: [a\n", "is not YAML.*line"),
        ("reference: !!python/object/apply:os.system ['true']\n", "is not YAML"),
        ("- a\n- b\n", "expected a mapping of settings, found list"),
        ("", "holds no settings"),
        ("reference: a.ref\nstore: {keep_days: -1}\n", "'store.keep_days' is wrong: expected greater than 0, found -1"),
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
