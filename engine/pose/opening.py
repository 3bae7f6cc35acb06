"""A pose estimator by name."""

from __future__ import annotations

from pathlib import Path

from engine.errors import PoseError
from engine.pose.base import PoseEstimator

ESTIMATORS = {
    "mediapipe": "body, 33 joints (mediapipe33)",
    "mediapipe-hands": "both hands, 42 joints (hands42)",
    "rtmpose-onnx": "one body or hand, by an RTMPose model file of your own (coco17, halpe26, hand21)",
    "recorded": "poses that the source brings along; sees no pictures",
}
DEFAULT = "mediapipe"


def open_estimator(name: str = DEFAULT, *, model: str | Path | None = None) -> PoseEstimator:
    """The estimator called `name`. `model`: a model file of the user's; None: the one that comes with the package.

    Raises PoseError: unknown name, package or model missing, or `recorded`, which has no estimator (see
    `engine.pose.locating`).
    """
    path = None if model is None else Path(model)
    if name == "mediapipe":
        from engine.pose.mediapipe import open_body

        return open_body(path)
    if name == "mediapipe-hands":
        from engine.pose.mediapipe import open_hands

        return open_hands(path)
    if name == "rtmpose-onnx":
        from engine.pose.rtmpose import RtmPose

        return RtmPose(path)
    if name == "recorded":
        raise PoseError(
            "`recorded` takes poses from the source",
            expected="a track (.npz) as the source",
            found="pictures",
            next_step=f"Choose --estimator {DEFAULT} for pictures.",
        )
    raise PoseError(
        "unknown pose estimator",
        expected=", ".join(ESTIMATORS),
        found=repr(name),
        next_step="Correct the estimator's name.",
    )
