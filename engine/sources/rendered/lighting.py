"""What the station's light does: to one colour of the worker, and to a whole picture."""

from __future__ import annotations

import numpy as np

from engine.sources.rendered.brush import Image
from engine.sources.rendered.parameters import Colour, View


class Tint:
    """Brightness and warmth, for one colour at a time: `Tint(view)((30, 60, 200))`."""

    def __init__(self, view: View) -> None:
        self._gains = _gains(view)

    def __call__(self, colour: Colour) -> Colour:
        b, g, r = (min(255, round(c * gain)) for c, gain in zip(colour, self._gains, strict=True))
        return b, g, r


def lit(image: Image, view: View) -> Image:
    """A picture (H, W, 3) under the light: besides its tint, a fall-off away from the light and a vignette."""
    height, width = image.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    fall_off = (1 + 0.1 * view.light_side * x) * (1.03 - 0.07 * (x**2 + y**2))
    return np.clip(image * fall_off[..., None] * np.array(_gains(view), np.float32), 0, 255).astype(np.uint8)


def _gains(view: View) -> tuple[float, float, float]:
    """Factors of blue, green and red."""
    return view.brightness * (1 - 0.12 * view.warmth), view.brightness, view.brightness * (1 + 0.10 * view.warmth)
