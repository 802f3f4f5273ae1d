"""How long the mask under the mouse takes, in Chromium, from the mouse's event to the drawn canvas.

    python tests/web/hover_latency.py [--demo] [--model small] [--size 1024] [--moves 60] [-o FILE]

The included weights, a drawn scene as a photo, one move at a time, on the page of `minisam click`.  With --demo, on the
page of `minisam export --demo`, where the browser computes everything; also from choosing a photo to its being ready.
Other programs on the same cores lengthen it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from web.browsers import chromium

from minisam.bench.measure import commit, processor_name, versions
from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam.export.demo import write_demo
from minisam.included import DEFAULT_MODEL
from minisam.web.server import ClickServer
from minisam.web.session import Session

HOVERED = (
    "window.hovered = new Promise(done =>"
    " document.body.addEventListener('minisam-hover', event => done(event.detail), {once: true})); 0"
)


def write_photo(folder: Path, size: int) -> Path:
    scene = render_scenes(seed=14, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()
    photo = folder / "scene.png"
    Image.fromarray(scene).resize((size, size), Image.Resampling.LANCZOS).save(photo)
    return photo


def measure_demo(model: str, size: int, moves: int) -> tuple[list[float], list[float]]:
    """Milliseconds for each move, and seconds for each of three photos."""
    with tempfile.TemporaryDirectory() as folder:
        photo = write_photo(Path(folder), size)
        write_demo(build_sam(model), Path(folder) / "site")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(Path(folder) / "site")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with chromium() as browser:
                return open_and_hover(browser, f"http://127.0.0.1:{server.server_port}/", photo, moves)
        finally:
            server.shutdown()
            server.server_close()


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def open_and_hover(browser, address: str, photo: Path, moves: int) -> tuple[list[float], list[float]]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    ready = "() => document.querySelector('.status').textContent.includes('point at an object')"
    page.wait_for_function(ready, timeout=120_000)
    seconds = []
    for number in range(3):
        name = f"photo {number}.png"
        started = time.perf_counter()
        content = {"name": name, "mimeType": "image/png", "buffer": photo.read_bytes()}
        page.set_input_files("input[type=file]", content)
        page.wait_for_function(
            f"() => document.querySelector('.status').textContent.startsWith('{name}: point')",
            timeout=120_000,
        )
        seconds.append(time.perf_counter() - started)
    return hover(page, moves), seconds


def measure(model: str, size: int, moves: int) -> list[float]:
    """Milliseconds for each move."""
    with tempfile.TemporaryDirectory() as folder:
        photo = write_photo(Path(folder), size)
        session = Session(build_sam(model))
        session.photos.open(photo)
        server = ClickServer(session, Path(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with chromium() as browser:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(server.address)
                page.wait_for_selector("body[aria-busy=false]")
                return hover(page, moves)
        finally:
            server.shutdown()
            server.server_close()


def hover(page, moves: int) -> list[float]:
    box = page.locator(".stage canvas").bounding_box()
    found = []
    for n in range(moves):
        page.evaluate(HOVERED)
        x, y = 0.1 + 0.8 * (n * 0.618 % 1), 0.1 + 0.8 * (n * 0.414 % 1)
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        found.append(page.evaluate("window.hovered")["milliseconds"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--demo", action="store_true", help="the page that needs no server")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"included weights (default: {DEFAULT_MODEL})")
    parser.add_argument("--size", type=int, default=1024, help="pixels per side of the photo (default: 1024)")
    parser.add_argument("--moves", type=int, default=60, help="moves of the mouse (default: 60)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="also write JSON")
    args = parser.parse_args()
    seconds: list[float] = []
    if args.demo:
        milliseconds, seconds = measure_demo(args.model, args.size, args.moves)
    else:
        milliseconds = measure(args.model, args.size, args.moves)
    milliseconds = milliseconds[5:]
    tenths = statistics.quantiles(milliseconds, n=10)
    result = {
        "model": args.model,
        "size": args.size,
        "moves": len(milliseconds),
        "processor": processor_name(),
        "versions": versions("playwright"),
        "commit": commit(),
        "median_ms": round(statistics.median(milliseconds), 1),
        "tenth_ms": round(tenths[0], 1),
        "ninetieth_ms": round(tenths[-1], 1),
    }
    if args.demo:
        result["encode_seconds"] = [round(one, 2) for one in seconds]
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
