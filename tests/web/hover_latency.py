"""How long the mask under the mouse takes, in Chromium, from the mouse's event to the drawn canvas.

    python tests/web/hover_latency.py [--model tiny] [--size 1024] [--moves 60] [-o FILE]

The included weights, a drawn scene as a photo, one move at a time.  Other programs on the same cores lengthen it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from web.browsers import chromium

from minisam.bench.measure import commit, processor_name, versions
from minisam.build import build_sam
from minisam.data.partworld import render_scenes
from minisam.web.server import ClickServer
from minisam.web.session import Session

HOVERED = (
    "window.hovered = new Promise(done =>"
    " document.body.addEventListener('minisam-hover', event => done(event.detail), {once: true})); 0"
)


def measure(model: str, size: int, moves: int) -> list[float]:
    """Milliseconds for each move."""
    with tempfile.TemporaryDirectory() as folder:
        scene = render_scenes(seed=14, batch_size=1, object_scale=1.5).images[0].permute(1, 2, 0).numpy()
        photo = Path(folder) / "scene.png"
        Image.fromarray(scene).resize((size, size), Image.Resampling.LANCZOS).save(photo)
        session = Session(build_sam(model))
        session.photos.open(photo)
        server = ClickServer(session, Path(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with chromium() as browser:
                return hover(browser, server.address, moves)
        finally:
            server.shutdown()
            server.server_close()


def hover(browser, address: str, moves: int) -> list[float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.wait_for_selector("body[aria-busy=false]")
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
    parser.add_argument("--model", default="tiny", help="included weights (default: tiny)")
    parser.add_argument("--size", type=int, default=1024, help="pixels per side of the photo (default: 1024)")
    parser.add_argument("--moves", type=int, default=60, help="moves of the mouse (default: 60)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="also write JSON")
    args = parser.parse_args()
    milliseconds = measure(args.model, args.size, args.moves)[5:]
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
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
