"""Readers of data sets, one file per published format, all giving `base.Clip`s.

`read(name, folder)` finds a reader by name and imports only that one.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from engine.errors import ConfigError
from training.datasets.base import Dataset

READERS: dict[str, tuple[str, str]] = {
    "penn": ("penn", "load_penn"),
    "penn-mat": ("penn_mat", "load_penn_mat"),
    "ikea-asm": ("ikea_asm", "load_ikea_asm"),
    "h2o": ("h2o", "load_h2o"),
    "tracks": ("tracks", "load_tracks"),
}
"""Name in configurations → module here, and its reader. Rendered stations have no folder: `stations.load_stations`."""


def read(name: str, folder: str | Path) -> Dataset:
    """A data set by the name of its format. Raises ConfigError (unknown name), DataError (not of that format)."""
    if name not in READERS:
        raise ConfigError("no such data set format", expected=", ".join(READERS), found=name)
    module, function = READERS[name]
    dataset: Dataset = getattr(import_module(f"training.datasets.{module}"), function)(folder)
    return dataset
