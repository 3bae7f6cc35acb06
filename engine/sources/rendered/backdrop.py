"""What stands behind the worker, drawn once: a wall with its texture, a window, shelves with boxes, tools, a notice."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import brush
from engine.sources.rendered.brush import Image, shade
from engine.sources.rendered.kinematics import Camera
from engine.sources.rendered.lighting import lit
from engine.sources.rendered.parameters import Colour, StationParams

WALL_Z = -1.5
"""Depth of the wall, metres."""

Wall = Callable[[float, float], NDArray[np.float64]]
"""Metres on the wall (x right, y up) → pixels (2,)."""

_BOXES: tuple[Colour, ...] = (
    (70, 120, 170),
    (150, 120, 60),
    (60, 60, 150),
    (90, 130, 80),
    (120, 150, 180),
    (60, 150, 200),
)


def draw_backdrop(params: StationParams, camera: Camera) -> Image:
    """The wall and what hangs on it, lit; shape (H, W, 3)."""
    rng = np.random.default_rng([params.habit, 0xBAC0])
    width, height = camera.size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = params.view.wall

    def wall(x: float, y: float) -> NDArray[np.float64]:
        return camera.project(np.array([x, y, WALL_Z]))[:2]

    def panel(x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        brush.polygon(image, np.stack([wall(x0, y0), wall(x1, y0), wall(x1, y1), wall(x0, y1)]), colour)

    _surface(params, image, panel, rng)
    panel(-4, -1, 4, 0.55, shade(params.view.wall, 0.62))  # a darker dado and its rail
    panel(-4, 0.55, 4, 0.60, shade(params.view.wall, 0.8))
    left_window = rng.random() < 0.5
    side = -1 if left_window else 1
    _window(image, wall, panel, side * rng.uniform(1.05, 1.25), rng)
    _shelf(image, wall, panel, -side * rng.uniform(0.95, 1.15), rng)
    _pegboard(image, wall, panel, side * 0.12 + rng.uniform(-0.1, 0.1), rng)
    cv2.GaussianBlur(image, (0, 0), 0.9, dst=image)  # the wall is a little out of focus
    return lit(image, params.view)


def _surface(params: StationParams, image: Image, panel: Callable[..., None], rng: np.random.Generator) -> None:
    base = params.view.wall
    if params.view.backdrop == "brick":
        panel(-4, -1, 4, 4, shade(base, 0.78))
        for row in range(48):
            y = -0.1 + row * 0.075
            for column in range(-12, 13):
                x = column * 0.24 + (row % 2) * 0.12
                panel(x, y, x + 0.23, y + 0.066, shade(base, float(rng.uniform(0.86, 1.06))))
    elif params.view.backdrop == "panels":
        for column in range(-4, 5):
            x = column * 0.62 + 0.2
            panel(x, -1, x + 0.6, 4, shade(base, float(rng.uniform(0.94, 1.03))))
            panel(x + 0.6, -1, x + 0.62, 4, shade(base, 0.7))
    # Mottling at two scales: paint is never even, and an even wall looks drawn.
    height, width = image.shape[:2]
    mottle = np.zeros((height, width), np.float32)
    for cells, strength in ((9, 5.0), (60, 3.0)):
        patch = rng.normal(0, strength, (cells, cells)).astype(np.float32)
        mottle += cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC)
    mottle += rng.normal(0, 2.0, mottle.shape).astype(np.float32)
    np.copyto(image, np.clip(image + mottle[..., None], 0, 255).astype(np.uint8))


def _window(image: Image, wall: Wall, panel: Callable[..., None], x: float, rng: np.random.Generator) -> None:
    y0, y1, half = 1.25, 2.2, 0.42
    panel(x - half - 0.05, y0 - 0.05, x + half + 0.05, y1 + 0.05, (214, 218, 220))
    sky = (232, 214, 190)
    for i in range(8):
        panel(x - half, y0 + (y1 - y0) * i / 8, x + half, y0 + (y1 - y0) * (i + 1) / 8, shade(sky, 0.86 + 0.02 * i))
    for tree in range(5):  # a hint of trees outside
        centre = wall(x - half + 0.1 + tree * 0.16, y0 + float(rng.uniform(0.1, 0.22)))
        brush.ellipse(image, centre, (22, 16), (120, int(rng.integers(140, 165)), 118))
    panel(x - half, y0, x + half, y0 + 0.06, (130, 150, 128))
    panel(x - 0.02, y0, x + 0.02, y1, (206, 210, 212))
    panel(x - half, 1.72, x + half, 1.75, (206, 210, 212))
    panel(x - half - 0.09, y0 - 0.1, x + half + 0.09, y0 - 0.05, (188, 192, 196))


def _shelf(image: Image, wall: Wall, panel: Callable[..., None], x: float, rng: np.random.Generator) -> None:
    for y in (1.02, 1.42, 1.82):
        panel(x - 0.5, y - 0.035, x + 0.5, y, (96, 122, 146))
        panel(x - 0.5, y - 0.05, x + 0.5, y - 0.035, (62, 80, 98))
        at = x - 0.48
        while at < x + 0.36:
            width, height = float(rng.uniform(0.1, 0.2)), float(rng.uniform(0.12, 0.28))
            colour = shade(_BOXES[rng.integers(len(_BOXES))], float(rng.uniform(0.8, 1.2)))
            panel(at, y, at + width, y + height, colour)
            panel(at + width * 0.86, y, at + width, y + height, shade(colour, 0.76))
            panel(at + 0.25 * width, y + 0.35 * height, at + 0.65 * width, y + 0.6 * height, (206, 214, 218))
            at += width + float(rng.uniform(0.01, 0.06))
    panel(x - 0.53, 0.6, x - 0.5, 2.15, (86, 84, 82))
    panel(x + 0.5, 0.6, x + 0.53, 2.15, (86, 84, 82))


def _pegboard(image: Image, wall: Wall, panel: Callable[..., None], x: float, rng: np.random.Generator) -> None:
    panel(x - 0.5, 1.15, x + 0.5, 1.95, (150, 172, 188))
    panel(x - 0.47, 1.18, x + 0.47, 1.92, (164, 186, 202))
    for i in range(16):
        for j in range(12):
            brush.ellipse(image, wall(x - 0.45 + 0.06 * i, 1.21 + 0.06 * j), (1.0, 1.0), (112, 130, 144))
    for place in np.linspace(-0.4, 0.4, 7):  # spanners and screwdrivers
        top, length = 1.86, float(rng.uniform(0.16, 0.3))
        a, b = wall(x + place, top), wall(x + place, top - length)
        handle = shade(_BOXES[rng.integers(len(_BOXES))], 0.9)
        brush.limb(image, a, a + 0.4 * (b - a), 5, 4, handle, -1)
        brush.limb(image, a + 0.4 * (b - a), b, 2.2, 2.2, (150, 150, 154), -1)
