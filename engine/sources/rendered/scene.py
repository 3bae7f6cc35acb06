"""A frame from back to front: backdrop, worker's body, bench with bins and tray, arms, what the hands hold, sensor."""

# ruff: noqa: RUF005 — arrays plus tuples add up here, they are not joined
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import brush
from engine.sources.rendered import choreography as ch
from engine.sources.rendered.backdrop import draw_backdrop, light
from engine.sources.rendered.brush import Image, shade
from engine.sources.rendered.kinematics import Camera
from engine.sources.rendered.parameters import Colour, StationParams
from engine.sources.rendered.performance import BENCH_BACK
from engine.sources.rendered.truth import FrameTruth
from engine.sources.rendered.worker import Still, Worker, light_tint

_MARGIN = 12
"""Pixels drawn around the picture, so that a shaking camera finds something there."""
_BENCH_FRONT = 0.37
_WOOD: Colour = (112, 150, 184)
_BINS: tuple[Colour, ...] = ((40, 60, 190), (170, 110, 30), (50, 170, 210), (80, 150, 60))


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
        self._tint = light_tint(params)
        self._backdrop = draw_backdrop(params, self._camera)
        self._bench, self._bench_mask = self._draw_bench()
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

    def _lit(self, colour: Colour) -> Colour:
        b, g, r = (min(255, round(c * t)) for c, t in zip(colour, self._tint, strict=True))
        return b, g, r

    def _quad(self, image: Image, corners: list[tuple[float, float, float]], colour: Colour) -> NDArray[np.float64]:
        points = np.stack([self._at(*corner)[:2] for corner in corners])
        brush.polygon(image, points, colour)
        return points

    def _draw_bench(self) -> tuple[Image, NDArray[np.uint8]]:
        """Bench, bins and tray, drawn twice: in colour, and as a mask."""
        width, height = self._camera.size
        rng = np.random.default_rng([self._params.habit, 0xBE7C])
        colour = np.empty((height, width, 3), np.uint8)
        colour[:] = self._params.view.wall  # what smooth edges blend into
        top, back, front, edge = ch.BENCH, BENCH_BACK, _BENCH_FRONT, 0.03
        surface = [(-1.4, top, back), (1.4, top, back), (1.4, top, front), (-1.4, top, front)]
        face = [(-1.4, top, front), (1.4, top, front), (1.4, -0.6, front), (-1.4, -0.6, front)]
        self._quad(colour, surface, _WOOD)
        for plank in np.linspace(back, front, 7)[1:-1]:
            grain = np.stack([self._at(x, top, plank + rng.normal(0, 0.002))[:2] for x in np.linspace(-1.4, 1.4, 30)])
            brush.line(colour, grain, shade(_WOOD, float(rng.uniform(0.88, 0.95))), 1)
        mat = [(-0.2, top, 0.11), (0.2, top, 0.11), (0.21, top, 0.345), (-0.21, top, 0.345)]
        self._quad(colour, mat, (104, 92, 58))
        self._quad(
            colour, [(-0.19, top, 0.118), (0.19, top, 0.118), (0.2, top, 0.335), (-0.2, top, 0.335)], (122, 108, 70)
        )
        self._quad(colour, face, (92, 88, 84))
        self._quad(colour, [*face[:2], (1.4, top - edge, front), (-1.4, top - edge, front)], shade(_WOOD, 0.72))
        for x in np.arange(-0.9, 0.9, 0.3):
            drawer = [
                (x, top - 0.05, front),
                (x + 0.28, top - 0.05, front),
                (x + 0.28, top - 0.19, front),
                (x, top - 0.19, front),
            ]
            self._quad(colour, drawer, (112, 108, 102))
            self._quad(
                colour,
                [
                    (x + 0.1, top - 0.1, front),
                    (x + 0.18, top - 0.1, front),
                    (x + 0.18, top - 0.115, front),
                    (x + 0.1, top - 0.115, front),
                ],
                (60, 58, 56),
            )
        mask = np.zeros((height, width, 3), np.uint8)
        for target, flat in ((colour, False), (mask, True)):
            if flat:
                self._quad(target, surface, (255, 255, 255))
                self._quad(target, face, (255, 255, 255))
            self._rack(target, flat)
            self._tray(target, flat)
            self._fixture(target, flat)
        texture = rng.normal(0, 3.0, colour.shape[:2])[..., None]
        colour = np.clip(colour + texture, 0, 255).astype(np.uint8)
        return light(colour, self._params, rng), np.ascontiguousarray(
            np.where(mask[..., 0] > 127, 255, 0).astype(np.uint8)
        )

    def _rack(self, image: Image, flat: bool) -> None:
        """Four bins on a rack at the worker's right hand, and two small ones at the left, beside the tray."""

        def paint(colour: Colour) -> Colour:
            return (255, 255, 255) if flat else colour

        for x in (-0.485, -0.265):  # posts
            self._quad(
                image,
                [(x, ch.BENCH, 0.08), (x + 0.012, ch.BENCH, 0.08), (x + 0.012, 0.83, 0.08), (x, 0.83, 0.08)],
                paint((70, 70, 74)),
            )
        for row, y in enumerate((0.70, 0.585)):
            self._quad(
                image,
                [(-0.49, y - 0.062, 0.1), (-0.25, y - 0.062, 0.1), (-0.25, y - 0.052, 0.1), (-0.49, y - 0.052, 0.1)],
                paint((80, 80, 84)),
            )
            for column, x in enumerate((-0.425, -0.315)):
                colour = _BINS[2 * row + column]
                back, front = 0.06, 0.12
                self._quad(
                    image,
                    [
                        (x - 0.05, y + 0.005, back),
                        (x + 0.05, y + 0.005, back),
                        (x + 0.052, y - 0.005, front),
                        (x - 0.052, y - 0.005, front),
                    ],
                    paint(shade(colour, 0.45)),
                )
                if not flat:
                    rng = np.random.default_rng(row * 2 + column)
                    for _ in range(14):
                        spot = self._at(x + rng.uniform(-0.038, 0.038), y + 0.002, rng.uniform(0.068, 0.112))
                        brush.ellipse(
                            image,
                            spot,
                            (0.011 * spot[2] * self._h, 0.006 * spot[2] * self._h),
                            shade((150, 158, 164), float(rng.uniform(0.7, 1.2))),
                        )
                self._quad(
                    image,
                    [
                        (x - 0.052, y - 0.005, front),
                        (x + 0.052, y - 0.005, front),
                        (x + 0.044, y - 0.055, front),
                        (x - 0.044, y - 0.055, front),
                    ],
                    paint(colour),
                )
                self._quad(
                    image,
                    [
                        (x - 0.052, y - 0.005, front),
                        (x + 0.052, y - 0.005, front),
                        (x + 0.05, y - 0.014, front),
                        (x - 0.05, y - 0.014, front),
                    ],
                    paint(shade(colour, 1.25)),
                )
                self._quad(
                    image,
                    [
                        (x - 0.024, y - 0.022, front),
                        (x + 0.024, y - 0.022, front),
                        (x + 0.022, y - 0.042, front),
                        (x - 0.022, y - 0.042, front),
                    ],
                    paint((224, 230, 232)),
                )

    def _tray(self, image: Image, flat: bool) -> None:
        """Where finished products go: a tray on a stand at the worker's left hand."""

        def paint(colour: Colour) -> Colour:
            return (255, 255, 255) if flat else colour

        x, y, z = ch.OUT_TRAY
        low = y - 0.03
        for leg in (-0.085, 0.075):
            self._quad(
                image,
                [
                    (x + leg, ch.BENCH, z + 0.04),
                    (x + leg + 0.01, ch.BENCH, z + 0.04),
                    (x + leg + 0.01, low, z + 0.04),
                    (x + leg, low, z + 0.04),
                ],
                paint((84, 84, 88)),
            )
        self._quad(
            image,
            [
                (x - 0.11, low, z - 0.06),
                (x + 0.11, low, z - 0.06),
                (x + 0.115, low, z + 0.06),
                (x - 0.115, low, z + 0.06),
            ],
            paint((148, 142, 60)),
        )
        self._quad(
            image,
            [
                (x - 0.115, low + 0.004, z + 0.06),
                (x + 0.115, low + 0.004, z + 0.06),
                (x + 0.112, low - 0.03, z + 0.06),
                (x - 0.112, low - 0.03, z + 0.06),
            ],
            paint((164, 150, 40)),
        )
        self._quad(
            image,
            [
                (x - 0.04, low - 0.006, z + 0.061),
                (x + 0.04, low - 0.006, z + 0.061),
                (x + 0.04, low - 0.022, z + 0.061),
                (x - 0.04, low - 0.022, z + 0.061),
            ],
            paint((226, 230, 232)),
        )

    def _fixture(self, image: Image, flat: bool) -> None:
        def paint(colour: Colour) -> Colour:
            return (255, 255, 255) if flat else colour

        x, y, z = ch.FIXTURE
        self._quad(
            image,
            [
                (x - 0.06, y + 0.018, z - 0.03),
                (x + 0.06, y + 0.018, z - 0.03),
                (x + 0.065, y + 0.018, z + 0.035),
                (x - 0.065, y + 0.018, z + 0.035),
            ],
            paint((150, 146, 142)),
        )
        self._quad(
            image,
            [
                (x - 0.065, y + 0.018, z + 0.035),
                (x + 0.065, y + 0.018, z + 0.035),
                (x + 0.065, y - 0.005, z + 0.035),
                (x - 0.065, y - 0.005, z + 0.035),
            ],
            paint((104, 100, 98)),
        )
        for side in (-1, 1):
            self._quad(
                image,
                [
                    (x + side * 0.066, y + 0.045, z),
                    (x + side * 0.05, y + 0.045, z),
                    (x + side * 0.05, y + 0.01, z + 0.01),
                    (x + side * 0.066, y + 0.01, z + 0.01),
                ],
                paint((60, 60, 190)),
            )

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
