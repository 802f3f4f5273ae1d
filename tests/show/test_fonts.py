"""Chinese names and classes are written in figures, where the machine has a font for them."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import image as reader
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from minisam.show import fonts
from minisam.show.figure_file import save_figure


def figure_with(*words: str) -> Figure:
    figure = Figure(figsize=(3, 1))
    for place, text in enumerate(words):
        figure.text(0.1, 0.2 + 0.4 * place, text)
    return figure


def test_only_other_than_ascii_gets_the_first_font_that_is_there(monkeypatch):
    there = [SimpleNamespace(name=name) for name in ("SimHei", "DejaVu Sans", "Microsoft YaHei")]
    monkeypatch.setattr(fonts, "fontManager", SimpleNamespace(ttflist=there))
    figure = figure_with("cat 0.93", "图书馆 0.50")
    ascii_text, chinese = figure.texts
    before = ascii_text.get_fontfamily()
    fonts.add_fonts(figure)
    assert ascii_text.get_fontfamily() == before
    assert chinese.get_fontfamily() == [*before, "Microsoft YaHei"]


def test_without_such_a_font_nothing_changes(monkeypatch):
    monkeypatch.setattr(fonts, "fontManager", SimpleNamespace(ttflist=[]))
    figure = figure_with("图书馆")
    before = figure.texts[0].get_fontfamily()
    fonts.add_fonts(figure)
    assert figure.texts[0].get_fontfamily() == before


@pytest.mark.skipif(
    not {font.name for font in fontManager.ttflist} & set(fonts.FONTS),
    reason="no font with Chinese characters: install one, such as Debian's fonts-noto-cjk",
)
def test_different_characters_look_different(tmp_path):
    """Those that a font lacks are all one box."""
    pixels = []
    for text in ("猫", "狗"):
        save_figure(figure_with(text), tmp_path / "figure.png")
        pixels.append(reader.imread(io.BytesIO((tmp_path / "figure.png").read_bytes())))
    assert not np.array_equal(*pixels)
