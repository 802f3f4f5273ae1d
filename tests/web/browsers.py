"""A real browser for the tests of the page, where there is one.

The tests need `pip install -e '.[browser]'`, and `apt install chromium` or `playwright install chromium`.
MINISAM_CHROMIUM=/path/of/chromium selects another.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def find_chromium() -> str | None:
    """The path of a Chromium: the named one, the system's, or Playwright's."""
    if importlib.util.find_spec("playwright") is None:
        return None
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("MINISAM_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


CHROMIUM = find_chromium()
needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="needs Playwright and Chromium: pip install -e '.[browser]', apt install chromium",
)


@contextmanager
def chromium() -> Iterator:
    """Playwright's browser object."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox needs rights that a container lacks; only pages of the tests are opened.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
