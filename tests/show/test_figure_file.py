"""A figure is written in the format of its suffix; a PNG is known again as ours, and nothing else is written over."""

from __future__ import annotations

import os

import pytest
from matplotlib.figure import Figure
from PIL import Image

from minisam.data.figure_mark import is_own_figure
from minisam.errors import OutputError
from minisam.show.figure_file import FIGURE_FORMATS, check_replaceable_figure, plain, save_figure


def figure(text: str = "") -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.text(0.1, 0.5, text)
    return drawn


@pytest.mark.parametrize("suffix", [*FIGURE_FORMATS, ".PNG", ".Jpg"])
def test_the_suffix_in_any_case_chooses_the_format_and_a_png_has_our_mark(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    save_figure(figure(), path, dpi=50)
    kind = FIGURE_FORMATS[suffix.lower()]
    if kind not in ("pdf", "svg"):
        with Image.open(path) as image:
            assert (image.format, image.size) == (kind.upper(), (100, 50))
    else:
        assert path.read_bytes().startswith(b"%PDF" if kind == "pdf" else b"<?xml")
    assert is_own_figure(path) == (kind == "png")


@pytest.mark.parametrize("name", ["a.gif", "png", "a"])
def test_another_suffix_is_refused_and_leaves_nothing(name, tmp_path):
    with pytest.raises(OutputError, match=r"not a figure format; use \.png, \.jpg"):
        save_figure(figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_characters_that_the_font_lacks_are_no_warning(tmp_path):
    save_figure(figure("\u4e2d \U0001f40b"), tmp_path / "a.png")


def test_only_a_figure_of_ours_is_replaced(tmp_path):
    path = tmp_path / "a.png"
    check_replaceable_figure(path)
    save_figure(figure(), path)
    check_replaceable_figure(path)
    Image.new("RGB", (3, 3)).save(path)
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "nowhere.png")
    pipe = tmp_path / "pipe.png"
    if os.name == "posix":
        os.mkfifo(pipe)  # reading it would never end
    else:
        pipe.mkdir()
    for kept in (path, link, pipe):
        with pytest.raises(OutputError, match="was not drawn by minisam and is not replaced"):
            check_replaceable_figure(kept)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a_b", "a_b"), ("_a", " _a"), ("$x$", r"\$x\$"), ("a\nb", "a\\nb"), ("_$", r" _\$")],
)
def test_a_name_is_shown_as_it_is(name, shown):
    assert plain(name) == shown


@pytest.mark.parametrize("name", ["a.png", "\u732b \U0001f40b.png", "a\udcff.png", "a\nb.png"])
def test_the_figure_of_another_image_is_not_replaced(name, tmp_path):
    path = tmp_path / "a_segment.png"
    save_figure(figure(), path, image=name)
    check_replaceable_figure(path, name)
    check_replaceable_figure(path)
    with pytest.raises(OutputError, match=r"is the figure of .*png and is not replaced; choose another name"):
        check_replaceable_figure(path, "a.jpg")
    save_figure(figure(), path)
    check_replaceable_figure(path, "a.jpg")
