"""What every data set gives: clips of poses, with phase labels where they exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """One trimmed recording of one action."""

    id: str
    action: str
    split: Literal["train", "val"]
    poses: NDArray[np.float32]
    """(T, K, 3): x, y in pixels, confidence 0–1; a joint never annotated has confidence 0."""
    layout: str
    rate_hz: float
    image_size: tuple[int, int]
    """Width, height in pixels."""
    phases: NDArray[np.int64] | None = None
    """(T,) phase index, or None where not labelled."""
    view: str = ""


@dataclass(frozen=True)
class Dataset:
    """Clips in file order, and the files that broke the rules: `problems` maps a name to what is wrong with it."""

    name: str
    clips: tuple[Clip, ...]
    problems: dict[str, str] = field(default_factory=dict)

    def select(
        self, *, action: str | None = None, split: str | None = None, labelled: bool = False
    ) -> tuple[Clip, ...]:
        return tuple(
            clip
            for clip in self.clips
            if (action is None or clip.action == action)
            and (split is None or clip.split == split)
            and (not labelled or clip.phases is not None)
        )

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(clip.action for clip in self.clips))


class Reader(Protocol):
    """A function from a folder to a Dataset. Raises DataError where the folder is not of its format at all."""

    def __call__(self, folder: str) -> Dataset: ...
