"""The worker's head: neck, skull, ears, face and hair, on an ellipsoid that turns and nods.

Pose estimators find people by their faces: eyes with whites, brows, nose, mouth and ears are what they need.
"""

# ruff: noqa: RUF005 — arrays plus tuples add up here, they are not joined
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import brush
from engine.sources.rendered import kinematics as kin
from engine.sources.rendered.brush import Image, shade
from engine.sources.rendered.kinematics import Still
from engine.sources.rendered.lighting import Tint
from engine.sources.rendered.parameters import Colour, StationParams

Array = NDArray[np.float64]

_HEAD_WIDTH, _HEAD_HEIGHT, _HEAD_DEPTH = 0.047, 0.067, 0.058
"""Half-axes as fractions of body height."""


class Head:
    """Draws one worker's head, whose looks and camera do not change."""

    def __init__(self, params: StationParams, camera: kin.Camera) -> None:
        self._look, self._camera = params.look, camera
        self._h = params.body.height_m
        self._light = params.view.light_side
        self._lit = Tint(params.view)

    def draw_neck(self, image: Image, still: Still) -> None:
        """The neck, and long hair behind it."""
        ears, h = still.joints[kin.HEAD], self._h
        base = still.joints[[kin.L_SHOULDER, kin.R_SHOULDER]].mean(0) + still.torso @ np.array([0, 0.005, 0.0]) * h
        low, top = (
            self._camera.project(base),
            self._camera.project(ears + still.head @ np.array([0, -0.03, -0.004]) * h),
        )
        s = top[2] * h
        if self._look.long_hair:
            hair = self._lit(self._look.hair)
            crown = ears + still.head @ np.array([0, 0.015, -0.02]) * h
            nape = self._camera.project(ears + still.head @ np.array([0, -0.075, -0.03]) * h)
            brush.limb(image, self._camera.project(crown), nape, 0.056 * s, 0.05 * s, shade(hair, 0.8), self._light)
        brush.limb(image, low, top, 0.036 * s, 0.030 * s, shade(self._lit(self._look.skin), 0.82), self._light)

    def draw(self, image: Image, still: Still) -> None:
        """Ears, skull, face if it is turned our way, hair or cap."""
        look, h = self._look, self._h
        skin, hair = self._lit(look.skin), self._lit(look.hair)
        ears = still.joints[kin.HEAD]
        axes = still.head

        def at(x: float, y: float, z: float) -> Array:
            return self._camera.project(ears + axes @ (np.array([x, y, z]) * h))

        centre = at(0, 0.006, 0.008)
        s = centre[2] * h
        facing, turned = float(axes[2, 2]), float(axes[0, 2])
        tilt = float(np.degrees(np.arctan2(-axes[1, 0], axes[0, 0] if abs(axes[0, 0]) > 0.2 else 1.0)))
        width = np.hypot(_HEAD_WIDTH * facing, _HEAD_DEPTH * turned) * s
        for sign in (-1, 1):
            ear = at(sign * _HEAD_WIDTH * 1.02, -0.002, 0)
            if sign * turned < 0.45:
                brush.ellipse(image, ear, (0.0085 * s, 0.0165 * s), shade(skin, 0.72))
                brush.ellipse(image, ear + (-sign * 0.001 * s, 0, 0), (0.0062 * s, 0.0135 * s), shade(skin, 0.92))
        brush.ellipse(image, centre, (width, _HEAD_HEIGHT * s), shade(skin, 0.68), tilt)
        side = self._light
        brush.ellipse(
            image,
            centre + (side * 0.0025 * s, -0.001 * s, 0),
            (0.95 * width, 0.97 * _HEAD_HEIGHT * s),
            shade(skin, 0.9),
            tilt,
        )
        brush.ellipse(
            image, centre + (side * 0.008 * s, -0.002 * s, 0), (0.78 * width, 0.88 * _HEAD_HEIGHT * s), skin, tilt
        )
        brush.ellipse(
            image,
            centre + (side * 0.014 * s, -0.02 * s, 0),
            (0.42 * width, 0.38 * _HEAD_HEIGHT * s),
            shade(skin, 1.06),
            tilt,
        )
        if facing > 0.1:
            self._face(image, at, s, facing, turned, skin, hair)
        self._hair(image, at, s, width, facing, turned, tilt, hair)

    def _face(
        self,
        image: Image,
        at: Callable[[float, float, float], Array],
        s: float,
        facing: float,
        turned: float,
        skin: Colour,
        hair: Colour,
    ) -> None:
        squeeze = max(0.35, facing)
        for sign in (-1, 1):
            if sign * turned < -0.75:
                continue  # the far eye of a profile
            eye = at(sign * 0.0185, 0.008, 0.047)
            brush.ellipse(image, eye + (0, -0.001 * s, 0), (0.0125 * s * squeeze, 0.0085 * s), shade(skin, 0.8))
            brush.ellipse(image, eye, (0.0098 * s * squeeze, 0.0052 * s), self._lit((236, 238, 240)))
            brush.ellipse(
                image, eye + (turned * 0.003 * s, 0.0005 * s, 0), (0.0047 * s * squeeze, 0.0049 * s), (44, 58, 78)
            )
            brush.ellipse(image, eye + (turned * 0.003 * s, 0.0005 * s, 0), (0.0023 * s, 0.0025 * s), (14, 14, 18))
            lid = np.stack(
                [
                    (eye + np.array(d) * s)[:2]
                    for d in ((-0.0105 * squeeze, -0.001, 0), (0, -0.0062, 0), (0.0105 * squeeze, -0.001, 0))
                ]
            )
            brush.line(image, lid, shade(skin, 0.42), 0.0028 * s)
            brow = np.stack(
                [at(sign * x, y, 0.049)[:2] for x, y in ((0.0085, 0.0235), (0.019, 0.0265), (0.0295, 0.0225))]
            )
            brush.line(image, brow, shade(hair, 0.9), 0.005 * s)
        tip, bridge = at(0, -0.012, 0.066), at(0, 0.008, 0.053)
        shadow = np.stack([bridge[:2], (tip + (-self._light * 0.009 * s, 0.001 * s, 0))[:2], tip[:2]])
        brush.polygon(image, shadow, shade(skin, 0.8))
        brush.ellipse(image, tip, (0.0085 * s, 0.006 * s), shade(skin, 0.93))
        brush.ellipse(image, tip + (self._light * 0.002 * s, -0.002 * s, 0), (0.0035 * s, 0.003 * s), shade(skin, 1.12))
        for sign in (-1, 1):
            brush.ellipse(image, tip + (sign * 0.0045 * s, 0.0045 * s, 0), (0.0022 * s, 0.0013 * s), shade(skin, 0.45))
        lips = (round(0.55 * skin[0]), round(0.55 * skin[1]), round(0.85 * skin[2]))
        mouth = at(0, -0.0315, 0.05)
        brush.ellipse(image, mouth, (0.0155 * s * squeeze, 0.0048 * s), lips)
        corner = np.stack([at(x, y, 0.05)[:2] for x, y in ((-0.0165, -0.0285), (0, -0.0325), (0.0165, -0.0285))])
        brush.line(image, corner, shade(lips, 0.55), 0.002 * s)
        brush.ellipse(image, at(0, -0.042, 0.047), (0.009 * s * squeeze, 0.0022 * s), shade(skin, 0.85))
        if self._look.glasses:
            frame = (48, 44, 44)
            for sign in (-1, 1):
                centre = at(sign * 0.019, 0.008, 0.052)
                ring = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 17)]) * (
                    0.0145 * s * squeeze,
                    0.0115 * s,
                )
                brush.line(image, centre[:2] + ring, frame, 0.0026 * s)
            brush.line(image, np.stack([at(x, 0.011, 0.056)[:2] for x in (-0.005, 0.005)]), frame, 0.0026 * s)

    def _hair(
        self,
        image: Image,
        at: Callable[[float, float, float], Array],
        s: float,
        width: float,
        facing: float,
        turned: float,
        tilt: float,
        hair: Colour,
    ) -> None:
        """Hair or a cap: the crown, with a hairline over the forehead in front and down to the neck behind."""
        cap = self._look.cap
        colour = self._lit(cap) if cap is not None else hair
        crown = at(0, 0.006, 0.006)
        if facing < -0.1:  # from behind the whole head is hair
            brush.ellipse(
                image, crown + (0, -0.006 * s, 0), (1.04 * width, 1.0 * _HEAD_HEIGHT * s), shade(hair, 0.85), tilt
            )
            brush.ellipse(
                image,
                crown + (self._light * 0.012 * s, -0.02 * s, 0),
                (0.6 * width, 0.6 * _HEAD_HEIGHT * s),
                shade(hair, 1.15),
                tilt,
            )
        top = np.linspace(np.pi, 2 * np.pi, 15)
        volume = 1.12 if cap is None else 1.08
        outline = np.stack([volume * width * np.cos(top), (volume + 0.02) * _HEAD_HEIGHT * s * np.sin(top)], -1)
        angle = np.radians(tilt)
        spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        line = 0.46
        drop = 0.10 if facing > 0 else 0.6
        # The hairline, from the picture's right temple to the left one; it turns with the face.
        lower = np.array(
            [(volume, 0.02), (1.04, drop), (0.93, drop), (0.86, -0.3 * line), (0.76 + 0.2 * turned, -0.8 * line),
             (0.4 + 0.45 * turned, -1.18 * line), (-0.1 + 0.5 * turned, -1.25 * line), (-0.5 + 0.45 * turned, -1.1 * line),
             (-0.78 + 0.2 * turned, -0.75 * line), (-0.86, -0.3 * line), (-0.93, drop), (-1.04, drop), (-volume, 0.02)]
        ) * (width, _HEAD_HEIGHT * s)  # fmt: skip
        brush.polygon(image, crown[:2] + np.concatenate([outline, lower]) @ spin.T, shade(colour, 0.8))
        # Two lighter bands follow the crown on the side of the light.
        for radius, spread, tone in ((0.93, 0.62, 0.98), (0.9, 0.36, 1.2)):
            arc = -np.pi / 2 + 0.45 * self._light + np.linspace(-spread, spread, 9)
            band = np.stack([radius * width * np.cos(arc), radius * 1.08 * _HEAD_HEIGHT * s * np.sin(arc)], -1)
            brush.line(image, crown[:2] + band @ spin.T, shade(colour, tone), (0.2 if tone < 1 else 0.07) * width)
        if cap is not None and facing > 0.1:
            peak = np.stack(
                [
                    at(x, y, z)[:2]
                    for x, y, z in (
                        (-0.042, 0.050, 0.025),
                        (-0.032, 0.042, 0.062),
                        (0, 0.042, 0.072),
                        (0.032, 0.042, 0.062),
                        (0.042, 0.050, 0.025),
                        (0, 0.060, 0.04),
                    )
                ]
            )
            brush.polygon(image, peak, shade(colour, 0.7))
