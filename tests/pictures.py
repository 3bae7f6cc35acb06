"""What a figure says, and whether all of it is to be seen."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text)}


def cut_off(figure: Figure) -> list[str]:
    """Everything written that does not lie within the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    written = [(text.get_text(), text.get_window_extent()) for text in figure.findobj(Text) if text.get_visible()]
    return [
        words
        for words, box in written
        if words and not (0 <= box.x0 <= box.x1 <= width and 0 <= box.y0 <= box.y1 <= height)
    ]
