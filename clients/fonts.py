"""Words in the pictures: phases and files may have any name, in any script, and the font that comes with Matplotlib knows few."""

from __future__ import annotations

import logging
import warnings
from functools import cache

from rich.cells import cell_len, set_cell_size

_LATIN = "DejaVu Sans"
_CHINESE_JAPANESE_KOREAN = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Hiragino Sans", "PingFang SC", "Arial Unicode MS"),
)


@cache
def use_fonts() -> None:
    """Let Matplotlib fall back to what is installed, and take no name for a formula; without such a font a box stands for
    each character."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    matplotlib.rcParams["font.family"] = [_LATIN, *(name for name in _CHINESE_JAPANESE_KOREAN if name in installed)]
    matplotlib.rcParams["text.parse_math"] = False  # "$5 part, $6 part" is not TeX
    # The boxes say it; a warning per character, with the name of our source file, would bury what the command says.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)


def shortened(name: str, longest: int) -> str:
    """A name of at most so many Latin letters' width, of which a Chinese character takes two."""
    return name if cell_len(name) <= longest else set_cell_size(name, longest - 1).rstrip() + "…"
