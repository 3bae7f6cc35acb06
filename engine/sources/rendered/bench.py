"""The bench in front of the worker, with a rack of bins, a mat, the fixture and the tray for what is finished."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.sources.rendered import brush
from engine.sources.rendered import choreography as ch
from engine.sources.rendered.brush import Image, shade
from engine.sources.rendered.kinematics import Camera
from engine.sources.rendered.lighting import lit
from engine.sources.rendered.parameters import Colour, StationParams
from engine.sources.rendered.performance import BENCH_BACK

_FRONT = 0.37
"""Depth of the near edge, fraction of body height."""
_WOOD: Colour = (112, 150, 184)
_STEEL: Colour = (78, 78, 82)
_LABEL: Colour = (224, 230, 232)
_BINS: tuple[Colour, ...] = ((40, 60, 190), (170, 110, 30), (50, 170, 210), (80, 150, 60))


class Bench:
    """Drawn once: `draw` gives the picture and where it covers the worker. Lengths are fractions of body height."""

    def __init__(self, params: StationParams, camera: Camera) -> None:
        self._params, self._camera = params, camera
        self._h = params.body.height_m
        width, height = camera.size
        self._colour = np.empty((height, width, 3), np.uint8)
        self._colour[:] = params.view.wall  # what smooth edges blend into
        self._cover = np.zeros((height, width, 3), np.uint8)
        self._rng = np.random.default_rng([params.habit, 0xBE7C])

    def draw(self) -> tuple[Image, NDArray[np.uint8]]:
        """The lit picture (H, W, 3), and a mask (H, W): 255 where it hides what is behind."""
        self._table()
        self._rack()
        self._tray()
        self._fixture()
        texture = self._rng.normal(0, 3.0, self._colour.shape[:2])[..., None]
        textured = np.clip(self._colour + texture, 0, 255).astype(np.uint8)
        mask = np.where(self._cover[..., 0] > 127, 255, 0).astype(np.uint8)
        return lit(textured, self._params.view), np.ascontiguousarray(mask)

    def _at(self, x: float, y: float, z: float) -> NDArray[np.float64]:
        return self._camera.project(np.array([x, y, z]) * self._h)

    def _fill(self, corners: list[tuple[float, float, float]], colour: Colour) -> None:
        points = np.stack([self._at(*corner)[:2] for corner in corners])
        brush.polygon(self._colour, points, colour)
        brush.polygon(self._cover, points, (255, 255, 255))

    def _level(self, x: float, y: float, back: tuple[float, float], front: tuple[float, float], colour: Colour) -> None:
        """A horizontal face around x; `back` and `front` are (half-width, depth)."""
        (wide_back, z_back), (wide_front, z_front) = back, front
        self._fill(
            [
                (x - wide_back, y, z_back),
                (x + wide_back, y, z_back),
                (x + wide_front, y, z_front),
                (x - wide_front, y, z_front),
            ],
            colour,
        )

    def _upright(self, x: float, z: float, top: tuple[float, float], low: tuple[float, float], colour: Colour) -> None:
        """A face towards the camera around x; `top` and `low` are (half-width, height)."""
        (wide_top, y_top), (wide_low, y_low) = top, low
        self._fill(
            [(x - wide_top, y_top, z), (x + wide_top, y_top, z), (x + wide_low, y_low, z), (x - wide_low, y_low, z)],
            colour,
        )

    def _table(self) -> None:
        y, wide = ch.BENCH, 1.4
        self._level(0, y, (wide, BENCH_BACK), (wide, _FRONT), _WOOD)
        for plank in np.linspace(BENCH_BACK, _FRONT, 7)[1:-1]:
            places = [(x, plank + self._rng.normal(0, 0.002)) for x in np.linspace(-wide, wide, 30)]
            joint = np.stack([self._at(x, y, z)[:2] for x, z in places])
            brush.line(self._colour, joint, shade(_WOOD, float(self._rng.uniform(0.88, 0.95))), 1)
        self._level(0, y, (0.2, 0.11), (0.21, 0.345), (104, 92, 58))
        self._level(0, y, (0.19, 0.118), (0.2, 0.335), (122, 108, 70))
        self._upright(0, _FRONT, (wide, y), (wide, -0.6), (92, 88, 84))
        self._upright(0, _FRONT, (wide, y), (wide, y - 0.03), shade(_WOOD, 0.72))
        for x in np.arange(-0.76, 0.9, 0.3):  # drawers and their handles
            self._upright(x, _FRONT, (0.14, y - 0.05), (0.14, y - 0.19), (112, 108, 102))
            self._upright(x, _FRONT, (0.04, y - 0.1), (0.04, y - 0.115), (60, 58, 56))

    def _rack(self) -> None:
        """Four bins at the worker's right hand."""
        for x in (-0.479, -0.259):
            self._upright(x, 0.08, (0.006, 0.83), (0.006, ch.BENCH), _STEEL)
        for row, y in enumerate((0.70, 0.585)):
            self._upright(-0.37, 0.1, (0.12, y - 0.052), (0.12, y - 0.062), _STEEL)
            for column, x in enumerate((-0.425, -0.315)):
                self._bin(x, y, _BINS[2 * row + column])

    def _bin(self, x: float, y: float, colour: Colour) -> None:
        back, front = 0.06, 0.12
        self._level(x, y, (0.05, back), (0.052, front), shade(colour, 0.45))
        for _ in range(14):  # the parts in it
            spot = self._at(x + self._rng.uniform(-0.038, 0.038), y + 0.002, self._rng.uniform(0.068, 0.112))
            size = spot[2] * self._h
            tone = shade((150, 158, 164), float(self._rng.uniform(0.7, 1.2)))
            brush.ellipse(self._colour, spot, (0.011 * size, 0.006 * size), tone)
            brush.ellipse(self._cover, spot, (0.011 * size, 0.006 * size), (255, 255, 255))
        self._upright(x, front, (0.052, y - 0.005), (0.044, y - 0.055), colour)
        self._upright(x, front, (0.052, y - 0.005), (0.05, y - 0.014), shade(colour, 1.25))
        self._upright(x, front, (0.024, y - 0.022), (0.022, y - 0.042), _LABEL)

    def _tray(self) -> None:
        """On a stand at the worker's left hand."""
        x, y, z = ch.OUT_TRAY
        low = y - 0.03
        for leg in (-0.08, 0.08):
            self._upright(x + leg, z + 0.04, (0.005, low), (0.005, ch.BENCH), _STEEL)
        self._level(x, low, (0.11, z - 0.06), (0.115, z + 0.06), (148, 142, 60))
        self._upright(x, z + 0.06, (0.115, low + 0.004), (0.112, low - 0.03), (164, 150, 40))
        self._upright(x, z + 0.061, (0.04, low - 0.006), (0.04, low - 0.022), _LABEL)

    def _fixture(self) -> None:
        x, y, z = ch.FIXTURE
        self._level(x, y + 0.018, (0.06, z - 0.03), (0.065, z + 0.035), (150, 146, 142))
        self._upright(x, z + 0.035, (0.065, y + 0.018), (0.065, y - 0.005), (104, 100, 98))
        for side in (-1, 1):
            self._upright(x + side * 0.058, z, (0.008, y + 0.045), (0.008, y + 0.01), (60, 60, 190))
