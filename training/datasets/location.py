"""Where data sets lie on this machine: nothing of them is ever part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "LOCKSTEP_DATA"
BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def data_folder() -> Path:
    """The folder of all data sets: `$LOCKSTEP_DATA`, else `../shared/data` beside the repository. It may not exist."""
    return Path(os.environ.get(VARIABLE) or BESIDE_THE_REPOSITORY)
