"""The worker in pixels: legs, torso, head, arms and what they hold, drawn back to front from a figure's joints."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import brush
from engine.sources.rendered import kinematics as kin
from engine.sources.rendered.brush import Image, shade
from engine.sources.rendered.head import Head
from engine.sources.rendered.kinematics import Still
from engine.sources.rendered.lighting import Tint
from engine.sources.rendered.parameters import StationParams

Array = NDArray[np.float64]

# Half-widths and half-depths of the torso at heights from hip (0) to shoulder (1), as fractions of body height.
_TORSO = (
    (-0.14, 0.092, 0.066),
    (0.0, 0.094, 0.066),
    (0.16, 0.088, 0.060),
    (0.36, 0.083, 0.056),
    (0.62, 0.098, 0.064),
    (0.82, 0.112, 0.062),
    (0.95, 0.110, 0.054),
    (1.04, 0.076, 0.044),
    (1.10, 0.036, 0.036),
)


Held = Callable[[Image, Array, Array], None]
"""Draws what the hands hold, given the right and the left hand's pixel x, y, pixels per metre."""


class Worker:
    """Draws one worker, whose clothes and camera do not change."""

    def __init__(self, params: StationParams, camera: kin.Camera) -> None:
        self._look, self._body, self._camera = params.look, params.body, camera
        self._h = params.body.height_m
        self._light = params.view.light_side
        self._lit = Tint(params.view)
        self._head = Head(params, camera)

    def draw_body(self, image: Image, still: Still) -> None:
        """Everything that stands behind the bench: legs, arms behind the torso, torso and head."""
        pixels = self._camera.project(still.joints)
        self._legs(image, pixels)
        for side in self._order(still):
            if self._behind(still, side):
                self._arm(image, still, pixels, side)
        self._head.draw_neck(image, still)
        self._torso(image, still, float(still.torso[2, 2]))
        self._head.draw(image, still)

    def draw_arms(self, image: Image, still: Still, held: Held | None) -> None:
        """The arms in front of the torso, over the bench, and what the hands hold."""
        pixels = self._camera.project(still.joints)
        front = [side for side in self._order(still) if not self._behind(still, side)]
        for side in front:
            self._arm(image, still, pixels, side, hand=False)
        if held is not None and len(front) == 2:
            held(image, self._palm(still, -1), self._palm(still, 1))
        for side in front:
            self._hand(image, still, side)

    def _order(self, still: Still) -> list[int]:
        """Sides from the farther to the nearer arm: -1 the worker's right, 1 the left."""
        depth = {1: still.joints[kin.L_ELBOW, 2], -1: still.joints[kin.R_ELBOW, 2]}
        return sorted(depth, key=lambda side: depth[side])

    def _behind(self, still: Still, side: int) -> bool:
        elbow, wrist = (kin.L_ELBOW, kin.L_WRIST) if side > 0 else (kin.R_ELBOW, kin.R_WRIST)
        chest = still.joints[[kin.L_SHOULDER, kin.R_SHOULDER], 2].mean()
        return bool(still.joints[[elbow, wrist], 2].mean() < chest - 0.01 * self._h)

    def _palm(self, still: Still, side: int) -> Array:
        """Pixel x, y, pixels per metre of the middle of the palm."""
        elbow, wrist = (kin.L_ELBOW, kin.L_WRIST) if side > 0 else (kin.R_ELBOW, kin.R_WRIST)
        along = still.joints[wrist] - still.joints[elbow]
        along /= max(float(np.linalg.norm(along)), 1e-6)
        along = along + np.array([-0.35 * side, -0.25, 0.3])
        along /= np.linalg.norm(along)
        return self._camera.project(still.joints[wrist] + 0.052 * self._h * along)

    def _legs(self, image: Image, pixels: Array) -> None:
        colour = self._lit(self._look.trousers)
        size = self._h * self._body.build
        for hip, knee, ankle in ((kin.L_HIP, kin.L_KNEE, kin.L_ANKLE), (kin.R_HIP, kin.R_KNEE, kin.R_ANKLE)):
            s = pixels[hip, 2] * size
            brush.limb(image, pixels[knee], pixels[ankle], 0.034 * s, 0.026 * s, colour, self._light)
            brush.limb(image, pixels[hip], pixels[knee], 0.052 * s, 0.036 * s, colour, self._light)

    def _contour(self, still: Still, grow: float = 1.0) -> tuple[Array, Array]:
        """Left and right outline of the torso in the picture, bottom to top (9, 2) each."""
        top = still.joints[[kin.L_SHOULDER, kin.R_SHOULDER]].mean(0)
        bottom = still.joints[[kin.L_HIP, kin.R_HIP]].mean(0)
        rows = np.array(_TORSO)
        centres = bottom + rows[:, :1] * (top - bottom)
        across, forward = still.torso[:, 0], still.torso[:, 2]
        shoulders = 1 + (self._body.shoulders - 1) * np.clip(rows[:, 0], 0, 1)
        width = rows[:, 1] * self._h * shoulders * (0.55 + 0.45 * self._body.build)
        depth = rows[:, 2] * self._h * self._body.build
        half = np.hypot(width * across[0], depth * forward[0]) * grow
        pixels = self._camera.project(centres)
        reach = half * pixels[:, 2]
        tilt = np.array([np.hypot(across[0], across[2]), -across[1] * np.sign(across[0] or 1)])
        return pixels[:, :2] - reach[:, None] * tilt, pixels[:, :2] + reach[:, None] * tilt

    def _torso(self, image: Image, still: Still, facing: float) -> None:
        shirt = self._lit(self._look.shirt)
        left, right = self._contour(still)
        middle = (left + right) / 2

        def band(a: float, b: float, rows: slice = slice(None)) -> Array:
            """The part of the torso from fraction a to b of its width, -1 left edge, 1 right edge."""
            half = (right - left) / 2
            return np.concatenate([(middle + a * half)[rows], (middle + b * half)[rows][::-1]])

        brush.polygon(image, band(-1.02, 1.02), shade(shirt, 0.55))
        lit, dark = (-1, 1) if self._light < 0 else (1, -1)
        brush.polygon(image, band(lit * 0.97, dark * 0.93), shade(shirt, 0.8))
        brush.polygon(image, band(lit * 0.93, dark * 0.68), shade(shirt, 0.92))
        brush.polygon(image, band(lit * 0.86, dark * 0.30), shade(shirt, 1.0))
        brush.polygon(image, band(lit * 0.66, lit * 0.12, slice(2, 7)), shade(shirt, 1.07))
        width = float(np.hypot(*(right[5] - left[5]))) / 2
        # Folds: creases from the armpits and at the waist.
        for fraction, row, to, row_to in (
            (-0.72, 5, -0.35, 4),
            (0.72, 5, 0.35, 4),
            (-0.9, 3, -0.45, 2),
            (0.85, 3, 0.5, 2),
        ):
            half_a, half_b = (right[row] - left[row]) / 2, (right[row_to] - left[row_to]) / 2
            crease = np.stack([middle[row] + fraction * half_a, middle[row_to] + to * half_b])
            brush.line(image, crease, shade(shirt, 0.74), 0.03 * width)
        if facing <= 0.15:
            return
        chest = float(still.torso[0, 2])  # where the middle of the front has turned to
        front = middle + (chest * 0.8) * (right - left) / 2
        collar = self._lit(self._look.skin)
        neck = np.array([front[8] + (-0.24 * width, 0), front[8] + (0.24 * width, 0), front[6] + (0, -0.06 * width)])
        brush.polygon(image, neck, shade(collar, 0.8))
        for sign in (-1, 1):
            flap = np.array(
                [
                    front[8] + (sign * 0.2 * width, -0.03 * width),
                    front[8] + (sign * 0.42 * width, 0.06 * width),
                    front[6] + (sign * 0.26 * width, 0.1 * width),
                    front[6] + (0, -0.04 * width),
                ]
            )
            brush.polygon(image, flap, shade(shirt, 1.16 if sign == lit else 0.88))
        brush.line(image, front[1:7], shade(shirt, 0.68), 0.02 * width)
        for row in (5, 4, 3):
            brush.ellipse(image, front[row] + (0.05 * width, 0), (0.025 * width, 0.025 * width), shade(shirt, 1.35))
        if self._look.apron is not None:
            self._apron(image, front, width, lit)
        else:
            pocket = front[5] + np.array([0.45 * width, 0.12 * width])
            shape = np.array([[-0.2, -0.16], [0.2, -0.16], [0.2, 0.18], [0, 0.26], [-0.2, 0.18]]) * width
            brush.polygon(image, pocket + shape, shade(shirt, 0.86))
            brush.polygon(
                image,
                pocket + shape[:2].repeat(2, 0) + np.array([[0, 0], [0, 7], [0, 7], [0, 0]]) * width / 60,
                shade(shirt, 0.72),
            )

    def _apron(self, image: Image, front: Array, width: float, lit: int) -> None:
        assert self._look.apron is not None
        apron = self._lit(self._look.apron)
        bib = np.concatenate(
            [
                front[[0, 1, 2, 3, 4, 5]]
                + np.array([[-0.78, 0], [-0.78, 0], [-0.74, 0], [-0.62, 0], [-0.5, 0], [-0.42, 0]]) * width,
                (
                    front[[0, 1, 2, 3, 4, 5]]
                    + np.array([[0.78, 0], [0.78, 0], [0.74, 0], [0.62, 0], [0.5, 0], [0.42, 0]]) * width
                )[::-1],
            ]
        )
        brush.polygon(image, bib, shade(apron, 0.95))
        for sign in (-1, 1):
            strap = np.stack([front[5] + (sign * 0.38 * width, 0), front[8] + (sign * 0.34 * width, 0.05 * width)])
            brush.line(image, strap, shade(apron, 1.1 if sign == lit else 0.8), 0.09 * width)
        brush.line(image, front[[2, 2]] + np.array([[-0.5, 0], [0.5, 0]]) * width, shade(apron, 0.75), 0.03 * width)

    def _arm(self, image: Image, still: Still, pixels: Array, side: int, hand: bool = True) -> None:
        shoulder, elbow, wrist = (
            (kin.L_SHOULDER, kin.L_ELBOW, kin.L_WRIST) if side > 0 else (kin.R_SHOULDER, kin.R_ELBOW, kin.R_WRIST)
        )
        a, b, c = pixels[shoulder], pixels[elbow], pixels[wrist]
        size = self._h * (0.5 + 0.5 * self._body.build)
        shirt, skin = self._lit(self._look.shirt), self._lit(self._look.skin)
        lower = shirt if self._look.long_sleeves else skin
        slim = 1.0 if self._look.long_sleeves else 0.86
        brush.limb(image, b, c, 0.0265 * slim * size * b[2], 0.0185 * slim * size * c[2], lower, self._light)
        brush.limb(image, a, b, 0.035 * size * a[2], 0.0275 * size * b[2], shirt, self._light)
        along = c[:2] - b[:2]
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
        if self._look.long_sleeves:
            cuff = np.stack([b[:2] + 0.93 * along + t * across * 0.022 * size * c[2] for t in (-1, 1)])
            brush.line(image, cuff, shade(shirt, 0.7), 0.008 * size * c[2])
        else:
            hem = np.stack([a[:2] + 0.9 * (b - a)[:2] + t * _across(a, b) * 0.03 * size * b[2] for t in (-1, 1)])
            brush.line(image, hem, shade(shirt, 0.65), 0.006 * size * b[2])
        if hand:
            self._hand(image, still, side)

    def _hand(self, image: Image, still: Still, side: int) -> None:
        wrist = self._camera.project(still.joints[kin.L_WRIST if side > 0 else kin.R_WRIST])
        palm = self._palm(still, side)
        s = palm[2] * self._h
        colour = self._lit(self._look.gloves or self._look.skin)
        along = palm[:2] - wrist[:2]
        length = max(float(np.hypot(*along)), 1e-6)
        along = along / length
        across = np.array([-along[1], along[0]])
        inward = across if across[0] * side < 0 else -across
        # Thumb, palm, and four fingers curled a little: short strokes side by side.
        brush.limb(
            image,
            wrist[:2] + 0.5 * length * along + 0.012 * s * inward,
            palm[:2] + 0.028 * s * inward + 0.006 * s * along,
            0.0095 * s,
            0.0075 * s,
            colour,
            self._light,
        )
        brush.limb(image, wrist[:2] + 0.15 * length * along, palm[:2], 0.0175 * s, 0.0205 * s, colour, self._light)
        for place in (-0.0135, -0.0045, 0.0045, 0.0135):
            knuckle = palm[:2] + place * s * across + 0.010 * s * along
            tip = knuckle + along * s * (0.026 - 9 * abs(place) * 0.045) + inward * 0.004 * s
            brush.capsule(image, knuckle, tip, 0.0062 * s, 0.0053 * s, shade(colour, 0.72))
            brush.capsule(image, knuckle, tip, 0.0046 * s, 0.0041 * s, shade(colour, 1.02))


def _across(a: Array, b: Array) -> Array:
    along = (b - a)[:2]
    return np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
