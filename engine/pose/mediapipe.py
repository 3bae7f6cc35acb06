"""MediaPipe body (`mediapipe33`) and hands (`hands42`) behind the estimators' protocol.

    BGR image → RGB → MediaPipe graph → normalised landmarks → poses (K, 3) in pixels

Releases up to 0.10.2x carry their models and the *solutions* API; later ones have only the *Tasks* API and need a model
file (`.task`). Both are a `Graph` here; everything else is shared. A corrupt frame is a frame without a person.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import PoseError
from engine.pose.picture import is_picture
from models import skeleton

FRAME_MS = 33
"""Assumed time between frames, for the graph's smoothing filter; the solutions API assumes the same."""
PEOPLE = 4
"""Looked for with a model file, so that the operator can be chosen; the model in the package follows one person."""
INSTALL = "Install the release that carries its models: pip install 'mediapipe>=0.10.21,<0.10.30'."


class Graph(Protocol):
    """RGB image in, people out: each (K, 3) with x and y as fractions of the picture, and confidence."""

    def people(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]: ...

    def close(self) -> None: ...


class MediaPipe:
    """A pose estimator around a MediaPipe graph. Stateful: MediaPipe follows the person from frame to frame."""

    def __init__(self, layout: str, open_graph: Callable[[], Graph]) -> None:
        self.layout = layout
        self._open_graph = open_graph
        self._graph = self._started()

    def _started(self) -> Graph:
        """A graph that has seen one empty picture: its models are loaded, and its start-up chatter is over."""
        with quiet_stderr():
            try:
                graph = self._open_graph()
                graph.people(np.zeros((64, 64, 3), np.uint8))
            except (RuntimeError, ValueError, OSError) as error:
                lines = str(error).splitlines() or [type(error).__name__]
                raise PoseError("MediaPipe does not start", found=lines[0][:160], next_step=INSTALL) from error
        return graph

    def estimate(self, image: NDArray[np.uint8] | None) -> list[NDArray[np.float32]]:
        """Image (H, W, 3) BGR uint8 → poses (K, 3) in pixels. Empty for nobody, and for anything that is no picture."""
        if not is_picture(image):
            return []
        try:
            people = self._graph.people(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
        except (RuntimeError, ValueError):  # the graph is unusable after an error: a fresh one takes over
            self.reset()
            return []
        height, width = image.shape[:2]
        return [skeleton.clean(person * np.array([width, height, 1], np.float32)) for person in people]

    def reset(self) -> None:
        self.close()
        self._graph = self._started()

    def close(self) -> None:
        with quiet_stderr():
            try:
                self._graph.close()
            except (RuntimeError, ValueError):
                return  # a broken graph reports its old error again when closed


def open_body(model: Path | None = None) -> MediaPipe:
    """Body estimator. `model`: a pose landmarker `.task` file; None: the model inside the package (one person).

    Raises PoseError: MediaPipe or its model missing.
    """
    mediapipe = _package()
    if model is not None:
        path = _existing(model)
        return MediaPipe("mediapipe33", lambda: TaskBody(mediapipe, path))
    _need_solutions(mediapipe, "pose")
    _say_everything_now()
    return MediaPipe("mediapipe33", lambda: SolutionBody(mediapipe))


def open_hands(model: Path | None = None) -> MediaPipe:
    """Estimator of one person's hands. `model`: a hand landmarker `.task` file; None: the model inside the package.

    Raises PoseError: MediaPipe or its model missing.
    """
    mediapipe = _package()
    if model is not None:
        path = _existing(model)
        return MediaPipe("hands42", lambda: TaskHands(mediapipe, path))
    _need_solutions(mediapipe, "hand")
    return MediaPipe("hands42", lambda: SolutionHands(mediapipe))


class SolutionBody:
    """`mediapipe.solutions.pose`: the full model is the one in the wheel; follows one person."""

    def __init__(self, mediapipe: ModuleType, min_confidence: float = 0.5) -> None:
        self._pose = mediapipe.solutions.pose.Pose(
            model_complexity=1, min_detection_confidence=min_confidence, min_tracking_confidence=min_confidence
        )

    def people(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = self._pose.process(rgb).pose_landmarks
        return [_body(found.landmark)] if found else []

    def close(self) -> None:
        self._pose.close()


class SolutionHands:
    """`mediapipe.solutions.hands`. Its handedness is that of a mirrored (selfie) picture; ours are not mirrored."""

    def __init__(self, mediapipe: ModuleType) -> None:
        self._hands = mediapipe.solutions.hands.Hands(max_num_hands=2)

    def people(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = self._hands.process(rgb)
        sides = [entry.classification[0] for entry in found.multi_handedness or ()]
        return _both_hands(
            [
                (side.label == "Right", side.score, hand.landmark)
                for side, hand in zip(sides, found.multi_hand_landmarks or (), strict=True)
            ]
        )

    def close(self) -> None:
        self._hands.close()


class _Task:
    """A landmarker of the Tasks API in video mode, which wants increasing times."""

    def __init__(self, mediapipe: ModuleType, name: str, model: Path, **options: Any) -> None:
        vision = mediapipe.tasks.vision
        self._mediapipe = mediapipe
        self._landmarker = getattr(vision, name).create_from_options(
            getattr(vision, name + "Options")(
                base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
                running_mode=vision.RunningMode.VIDEO,
                **options,
            )
        )
        self._time_ms = 0

    def _detect(self, rgb: NDArray[np.uint8]) -> Any:
        self._time_ms += FRAME_MS
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        return self._landmarker.detect_for_video(image, self._time_ms)

    def close(self) -> None:
        self._landmarker.close()


class TaskBody(_Task):
    """`PoseLandmarker`: several people, any of the published models."""

    def __init__(self, mediapipe: ModuleType, model: Path) -> None:
        super().__init__(mediapipe, "PoseLandmarker", model, num_poses=PEOPLE)

    def people(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return [_body(person) for person in self._detect(rgb).pose_landmarks]


class TaskHands(_Task):
    """`HandLandmarker`. Unlike the older API it names the sides of a picture that is not mirrored."""

    def __init__(self, mediapipe: ModuleType, model: Path) -> None:
        super().__init__(mediapipe, "HandLandmarker", model, num_hands=2)

    def people(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = self._detect(rgb)
        return _both_hands(
            [
                (side[0].category_name == "Left", side[0].score, hand)
                for side, hand in zip(found.handedness, found.hand_landmarks, strict=True)
            ]
        )


def _body(landmarks: Any) -> NDArray[np.float32]:
    """33 landmarks → (33, 3); visibility is the confidence."""
    return np.array([(mark.x, mark.y, mark.visibility) for mark in landmarks], np.float32)


def _both_hands(hands: list[tuple[bool, float, Any]]) -> list[NDArray[np.float32]]:
    """Hands as (is left, score, 21 landmarks) → one person's (42, 3), left hand first; a hand not seen is zeros.

    The surer hand takes its side, a second one the side that is left: a person has one of each. A hand's landmarks
    carry no confidence of their own, so they take that of its side.
    """
    if not hands:
        return []
    person = np.zeros((2, 21, 3), np.float32)
    taken: set[int] = set()
    for is_left, score, landmarks in sorted(hands, key=lambda hand: -hand[1])[:2]:
        side = 0 if is_left else 1
        if side in taken:
            side = 1 - side
        taken.add(side)
        person[side] = [(mark.x, mark.y, score) for mark in landmarks]
    return [person.reshape(42, 3)]


def _package() -> ModuleType:
    try:
        with quiet_stderr():
            import mediapipe
    except ImportError as error:
        raise PoseError("MediaPipe cannot be imported", found=str(error), next_step=INSTALL) from None
    return mediapipe


def _need_solutions(mediapipe: ModuleType, kind: str) -> None:
    if not hasattr(mediapipe, "solutions"):
        raise PoseError(
            f"MediaPipe {getattr(mediapipe, '__version__', '')} carries no models",
            expected=f"a {kind} landmarker .task file",
            found="no model",
            next_step=f"Pass its path as the model, or: {INSTALL}",
        )


def _existing(model: Path) -> Path:
    if not Path(model).is_file():
        raise PoseError(
            "the pose model is missing",
            expected="a MediaPipe .task file",
            found=f"no file {model}",
            next_step="Correct the path: --model, or `pose.model` in a station's YAML.",
        )
    return Path(model)


@cache
def _say_everything_now() -> None:
    """MediaPipe warns once per process when it first sees a person. One that sees a person in anything gets it over."""
    with quiet_stderr():
        graph = SolutionBody(_package(), min_confidence=0.0)
        graph.people(np.full((64, 64, 3), 128, np.uint8))
        graph.close()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what native code writes to file descriptor 2: MediaPipe's log level cannot be set from Python."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all (a daemon): nothing to silence
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
