"""Figures with a slider: what the HTML contains, and what it does in Chromium."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from minisam import show
from minisam.show.few_colours import few_colours
from tests.web.browsers import chromium, needs_browser

COLOURS = {"zero": (1, 0, 0), "one": (0, 1, 0), "</script><b> & \"two'": (0, 0, 1)}


def draw(colour):
    figure = plt.figure(figsize=(1, 0.5))
    figure.patch.set_facecolor(colour)
    return figure


@pytest.fixture
def slider():
    return show.frames(draw, COLOURS, "the <colour>", 'a "plain" colour', first=1, play=True)


class Reader(HTMLParser):
    """The elements, with what is open at the end; the attributes of images; the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.images, self.scripts = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "img":
            self.images.append(attributes)
        else:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
            assert "src" not in attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


def test_the_html_is_complete_and_labels_cannot_end_it(slider):
    reader = Reader()
    reader.feed(slider._repr_html_())
    reader.close()
    assert reader.open == [] and len(reader.scripts) == 2 and len(reader.images) == 1
    content = json.loads(reader.scripts[0])
    assert content["labels"] == list(COLOURS) and content["first"] == 1 and content["play"] is True
    assert content["name"] == "the <colour>" and content["describe"] == 'a "plain" colour'
    (image,) = reader.images
    assert image["src"] == content["images"][1] and image["alt"] == 'a "plain" colour; the <colour>: one'
    assert not re.search(r"https?:|src=\"(?!data:image/png;base64,)", slider._repr_html_())


def test_there_is_an_image_for_each_value_and_the_first_for_viewers_without_scripts(slider):
    found = []
    for image in slider.images:
        with Image.open(io.BytesIO(image)) as opened:
            assert opened.size == (80, 40)
            found.append(np.asarray(opened.convert("RGB"))[20, 40].tolist())
    assert found == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert slider._repr_png_() == slider.images[1] and not plt.get_fignums()
    content = json.loads(re.search(r'json">\n(.*?)\n</script>', slider._repr_html_(), re.DOTALL)[1])
    decoded = [b64decode(url.removeprefix("data:image/png;base64,")) for url in content["images"]]
    assert decoded == list(slider.images)


@pytest.mark.parametrize("first", [-1, 3])
def test_a_first_figure_that_does_not_exist_is_refused(first):
    with pytest.raises(ValueError, match=f"first = {first}, but there are 3 figures"):
        show.frames(draw, COLOURS, "colour", "a colour", first=first)
    assert not plt.get_fignums()


@pytest.mark.parametrize("dpi", [40, 80])
def test_images_have_few_colours_and_the_size_that_is_asked_for(dpi):
    def ramp(step):
        figure = plt.figure(figsize=(2, 1))
        figure.add_axes((0, 0, 1, 1)).imshow(np.arange(256)[None] * step, aspect="auto", cmap="viridis")
        return figure

    for image in show.frames(ramp, {"1": 1, "2": 2}, "step", "a ramp", dpi=dpi).images:
        with Image.open(io.BytesIO(image)) as shown:
            assert shown.size == (2 * dpi, dpi) and 16 < len(shown.convert("RGB").getcolors()) <= 32


def test_few_colours_keeps_a_small_mark():
    ramp = np.arange(256, dtype=np.uint8)
    grey = np.repeat(np.add.outer(ramp, ramp)[..., None] // 2, 3, axis=-1)
    grey[10:12, 10:12] = (255, 0, 0)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="png")
    with Image.open(io.BytesIO(few_colours(file.getvalue(), 16))) as few:
        assert len(few.getcolors()) <= 16
        assert few.size == (256, 256)
        assert (
            np.asarray(few.convert("RGB"), int)[11, 11, 0]
            > 200
            > 60
            > np.asarray(few.convert("RGB"))[11, 11, 1]
        )
    with Image.open(io.BytesIO(few_colours(file.getvalue(), 16, widest=100))) as narrow:
        assert narrow.size == (100, 100)


@needs_browser
def test_slider_keys_and_play_show_the_other_figures(slider):
    def centre(page) -> list[int]:
        page.wait_for_timeout(50)
        with Image.open(io.BytesIO(page.locator("img").first.screenshot())) as shown:
            return np.asarray(shown.convert("RGB"))[20, 40].tolist()

    with chromium() as browser:
        page = browser.new_page()
        page.clock.install(time=0)
        page.clock.pause_at(1000)  # from here on, time passes by run_for only
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(f"<!doctype html><title>t</title>{slider._repr_html_()}{slider._repr_html_()}")
        assert page.locator("input[type=range]").count() == 2 and page.locator("b").count() == 0
        control = page.get_by_label("the <colour>").first
        assert control.get_attribute("aria-valuetext") == "one" and centre(page) == [0, 255, 0]
        control.press("ArrowRight")
        assert centre(page) == [0, 0, 255]
        last = list(COLOURS)[2]
        assert control.get_attribute("aria-valuetext") == last == page.locator("output").first.text_content()
        assert page.locator("img").first.get_attribute("alt").endswith(f": {last}")
        button = page.get_by_role("button").first
        button.click()
        assert button.text_content() == "Pause" and control.input_value() == "0"
        page.clock.run_for(1000)
        assert control.input_value() == "1"
        page.clock.run_for(1000)
        assert control.input_value() == "2" and button.text_content() == "Play"
        button.click()
        control.press("ArrowRight")
        assert button.text_content() == "Play"
        assert page.locator("input[type=range]").nth(1).input_value() == "1" and not errors


@needs_browser
def test_without_scripts_the_first_figure_is_shown_and_no_control(slider):
    with chromium() as browser:
        page = browser.new_context(java_script_enabled=False).new_page()
        page.set_content(f"<!doctype html><title>t</title>{slider._repr_html_()}")
        assert page.locator("img").get_attribute("alt").endswith(": one")
        assert page.locator("input, button").count() == 0
