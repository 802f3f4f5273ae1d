"""The page in Chromium: mouse, keys, touch, results, two tabs."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web.browsers import chromium, needs_browser
from web.click_servers import photo_file, random_session, running

from minisam.masks.rle import decode_rle

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def server(tmp_path):
    session = random_session()
    session.photos.open(photo_file(tmp_path / "one.png", 300, 400))
    with running(session, tmp_path) as server:
        yield server


class Tab:
    """A page that is ready for clicks, with what it requested and its errors."""

    def __init__(self, context, address):
        from playwright.sync_api import expect

        self.expect, self.page, self.faults, self.prompts = expect, context.new_page(), [], []
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self.note_console)
        self.page.on("request", self.note)
        self.page.goto(address)
        self.canvas = self.page.locator(".stage canvas")

    def note_console(self, message):
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def note(self, request):
        if request.url.endswith("/decode"):
            self.prompts.append(request.post_data_json)

    def ready(self):
        self.expect(self.page.locator("body")).to_have_attribute("aria-busy", "false", timeout=20_000)
        self.expect(self.canvas).to_be_visible()
        return self

    @property
    def clicks(self):
        return [prompt for prompt in self.prompts if not prompt["best"]]

    @property
    def last(self):
        return self.clicks[-1]

    def at(self, x, y):
        """A place of the canvas, each of 0 … 1, in pixels of the window."""
        box = self.canvas.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def says(self, pattern):
        self.expect(self.page.locator(".status")).to_have_text(re.compile(pattern), timeout=20_000)
        return self.page.locator(".status").inner_text()

    def click(self, x, y, **options):
        before = len(self.clicks)
        with self.page.expect_response(
            lambda response: response.url.endswith("/decode") and len(self.clicks) > before
        ):
            self.page.mouse.click(*self.at(x, y), **options)
        self.says("^Mask 1 of 3")

    def drag(self, start, end):
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=3)
        self.page.mouse.up()
        self.says("^Mask")

    def shown(self):
        """The pixels of the canvas as shown on the screen."""
        return self.canvas.screenshot()

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)


@contextlib.contextmanager
def tab_of(browser, server, **options):
    context = browser.new_context(**options)
    tab = Tab(context, server.address).ready()
    try:
        yield tab
        assert not tab.faults
    finally:
        context.close()


@pytest.fixture
def tab(browser, server):
    with tab_of(browser, server, viewport={"width": 1280, "height": 800}) as tab:
        yield tab


def hovered(tab, x, y):
    """Move the mouse, and wait for the preview."""
    tab.page.evaluate(
        "window.hovered = new Promise(done =>"
        " document.body.addEventListener('minisam-hover', event => done(event.detail), {once: true})); 0"
    )
    tab.page.mouse.move(*tab.at(x, y))
    return tab.page.evaluate("window.hovered")


def test_hovering_previews_the_mask_and_leaving_ends_it(tab):
    before = tab.shown()
    detail = hovered(tab, 0.5, 0.5)
    assert tab.prompts[-1] == {
        "points": [[pytest.approx(200, abs=1), pytest.approx(150, abs=1), 1]],
        "boxes": [],
        "best": True,
    }
    assert detail["area"] > 0 and detail["milliseconds"] > 0
    assert tab.shown() != before
    tab.page.mouse.move(5, 5)
    assert tab.shown() == before


def test_left_adds_and_right_removes(tab):
    tab.click(0.5, 0.5)
    tab.click(0.25, 0.75, button="right")
    assert [label for *_, label in tab.last["points"]] == [1, 0]
    assert np.allclose([point[:2] for point in tab.last["points"]], [[200, 150], [100, 225]], atol=1)
    assert re.search(r"predicted IoU -?\d+\.\d\d, [\d.]+ % of the photo", tab.says("predicted"))


@pytest.mark.ci
def test_a_prompt_ends_the_preview(tab):
    tab.click(0.5, 0.5)
    count = len(tab.prompts)
    tab.page.mouse.move(*tab.at(0.2, 0.2), steps=5)
    tab.page.wait_for_timeout(100)
    assert len(tab.prompts) == count


def test_dragging_makes_a_box_and_with_shift_another(tab):
    tab.drag((0.25, 0.2), (0.75, 0.8))
    assert np.allclose(tab.last["boxes"], [[100, 60, 300, 240]], atol=1) and not tab.last["points"]
    tab.page.keyboard.down("Shift")
    tab.drag((0.5, 0.5), (0.1, 0.1))
    tab.page.keyboard.up("Shift")
    tab.expect(tab.button("Undo")).to_be_enabled()
    assert np.allclose(tab.last["boxes"], [[100, 60, 300, 240], [40, 30, 200, 150]], atol=1)
    tab.drag((0.1, 0.1), (0.4, 0.4))
    assert np.allclose(tab.last["boxes"], [[40, 30, 160, 120]], atol=1)


@pytest.mark.ci
def test_undo_redo_and_clear(tab):
    tab.expect(tab.button("Undo")).to_be_disabled()
    tab.click(0.5, 0.5)
    tab.click(0.25, 0.75)
    two = tab.last["points"]
    tab.button("Undo").click()
    tab.expect(tab.button("Redo")).to_be_enabled()
    tab.says("^Mask")
    assert tab.last["points"] == two[:1]
    tab.button("Redo").click()
    tab.expect(tab.button("Redo")).to_be_disabled()
    tab.says("^Mask")
    assert tab.last["points"] == two
    tab.button("Clear").click()
    tab.says("Cleared")
    tab.expect(tab.button("Save the mask as PNG")).to_be_disabled()
    tab.page.keyboard.press("Control+z")
    tab.says("^Mask")
    assert tab.last["points"] == two


@pytest.mark.ci
def test_the_three_masks_follow_their_predicted_iou(tab):
    tab.click(0.5, 0.5)
    cards = tab.page.locator(".cards button")
    iou = [float(text) for text in cards.all_inner_texts()]
    assert len(iou) == 3 and iou == sorted(iou, reverse=True)
    shown = tab.shown()
    for rank in (2, 3, 1):
        tab.button("Next mask").click()
        tab.says(f"^Mask {rank} of 3")
        assert cards.nth(rank - 1).get_attribute("aria-pressed") == "true"
    cards.nth(2).click()
    tab.says("^Mask 3 of 3")
    tab.page.keyboard.press("n")
    tab.says("^Mask 1 of 3")
    tab.page.mouse.move(5, 5)
    assert tab.page.locator(".cards button[aria-pressed=true]").count() == 1 and shown


@pytest.mark.ci
def test_the_opacity_changes_what_is_shown(tab):
    tab.click(0.5, 0.5)
    one = tab.shown()
    tab.page.get_by_label("Opacity").fill("5")
    other = tab.shown()
    tab.page.keyboard.press("]")
    assert tab.page.locator(".opacity output").inner_text() == "15 %"
    assert len({one, other, tab.shown()}) == 3


def test_keys_do_everything(tab):
    press = tab.page.keyboard.press
    press("ArrowRight")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        press(key)
    tab.says("^Mask")
    ((x, y, label),) = tab.last["points"]
    assert (x > 200, y > 150, label) == (True, True, 1)
    press("Shift+ArrowLeft")
    press("x")
    tab.expect(tab.page.locator(".status")).to_contain_text("Mask")
    tab.page.wait_for_timeout(50)
    assert [point[2] for point in tab.last["points"]] == [1, 0]
    press("b")
    tab.says("^Box")
    for key in ("ArrowDown", "ArrowRight", "b"):
        press(key)
    tab.says("^Mask")
    ((x0, y0, x1, y1),) = tab.last["boxes"]
    assert x0 < x1 and y0 < y1
    press("Control+Shift+z")
    press("Control+z")
    tab.says("^Mask")
    press("Delete")
    tab.says("Cleared")
    press("Escape")


@pytest.mark.parametrize(("name", "key", "file"), [
    ("Save the mask as PNG", "s", "one_mask.png"),
    ("Save as COCO JSON", "j", "one_coco.json"),
    ("Save the cut-out with alpha as PNG", "c", "one_cutout.png"),
])  # fmt: skip
def test_results_are_saved_beside_the_photo_and_never_over_a_file(tab, tmp_path, name, key, file):
    tab.click(0.5, 0.5)
    with tab.page.expect_response(lambda response: response.url.endswith("/decode")) as answer:
        tab.page.keyboard.press("Control+z")
        tab.says("Cleared")
        tab.page.keyboard.press("Control+y")
    predicted = answer.value.json()
    tab.says("^Mask")
    mask = decode_rle(predicted["masks"][int(np.argmax(predicted["iou"]))])
    tab.button(name).click()
    tab.says(rf"^Saved {file}")
    tab.page.keyboard.press(key)
    tab.says(rf"^Saved {file.replace('.', '_2.')}")
    written = tmp_path / file
    assert written.read_bytes() == (tmp_path / file.replace(".", "_2.")).read_bytes()
    if key == "j":
        (annotation,) = json.loads(written.read_text())["annotations"]
        assert np.array_equal(decode_rle(annotation["segmentation"]), mask)
    else:
        with Image.open(written) as image:
            pixels = np.array(image)
        assert ((pixels if key == "s" else pixels[..., 3]) == 255).sum() == mask.sum()


@pytest.mark.ci
def test_a_photo_can_be_dropped_and_prompts_stay_with_their_photo(tab, tmp_path):
    tab.click(0.5, 0.5)
    dropped = photo_file(tmp_path / "dropped.png", 90, 120)
    tab.page.locator("input[type=file]").set_input_files([str(dropped)])
    tab.says("^dropped.png: point")
    assert tab.page.locator(".photos button").count() == 2
    tab.click(0.25, 0.25)
    assert np.allclose(tab.last["points"], [[30, 22.5, 1]], atol=1)
    tab.page.get_by_role("button", name="Photo one.png").click()
    tab.says("^Mask")
    assert np.allclose(tab.last["points"], [[200, 150, 1]], atol=1)
    transfer = tab.page.evaluate_handle("new DataTransfer()")
    transfer.evaluate("data => { data.items.add(new File(['words'], '<b>words</b>.png')); }")
    tab.page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    tab.says("not an image")
    assert tab.page.locator(".photos button").count() == 2


@pytest.mark.ci
def test_of_several_photos_the_first_is_opened_and_those_that_are_none_are_named(tab, tmp_path):
    files = [tmp_path / "words.png", photo_file(tmp_path / "a.png", 90, 120), tmp_path / "empty.jpg"]
    files[0].write_text("words")
    files[2].touch()
    files.append(photo_file(tmp_path / "b.png", 120, 90))
    with tab.page.expect_request("**/encode") as opened:
        tab.page.locator("input[type=file]").set_input_files([str(file) for file in files])
    tab.says("words.png: not an image.*; empty.jpg: .*empty")
    assert tab.page.locator(".photos button").count() == 3
    assert tab.page.locator("p.name").inner_text() == "a.png"
    assert opened.value.url.endswith("/1/encode")


@pytest.mark.ci
def test_touch_adds_and_a_long_press_removes(browser, server):
    with tab_of(
        browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    ) as tab:
        tab.page.touchscreen.tap(*tab.at(0.5, 0.5))
        tab.says("^Mask")
        session = tab.page.context.new_cdp_session(tab.page)
        x, y = tab.at(0.25, 0.25)
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        with tab.page.expect_response(lambda response: response.url.endswith("/decode")):
            tab.page.wait_for_timeout(600)
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert [point[2] for point in tab.last["points"]] == [1, 0]
        tab.page.locator("label", has_text="Remove").tap()
        with tab.page.expect_response(lambda response: response.url.endswith("/decode")):
            tab.page.touchscreen.tap(*tab.at(0.75, 0.75))
        assert [point[2] for point in tab.last["points"]] == [1, 0, 0]


@pytest.mark.parametrize("width", [390, pytest.param(760, marks=pytest.mark.ci), 1280])
def test_nothing_is_wider_than_the_window_and_every_control_has_a_name(browser, server, width):
    with tab_of(browser, server, viewport={"width": width, "height": 800}) as tab:
        tab.click(0.5, 0.5)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.evaluate("document.documentElement.scrollHeight") <= 800
        parts = "[...document.querySelectorAll('.panel, .panel fieldset, .bar')]"
        overhang = f"{parts}.filter(e => e.scrollWidth > e.clientWidth + 1).length"
        assert tab.page.evaluate(overhang) == 0
        box = tab.canvas.bounding_box()
        assert box["width"] > 100 and box["height"] > 100
        named = (
            tab.page.get_by_role("button")
            .or_(tab.page.get_by_role("radio"))
            .or_(tab.page.get_by_role("slider"))
        )
        for control in named.all():
            tab.expect(control).to_have_accessible_name(re.compile(r"\w"))


@pytest.mark.ci
def test_two_tabs_at_once(browser, server):
    with tab_of(browser, server) as one, tab_of(browser, server) as other:
        one.click(0.5, 0.5)
        other.click(0.25, 0.25)
        one.click(0.75, 0.75)
        assert len(one.last["points"]) == 2 and len(other.last["points"]) == 1
        assert len(server.tabs.seen) == 2


@pytest.mark.ci
def test_the_server_ends_after_the_last_tab_but_not_on_a_reload(browser, server):
    server.tabs.grace = 1.0
    with tab_of(browser, server) as tab:
        tab.page.reload()
        tab.ready()
        tab.page.wait_for_timeout(1500)
        tab.click(0.5, 0.5)
    server._BaseServer__is_shut_down.wait(20)
    assert server._BaseServer__is_shut_down.is_set()


def test_a_wrong_token_shows_only_what_to_do(browser, server):
    page = browser.new_page()
    page.goto(server.address.replace(server.token, "x" * len(server.token)))
    assert "open the address that `minisam click` printed" in page.inner_text("body")
    page.close()


@pytest.mark.ci
def test_an_answer_that_comes_too_late_is_dropped(tab):
    """The answer to the first click arrives after that to the second."""
    held = []

    def route(route):
        if not held and not route.request.post_data_json["best"]:
            held.append(route)
        else:
            route.continue_()

    tab.page.route("**/decode", route)
    tab.page.mouse.click(*tab.at(0.2, 0.2))
    tab.page.wait_for_timeout(50)
    tab.page.mouse.click(*tab.at(0.5, 0.5))
    said = tab.says("^Mask 1 of 3")
    shown = tab.shown()
    empty = {"size": [300, 400], "counts": [300 * 400]}
    answer = json.dumps({"masks": [empty] * 3, "iou": [0.9, 0.8, 0.7]})
    with contextlib.suppress(Exception):  # the page may have closed the request
        held[0].fulfill(status=200, content_type="application/json", body=answer)
    tab.page.wait_for_timeout(100)
    assert tab.says("^Mask 1 of 3") == said and tab.shown() == shown


def test_hovering_requests_one_place_at_a_time_and_then_the_newest(tab):
    held = []
    tab.page.route("**/decode", lambda route: held.append(route))
    for n in range(10):
        tab.page.mouse.move(*tab.at(0.1 + n / 20, 0.5))
    tab.page.wait_for_timeout(50)
    assert len(held) == 1
    with tab.page.expect_request("**/decode") as newest:
        held[0].continue_()
    assert newest.value.post_data_json["points"] == [
        [pytest.approx(0.55 * 400, abs=1), pytest.approx(150, abs=1), 1]
    ]
    tab.page.wait_for_timeout(100)
    assert len(tab.prompts) == len(held) == 2
    held[1].continue_()


@pytest.mark.ci
def test_two_hundred_clicks_need_no_more_memory(tab):
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Performance.enable")

    def measure():
        session.send("HeapProfiler.collectGarbage")
        values = {
            entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]
        }
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return (
            values["JSHeapUsedSize"],
            values["Nodes"],
            values["JSEventListeners"],
            pages * os.sysconf("SC_PAGE_SIZE"),
        )

    def clicks(count):
        for n in range(count):
            if n % 4 == 0:
                hovered(tab, 0.2 + n % 7 / 10, 0.3)
            tab.click(0.2 + n % 5 / 10, 0.3 + n % 3 / 10)
            tab.page.keyboard.press("n")
            tab.page.keyboard.press("Delete")
            tab.says("Cleared")

    clicks(20)
    before = measure()
    clicks(200)
    after = measure()
    assert after[0] < before[0] + 1.5e6  # the history of prompts
    assert after[1] < before[1] + 200 and after[2] < before[2] + 50
    assert after[3] < before[3] + 60e6
