"""Characters that matplotlib's own font lacks, such as Chinese, in a font that this machine has."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # of a file with several fonts, some versions of matplotlib find the first alone: this one
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Arial Unicode MS",
)


def add_fonts(figure: Figure) -> None:
    """Let texts that are not ASCII use the first of `FONTS` that is installed, for what their own font lacks."""
    installed = {font.name for font in fontManager.ttflist}
    found = [name for name in FONTS if name in installed][:1]
    for text in figure.findobj(Text):
        if found and isinstance(text, Text) and not text.get_text().isascii():
            text.set_fontfamily([*text.get_fontfamily(), *found])
