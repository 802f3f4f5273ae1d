"""The widget in a real JupyterLab: its page, its kernel, its menus and its keys."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from web.browsers import chromium, needs_browser

needs_jupyterlab = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("jupyterlab", "anywidget", "ipykernel")),
    reason="pip install -e '.[lessons]' jupyterlab un-skips this",
)
CELLS = [
    "from minisam.show import click\nfrom minisam.web.example import example_scene\n"
    "c = click(example_scene(), points=[[370, 430]])\nc",
    "print('VALUE', c.value.points.round().tolist(), c.value.labels.tolist(), c.value.masks.shape)",
]
TOKEN = "token-of-this-test"


@pytest.fixture
def notebook(tmp_path):
    """The address of a notebook with the cells, in a JupyterLab that ends with the test."""
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell{n}",
            "metadata": {},
            "outputs": [],
            "source": [text],
        }
        for n, text in enumerate(CELLS)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "click.ipynb").write_text(json.dumps(content))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [
        f"--port={port}",
        "--port-retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={tmp_path}",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={TOKEN}")
        yield f"http://127.0.0.1:{port}/lab/tree/click.ipynb?token={TOKEN}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def wait_for(address, seconds=90.0):
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            assert time.monotonic() < end, "JupyterLab does not start"
            time.sleep(0.5)


@pytest.mark.slow
@needs_browser
@needs_jupyterlab
def test_clicks_and_keys_reach_the_widget_and_its_value_the_kernel(notebook):
    from playwright.sync_api import expect

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(90_000)
        page.goto(notebook)
        editors = page.locator(".jp-CodeCell .cm-content")
        editors.first.click()
        expect(page.locator(".jp-NotebookPanel-toolbar")).to_contain_text("Python 3")
        page.keyboard.press("Shift+Enter")
        status = page.locator(".minisam-click .status")
        expect(status).to_contain_text("Mask 1 of 3", timeout=90_000)
        canvas = page.locator(".minisam-click .stage canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4, button="right")
        expect(page.locator(".minisam-click [data-do=undo]")).to_be_enabled()
        page.wait_for_timeout(1000)
        page.keyboard.press("n")
        expect(status).to_contain_text("Mask 2 of 3")
        assert page.locator(".lm-Menu").count() == 0
        editors.nth(1).click()
        page.keyboard.press("Shift+Enter")
        output = page.locator(".jp-OutputArea-output").filter(has_text="VALUE")
        expect(output).to_contain_text("[1, 0] (3, 768, 768)")
        expect(output).to_contain_text("VALUE [[370.0, 430.0], [19")
