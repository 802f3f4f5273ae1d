"""The widget: its messages with a kernel, and its page in Chromium with those messages."""

from __future__ import annotations

import base64
import importlib.util

import numpy as np
import pytest
import torch
from web.browsers import chromium, needs_browser

from minisam.config import CONFIGS, build_from_config
from minisam.masks.rle import decode_rle
from minisam.show.click_value import ClickedPhoto

needs_anywidget = pytest.mark.skipif(
    importlib.util.find_spec("anywidget") is None, reason="pip install -e '.[lessons]' un-skips this"
)
pytestmark = [needs_anywidget, pytest.mark.filterwarnings("default::DeprecationWarning")]


@pytest.fixture
def widget():
    from minisam.show.click_widget import ClickWidget

    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    clicked = ClickedPhoto(image, build_from_config(CONFIGS["nano"]))
    widget = ClickWidget(clicked, clicked.prompt_of([[20, 30]], None, None))
    widget.sent = []
    widget.send = lambda content, buffers=None: widget.sent.append(content)
    return widget


def test_a_message_is_answered_with_masks_or_with_a_line(widget):
    widget._handle_custom_msg({"id": 1, "points": [[20, 30, 1]], "boxes": [], "best": False}, [])
    widget._handle_custom_msg({"id": 2, "points": [[20, 30, 1]], "boxes": [], "best": True}, [])
    widget._handle_custom_msg({"id": 3, "points": [[900, 30, 1]], "boxes": []}, [])
    three, one, error = widget.sent
    assert [answer["id"] for answer in widget.sent] == [1, 2, 3]
    value = widget.value
    assert all(np.array_equal(decode_rle(a), b) for a, b in zip(three["masks"], value.masks, strict=True))
    assert np.allclose(three["iou"], value.iou_predictions) and one["iou"] == [max(three["iou"])]
    assert "outside the image" in error["error"]


def test_the_value_follows_the_page(widget):
    widget.set_state({"prompt": {"points": [], "boxes": [[1, 2, 30, 40]], "index": 2}})
    assert widget.value.boxes.tolist() == [[1, 2, 30, 40]] and widget.value.index == 2
    widget.set_state({"prompt": {"points": [], "boxes": [], "index": 0}})
    assert widget.value.mask is None


def test_viewers_without_a_kernel_get_a_figure(widget):
    bundle, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_the_widget_is_one_module():
    from minisam.show.click_widget import module

    assert "import " not in module() and "export default" in module()


# What anywidget passes to `render`, with the kernel as a function of the page.
MODEL = """
const listeners = [];
const model = {
  get: (name) => structuredClone(window.state[name]),
  set: (name, value) => (window.state[name] = value),
  save_changes: () => window.save(window.state.prompt),
  on: (event, listener) => listeners.push(listener),
  off: (event, listener) => listeners.splice(listeners.indexOf(listener), 1),
  send: async (content) => { const answer = await window.kernel(content); listeners.forEach((f) => f(answer)); },
};
window.end = widget.render({ model, el: document.querySelector("#cell") });
window.listeners = listeners;
"""


@needs_browser
def test_the_page_starts_with_the_prompt_and_reports_clicks(widget):
    from playwright.sync_api import expect

    from minisam.show.click_widget import module

    def kernel(content):
        widget._handle_custom_msg(content, [])
        return widget.sent.pop()

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 700})
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.expose_function("kernel", kernel)
        page.expose_function("save", lambda prompt: widget.set_state({"prompt": prompt}))
        page.set_content(f"<style>{widget._css}</style><div id=cell></div>")
        page.evaluate("state => { window.state = state; }", {"photo": widget.photo, "prompt": widget.prompt})
        source = module().replace("export default", "const widget =").replace("export function", "function")
        page.add_script_tag(content=f"{{{source}\n{MODEL}}}")
        status = page.locator(".status")
        expect(status).to_contain_text("Mask 1 of 3")
        box = page.locator(".stage canvas").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, button="right")
        expect(page.locator("[data-do=undo]")).to_be_enabled()
        page.wait_for_function("window.state.prompt.points.length === 2")
        page.keyboard.press("n")
        expect(status).to_contain_text("Mask 2 of 3")
        expect(page.locator(".open")).to_be_hidden()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save the mask as PNG").click()
        assert download.value.suggested_filename == "image_mask.png"
        value = widget.value
        assert value.labels.tolist() == [1, 0] and np.allclose(value.points, [[20, 30], [40, 30]], atol=1)
        order = np.argsort(-value.iou_predictions)
        assert value.index == order[1]
        page.evaluate("window.end()")
        assert page.evaluate("window.listeners.length") == 0
        assert page.inner_text("#cell") == "" and not faults
