"""docs/stations.md lists every key of a station's YAML with its default, and its examples are stations."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from engine.config import StationConfig, load_station

PAGE = (Path(__file__).parents[2] / "docs" / "stations.md").read_text(encoding="utf-8")
ROWS = {
    key: (default, meaning) for key, default, meaning in re.findall(r"^\| `(.+?)` \| (.+?) \| (.+) \|$", PAGE, re.M)
}


def keys_of(model, before=""):
    """Dotted key → its field, of a model and of those within it."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{before}{name}.")
        else:
            yield before + name, field


def test_the_table_has_every_key_and_no_other():
    assert list(ROWS) == [key for key, _ in keys_of(StationConfig)]


@pytest.mark.parametrize(
    ("key", "field"), keys_of(StationConfig), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_table_says_what_a_key_is_if_it_is_left_out(key, field):
    default, _ = ROWS[key]
    if field.is_required():
        assert default == "required"
    else:
        assert yaml.safe_load(default.strip("`")) == field.default and default == f"`{default.strip('`')}`"


def test_the_table_names_every_runtime_and_every_policy():
    fields = dict(keys_of(StationConfig))
    for key in ("runtime", "source.policy"):
        _, meaning = ROWS[key]
        assert set(fields[key].annotation.__args__) <= set(re.findall(r"`([\w-]+)`", meaning)), key


def test_the_examples_are_stations_that_can_run_side_by_side(tmp_path):
    stations = []
    for number, example in enumerate(re.findall(r"```yaml\n(.+?)```", PAGE, re.S)):
        (tmp_path / f"{number}.yaml").write_text(example)
        stations.append(load_station(tmp_path / f"{number}.yaml"))
    first, second = stations
    for taken in ("bus.publish", "bus.requests", "store.url", "reference", "station", "source.open"):
        section, _, key = taken.rpartition(".")
        one, other = ((getattr(s, section) if section else s) for s in (first, second))
        assert getattr(one, key) != getattr(other, key), taken
    assert second.pose.model == tmp_path / "rtmpose-s.onnx"


def test_the_file_to_copy_is_a_station():
    load_station(Path(__file__).parents[2] / "configs" / "stations" / "bench.yaml")
