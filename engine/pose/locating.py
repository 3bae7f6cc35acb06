"""From a frame to the operator's pose: estimate, select, convert to the layout that is wanted.

frame ─image→ estimator ─poses→ selection ─pose→ layout        (or the pose the frame brings along)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import PoseError
from engine.pose.base import PoseEstimator
from engine.pose.opening import DEFAULT, open_estimator
from engine.pose.selection import OperatorSelector, Region
from engine.sources.base import Frame, Source
from models import skeleton


class Locator:
    """Finds one operator in a stream of frames; `layout` is that of its poses.

    `estimator` None: frames bring their poses along, in `source_layout`.
    """

    def __init__(
        self,
        estimator: PoseEstimator | None,
        source_layout: str | None = None,
        layout: str | None = None,
        area: Region | None = None,
    ) -> None:
        self._estimator = estimator
        self._from = estimator.layout if estimator is not None else source_layout or ""
        self.layout = layout or self._from
        self._selector = OperatorSelector(area)
        try:
            skeleton.conversion(self._from, self.layout)
        except KeyError as error:
            raise PoseError(
                "these poses do not fit the model",
                expected=f"poses that convert to {self.layout}",
                found=f"{self._from} ({error.args[0]})",
                next_step="Choose another pose estimator, or a bundle of your own for this layout: those shipped follow bodies.",
            ) from None
        self._nobody = skeleton.layout(self.layout).empty()

    def __call__(self, frame: Frame) -> NDArray[np.float32]:
        """The operator's pose (K, 3) in `layout`, pixels; confidence 0 throughout where nobody is seen. Never raises."""
        pose = frame.pose
        if self._estimator is not None and frame.image is not None:
            people = self._estimator.estimate(frame.image)
            if not people:
                return self._nobody.copy()
            height, width = frame.image.shape[:2]
            pose = self._selector.select(people, (width, height), frame.time_s)
        if pose is None or pose.shape != (skeleton.layout(self._from).size, 3):
            return self._nobody.copy()
        return skeleton.convert(skeleton.clean(pose), self._from, self.layout)

    def reset(self) -> None:
        """Before another stream."""
        self._selector.reset()
        if self._estimator is not None:
            self._estimator.reset()

    def close(self) -> None:
        if self._estimator is not None:
            self._estimator.close()


def open_locator(
    source: Source,
    estimator: str = DEFAULT,
    *,
    layout: str | None = None,
    area: Region | None = None,
    model: str | Path | None = None,
) -> Locator:
    """The locator for a source: its own poses where it has them, else the estimator called `estimator`.

    `layout` None: the estimator's own. Raises PoseError: estimator missing, or poses that cannot be converted.
    """
    if source.layout is not None:
        return Locator(None, source.layout, layout, area)
    return Locator(open_estimator(estimator, model=model), layout=layout, area=area)
