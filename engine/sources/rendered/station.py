"""The rendered station as a source: every frame drawn, every frame with its ground truth."""

from __future__ import annotations

import time
from collections.abc import Iterator

from engine.sources.base import Frame
from engine.sources.rendered.parameters import StationParams
from engine.sources.rendered.performance import Performance
from engine.sources.rendered.scene import Scene


class RenderedStation:
    """A `Source` (see engine.sources.base) whose frames carry `truth`, a FrameTruth.

        for frame in RenderedStation(StationParams.random(seed=3, cycles=5)):
            show(frame.image, frame.truth.phase)

    Frames are drawn as fast as they are asked for; `LiveSource` paces them like a camera.
    """

    live = False
    layout = None
    dropped = 0

    def __init__(self, params: StationParams) -> None:
        self.params = params
        self.name = f"rendered station {params.seed}"
        self.fps = params.fps
        self.size = params.size
        self._performance = Performance(params)
        self._scene = Scene(params)

    def __len__(self) -> int:
        return self._performance.frames

    @property
    def duration_s(self) -> float:
        return self._performance.frames / self.fps

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start_s: float = 0.0) -> Iterator[Frame]:
        """Frames from time `start_s` on."""
        index = int(start_s * self.fps)
        for times, figure, truth in self._performance.chunks(index):
            shake = self._performance.shake(times)
            for i in range(len(times)):
                still = figure.still(i)
                now = truth.frame(i)
                image = self._scene.draw(still, now, shake[i], index)
                yield Frame(index, float(times[i]), image, None, time.monotonic(), now)
                index += 1

    def close(self) -> None:
        """Nothing to release."""
