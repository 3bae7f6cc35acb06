"""A frame from back to front: backdrop, worker's body, bench with bins and tray, arms, what the hands hold, sensor."""

# ruff: noqa: RUF005 — arrays plus tuples add up here, they are not joined
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import brush
from engine.sources.rendered import choreography as ch
from engine.sources.rendered.backdrop import draw_backdrop
from engine.sources.rendered.bench import Bench
from engine.sources.rendered.brush import Image
from engine.sources.rendered.kinematics import Camera, Still
from engine.sources.rendered.lighting import Tint
from engine.sources.rendered.parameters import Colour, StationParams
from engine.sources.rendered.truth import FrameTruth
from engine.sources.rendered.worker import Worker

_MARGIN = 12
"""Pixels drawn around the picture, so that a shaking camera finds something there."""


class Scene:
    """Draws the frames of one station. Backdrop and bench are drawn once; a frame costs the worker only."""

    def __init__(self, params: StationParams) -> None:
        self._params = params
        self._h = params.body.height_m
        width, height = params.size
        self._camera = Camera(params.view, (width, height))
        self._camera.size = (width + 2 * _MARGIN, height + 2 * _MARGIN)
        self._camera.centre = self._camera.centre + _MARGIN
        self._worker = Worker(params, self._camera)
        self._lit = Tint(params.view)
        self._backdrop = draw_backdrop(params, self._camera)
        self._bench, self._bench_mask = Bench(params, self._camera).draw()
        rows = np.flatnonzero(self._bench_mask.any(axis=1))
        self._bench_rows = slice(int(rows[0]), int(rows[-1]) + 1)
        rng = np.random.default_rng([params.seed, 0x0153])
        self._grain_at = rng.integers(0, 64, (997, 2))
        grain = rng.normal(0, params.view.noise, (height + 64, width + 64, 3))
        self._grain = np.clip(grain, 0, 255).astype(np.uint8), np.clip(-grain, 0, 255).astype(np.uint8)

    def draw(self, still: Still, truth: FrameTruth, shake: NDArray[np.floating], index: int) -> Image:
        """One frame (H, W, 3) BGR. `truth` says where the part and the tool are; `shake` is in pixels; `index` decides
        the sensor's grain."""
        phase, progress = truth.phase, truth.phase_progress
        at_work = phase if truth.status != "off_task" else None  # nobody walks away with the tool
        image = self._backdrop.copy()
        self._worker.draw_body(image, still)
        rows = self._bench_rows
        cv2.copyTo(self._bench[rows], self._bench_mask[rows], image[rows])
        self._standing_part(image, phase, progress)
        self._hook(image)
        if not _tool_in_hand(at_work, progress):
            self._tool(image, self._at(*ch.HANGING_TOOL))

        def held(image: Image, right: NDArray[np.float64], left: NDArray[np.float64]) -> None:
            self._held(image, at_work, progress, right, left)

        self._worker.draw_arms(image, still, held)
        return self._sensor(image, shake, index)

    def _sensor(self, image: Image, shake: NDArray[np.floating], index: int) -> Image:
        width, height = self._params.size
        if np.any(shake):
            shift = np.array([[1, 0, shake[0] - _MARGIN], [0, 1, shake[1] - _MARGIN]])
            out = np.empty((height, width, 3), np.uint8)
            cv2.warpAffine(image, shift, (width, height), dst=out, flags=cv2.INTER_LINEAR)
        else:
            out = np.ascontiguousarray(image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
        x, y = self._grain_at[index % len(self._grain_at)]
        plus, minus = (grain[y : y + height, x : x + width] for grain in self._grain)
        cv2.add(out, plus, dst=out)
        cv2.subtract(out, minus, dst=out)
        return out

    def _at(self, x: float, y: float, z: float) -> NDArray[np.float64]:
        """Fractions of body height → pixel x, y, pixels per metre."""
        return self._camera.project(np.array([x, y, z]) * self._h)

    def _part(self, image: Image, centre: NDArray[np.float64], tilt: float = 0.0) -> None:
        """The product: a housing with a lid, two screws and a label."""
        s = centre[2] * self._h
        cos, sin = np.cos(tilt), np.sin(tilt)
        spin = np.array([[cos, sin], [-sin, cos]])

        def block(x: float, y: float, w: float, h: float, colour: Colour) -> None:
            corners = np.array([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]]) * s
            brush.polygon(image, centre[:2] + corners @ spin, self._lit(colour))

        block(0, 0, 0.0455, 0.0295, (70, 66, 62))
        block(0, 0.002, 0.044, 0.026, (176, 170, 164))
        block(0, -0.018, 0.044, 0.009, (206, 202, 198))
        block(0.004, 0.008, 0.02, 0.009, (60, 140, 230))
        for x in (-0.034, 0.034):
            spot = centre[:2] + (np.array([[x, -0.018]]) * s @ spin)[0]
            brush.ellipse(image, spot, (0.005 * s, 0.005 * s), self._lit((84, 82, 80)))

    def _hook(self, image: Image) -> None:
        """The wire from the ceiling on which the screwdriver hangs."""
        x, y, z = ch.HANGING_TOOL
        wire = np.stack([self._at(x, 1.3, z)[:2], self._at(x, y + 0.06, z)[:2]])
        brush.line(image, wire, self._lit((44, 44, 48)), 2)
        end = self._at(x, y + 0.052, z)
        brush.ellipse(image, end, (0.011 * end[2] * self._h, 0.011 * end[2] * self._h), self._lit((60, 60, 64)))

    def _tool(self, image: Image, grip: NDArray[np.float64]) -> None:
        """A cordless screwdriver; `grip` is where it is (or would be) held."""
        s = grip[2] * self._h
        x, y = float(grip[0]), float(grip[1])
        side = self._params.view.light_side
        brush.limb(
            image, (x, y + 0.03 * s), (x, y + 0.085 * s), 0.0045 * s, 0.0035 * s, self._lit((168, 168, 172)), side
        )
        brush.limb(
            image, (x, y - 0.045 * s), (x, y + 0.03 * s), 0.0155 * s, 0.0135 * s, self._lit((40, 120, 210)), side
        )
        brush.limb(image, (x, y + 0.022 * s), (x, y + 0.036 * s), 0.012 * s, 0.009 * s, self._lit((56, 56, 60)), side)

    def _standing_part(self, image: Image, phase: str | None, progress: float) -> None:
        x, y, z = ch.FIXTURE
        if (phase == "place" and progress > 0.66) or phase == "fasten" or (phase == "inspect" and progress <= 0.29):
            self._part(image, self._at(x, y + 0.045, z + 0.01))
        tx, ty, tz = ch.OUT_TRAY
        if phase != "hand_off" or progress > 0.6:
            self._part(image, self._at(tx + 0.02, ty + 0.0, tz))

    def _held(
        self, image: Image, phase: str | None, progress: float, right: NDArray[np.float64], left: NDArray[np.float64]
    ) -> None:
        if _tool_in_hand(phase, progress):
            self._tool(image, right)
        elif phase == "pick" and progress > 0.46:
            self._part(image, right + (0.01 * right[2] * self._h, 0.012 * right[2] * self._h, 0))
        elif (phase == "place" and progress <= 0.66) or (phase == "inspect" and progress > 0.29):
            self._part(image, (right + left) / 2, float(np.arctan2(right[1] - left[1], left[0] - right[0])))
        elif phase == "hand_off" and progress <= 0.6:
            self._part(image, left + (-0.01 * left[2] * self._h, 0.012 * left[2] * self._h, 0))


def _tool_in_hand(phase: str | None, progress: float) -> bool:
    return phase == "fasten" and 0.18 < progress < 0.88
