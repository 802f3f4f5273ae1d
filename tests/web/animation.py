"""The animated figure of the README: hovering, a click and a box, on the page of `minisam click`.

    python tests/web/animation.py -o docs/click.webp

The photo is matplotlib's; the cursor is drawn on the frames, since a browser without a screen shows none.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))

from web.browsers import chromium
from web.hover_latency import HOVERED

from minisam.build import build_sam
from minisam.web.server import ClickServer
from minisam.web.session import Session

VIEW = {"width": 900, "height": 620}
Point = tuple[float, float]
TAG, RIBBONS, SKY, FACE = (0.245, 0.817), (0.82, 0.825), (0.8, 0.3), ((0.30, 0.2), (0.72, 0.54))
ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))


class Recorder:
    """Frames of a page with the cursor; positions are fractions of the photo."""

    def __init__(self, page) -> None:
        self.page, self.box = page, page.locator(".stage canvas").bounding_box()
        self.at: Point = (0.6, 0.95)
        self.frames: list[tuple[Image.Image, int]] = []

    def pixels(self, point: Point) -> Point:
        return self.box["x"] + point[0] * self.box["width"], self.box["y"] + point[1] * self.box["height"]

    def shoot(self, milliseconds: int) -> None:
        self.page.wait_for_timeout(80)
        frame = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        x, y = self.pixels(self.at)
        ImageDraw.Draw(frame).polygon([(x + dx, y + dy) for dx, dy in ARROW], fill="white", outline="black")
        self.frames.append((frame, milliseconds))

    def move(self, to: Point, steps: int = 6) -> None:
        start = self.at
        for step in range(1, steps + 1):
            self.at = tuple(a + (b - a) * step / steps for a, b in zip(start, to, strict=True))
            self.page.evaluate(HOVERED)
            self.page.mouse.move(*self.pixels(self.at))
            self.page.evaluate("Promise.race([window.hovered, new Promise(done => setTimeout(done, 1500))])")
            self.shoot(110)

    def click(self, button: str = "left") -> None:
        self.page.mouse.click(*self.pixels(self.at), button=button)
        self.settle()

    def drag(self, start: Point, end: Point) -> None:
        self.move(start)
        self.page.mouse.down()
        for step in range(1, 7):
            self.at = tuple(a + (b - a) * step / 6 for a, b in zip(start, end, strict=True))
            self.page.mouse.move(*self.pixels(self.at))
            self.shoot(90)
        self.page.mouse.up()
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector("body[aria-busy=false]")
        self.page.wait_for_timeout(1500)
        self.shoot(1300)


def record(page) -> list[tuple[Image.Image, int]]:
    recorder = Recorder(page)
    recorder.shoot(500)
    recorder.move(RIBBONS)
    recorder.move(TAG, 10)
    recorder.click()
    recorder.page.keyboard.press("Delete")
    recorder.drag(*FACE)
    return recorder.frames


def page_of(browser, photo: Path) -> Iterator:
    session = Session(build_sam())
    session.photos.open(photo)
    with tempfile.TemporaryDirectory() as folder:
        server = ClickServer(session, Path(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            page = browser.new_page(viewport=VIEW)
            page.goto(server.address)
            page.wait_for_selector("body[aria-busy=false]")
            yield page
        finally:
            server.shutdown()
            server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.webp")
    args = parser.parse_args()
    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with chromium() as browser:
        for page in page_of(browser, photo):
            frames, durations = zip(*record(page), strict=True)
    frames[0].save(
        args.out,
        save_all=True,
        append_images=frames[1:],
        duration=list(durations),
        loop=0,
        quality=70,
        method=4,
    )
    print(f"{args.out}: {len(frames)} frames, {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
