"""Fonts for the pictures: phases may be named in any script, and the font that comes with Matplotlib knows few."""

from __future__ import annotations

import warnings
from functools import cache

_LATIN = "DejaVu Sans"
_CHINESE_JAPANESE_KOREAN = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Hiragino Sans", "PingFang SC", "Arial Unicode MS"),
)


@cache
def use_fonts() -> None:
    """Let Matplotlib fall back to what is installed; without such a font a box stands for each character."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    matplotlib.rcParams["font.family"] = [_LATIN, *(name for name in _CHINESE_JAPANESE_KOREAN if name in installed)]
    # The boxes say it; a warning per character, with the name of our source file, would bury what the command says.
    warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
