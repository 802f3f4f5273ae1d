"""The folder of the demo; the page itself, with the real onnxruntime-web, in Chromium."""

from __future__ import annotations

import functools
import http.server
import io
import json
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from web.browsers import chromium, needs_browser

from minisam import SamPredictor
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.errors import MinisamError, OutputError
from minisam.export import demo
from minisam.masks.rle import decode_rle


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


def archive_of(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


PACKAGE = {
    "name": "onnxruntime-web",
    "version": demo.VERSION,
    "license": "MIT",
    "homepage": "https://example.org",
}
MEMBERS = {"package/package.json": json.dumps(PACKAGE).encode()} | {
    f"package/dist/{name}": name.encode() for name in demo.RUNTIME_FILES
}


@pytest.fixture
def npm(monkeypatch):
    """A program in place of npm that writes an archive; its `members` and `fault` can be changed."""

    class Npm:
        def __init__(self):
            self.members, self.fault, self.words = dict(MEMBERS), "", ()

        def run(self, words, cwd, **options):
            self.words = tuple(words[1:])
            if not self.fault:
                Path(cwd, "onnxruntime-web.tgz").write_bytes(archive_of(self.members))
            return subprocess.CompletedProcess(words, bool(self.fault), "", self.fault)

    npm = Npm()
    monkeypatch.setattr(demo.shutil, "which", lambda name: "/usr/bin/npm")
    monkeypatch.setattr(demo.subprocess, "run", npm.run)
    return npm


def test_the_folder_has_the_page_the_network_and_the_origin_of_what_came_from_npm(
    sam, tmp_path, npm, monkeypatch
):
    monkeypatch.setattr(demo, "checked_onnx", lambda sam, name: name.encode())
    folder = tmp_path / "new" / "demo"
    for _ in range(2):  # an earlier demo may be replaced
        assert demo.write_demo(sam, folder) == folder / "index.html"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    runtime = {f"onnxruntime-web/{name}" for name in demo.RUNTIME_FILES}
    page = {"index.html", "click.js", "click.css", "onnx_model.js", "example.png"}
    assert written == runtime | page | {"encoder.onnx", "decoder.onnx", "network.json", "LICENSES.txt"}
    assert npm.words == ("pack", "--ignore-scripts", "--silent", f"onnxruntime-web@{demo.VERSION}")
    about = json.loads((folder / "network.json").read_text())
    assert about["image_size"] == sam.image_encoder.img_size and about["image_format"] == "RGB"
    assert about["mask_size"] == list(sam.prompt_encoder.mask_input_size)
    with Image.open(folder / "example.png") as image:
        assert image.size == (about["example"]["width"], about["example"]["height"])
    licences = (folder / "LICENSES.txt").read_text()
    assert f"onnxruntime-web {demo.VERSION}\nlicence: MIT\nsource: https://example.org\n" in licences
    assert licences.count("sha256") == len(demo.RUNTIME_FILES)


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ({"homepage": "https://a.org", "repository": {"url": "git+https://b.org"}}, "https://a.org"),
        ({"homepage": "", "repository": {"url": "git+https://b.org"}}, "git+https://b.org"),
        ({"repository": {"url": "git+https://b.org"}}, "git+https://b.org"),
        ({"repository": {}}, ""),
        ({}, ""),
    ],
)
def test_the_source_is_the_homepage_or_else_the_repository(given, source):
    text = demo.origin({"name": "a", "version": "1", "license": "MIT"} | given, {})
    assert text.endswith(f"\nlicence: MIT\nsource: {source}\n")


def test_nothing_of_another_folder_is_replaced(sam, tmp_path, npm):
    (tmp_path / "index.html").write_text("mine")
    for content in (None, "{", "[]", '{"made_by": "another"}'):
        if content is not None:
            (tmp_path / "network.json").write_text(content)
        with pytest.raises(OutputError, match="choose a new folder"):
            demo.write_demo(sam, tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        demo.write_demo(sam, tmp_path / "index.html")
    assert (tmp_path / "index.html").read_text() == "mine" and not npm.words


def test_one_line_says_why_npm_gave_nothing(npm, monkeypatch):
    npm.fault = "npm error 404\nmore\n"
    with pytest.raises(MinisamError, match=r"npm cannot fetch onnxruntime-web .*: npm error 404$"):
        demo.runtime()
    npm.fault, npm.members = "", {name: data for name, data in MEMBERS.items() if not name.endswith("wasm")}
    with pytest.raises(MinisamError, match=r"has no package/dist/.*wasm"):
        demo.runtime()
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    with pytest.raises(MinisamError, match="npm is missing"):
        demo.runtime()


def test_archives_of_an_npm_that_failed_are_not_taken(npm, monkeypatch):
    def failed(words, cwd, **options):
        npm.run(words, cwd)
        return subprocess.CompletedProcess(words, 1, "", "npm error EPIPE\n")

    def several(words, cwd, **options):
        Path(cwd, "other.tgz").touch()
        return npm.run(words, cwd)

    for run, reason in ((failed, "npm error EPIPE"), (several, "no archive")):
        monkeypatch.setattr(demo.subprocess, "run", run)
        with pytest.raises(MinisamError, match=f"npm cannot fetch onnxruntime-web .*: {reason}$"):
            demo.runtime()


def test_nothing_of_npm_is_in_the_repository():
    root = Path(demo.__file__).parents[2]
    found = [path for path in (root / "minisam").rglob("*") if path.name in demo.RUNTIME_FILES]
    assert not found


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.mark.slow
@needs_browser
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm and its registry: apt install npm")
def test_the_page_gives_the_predictors_masks(tmp_path):
    from playwright.sync_api import expect

    from minisam.build import build_sam

    assert main(["export", "--demo", str(tmp_path), "--model", "tiny"]) == 0
    handler = functools.partial(Silent, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    faults = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        status = page.locator(".status")
        expect(status).to_contain_text("point at an object", timeout=60_000)
        box = page.locator(".stage canvas").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.55)
        expect(status).to_contain_text("Mask 1 of 3", timeout=20_000)
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 300, steps=3)
        page.mouse.up()
        expect(page.get_by_role("button", name="Undo")).to_be_enabled()
        page.keyboard.press("Control+z")
        expect(page.get_by_role("button", name="Redo")).to_be_enabled()
        expect(status).to_contain_text("Mask 1 of 3", timeout=20_000)
        with page.expect_download() as download:
            page.keyboard.press("j")
        download.value.save_as(tmp_path / "coco.json")
    server.shutdown()
    server.server_close()
    (annotation,) = json.loads((tmp_path / "coco.json").read_text())["annotations"]
    mask = decode_rle(annotation["segmentation"])
    assert mask.sum() == annotation["area"] and not faults
    with Image.open(tmp_path / "example.png") as image:
        pixels = np.array(image)
    predictor = SamPredictor(build_sam("tiny"))
    predictor.set_image(pixels)
    masks, iou, _ = predictor.predict(np.array([[0.45, 0.55]]) * pixels.shape[0], np.array([1]))
    best = masks[iou.argmax()]
    # The browser scales the photo by another filter than Pillow.
    assert abs(annotation["predicted_iou"] - iou.max()) < 0.02
    assert (mask & best).sum() / (mask | best).sum() > 0.9
