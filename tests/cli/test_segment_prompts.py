"""`minisam segment --prompts`: the masks of single commands, for one image or many, in one JSON document."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from minisam.build import WEIGHTS
from minisam.cli.main import main

NANO = ["--checkpoint", str(WEIGHTS / "nano.safetensors")]
PROMPTS = [{"point_coords": [[10, 12]]}, {"box": [5, 5, 30, 25]}]


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def prompts(folder, content):
    (folder / "prompts.json").write_text(json.dumps(content))
    return ["--prompts", str(folder / "prompts.json"), *NANO]


def masks_alone(folder, name, words, capsys):
    out = str(folder / "alone.png")
    assert main(["segment", str(folder / name), *words, *NANO, "--json", "-o", out]) == 0
    return json.loads(capsys.readouterr().out)["masks"]


def test_many_images(folder, capsys):
    words = prompts(folder, {"a.png": PROMPTS, "b.png": PROMPTS[:1]})
    assert main(["segment", *words, "--json"]) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert [len(record["prompts"]) for record in images] == [2, 1]
    for record, name in zip(images, ("a", "b"), strict=True):
        assert record["figure"] == str(folder / f"{name}_segment.png")
        with Image.open(record["figure"]) as figure:
            assert figure.width > 400 * len(record["prompts"])
    assert images[0]["prompts"][0]["masks"] == masks_alone(folder, "a.png", ["--point", "10,12"], capsys)
    assert images[0]["prompts"][1]["masks"] == masks_alone(folder, "a.png", ["--box", "5,5,30,25"], capsys)
    assert images[1]["prompts"][0]["masks"] == masks_alone(folder, "b.png", ["--point", "10,12"], capsys)


def test_an_image_that_cannot_be_used_is_named_and_the_others_follow(folder, capsys):
    (folder / "c.png").write_bytes(b"no image")
    outside = [{"box": [100, 100, 200, 200]}]
    words = prompts(folder, {"c.png": PROMPTS, "a.png": outside, "b.png": PROMPTS})
    assert main(["segment", *words, "--json"]) == 3
    heard = capsys.readouterr()
    first, second, third = json.loads(heard.out)["images"]
    assert "c.png" in first["error"] and "a.png, prompt 1" in second["error"] and len(third["prompts"]) == 2
    assert (folder / "b_segment.png").exists() and not (folder / "c_segment.png").exists()
    lines = heard.err.splitlines()
    assert len(lines) == 3 and lines[-1] == "minisam: 2 of 3 images are left out"


def test_one_image_with_a_list(folder, capsys):
    words = [*prompts(folder, PROMPTS), "--single", "-o", str(folder / "figure.png")]
    assert main(["segment", str(folder / "a.png"), *words]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and said[1].startswith(f"{folder / 'a.png'}, prompt 2: predicted IoU")
    assert (folder / "figure.png").exists()


def test_a_long_list_is_drawn_in_part(folder, capsys):
    assert main(["segment", str(folder / "a.png"), *prompts(folder, PROMPTS[:1] * 14), "--json"]) == 0
    heard = capsys.readouterr()
    assert "shows the first 12 of 14 prompts" in heard.err
    assert len(json.loads(heard.out)["images"][0]["prompts"]) == 14


@pytest.mark.parametrize(
    ("content", "more", "code", "says"),
    [
        ({"a.png": PROMPTS, "c.png": PROMPTS}, [], 3, "c.png: no such image file"),
        ({"a.png": PROMPTS, "b.png": PROMPTS}, ["-o", "x.png"], 2, "-o names the figure of one image"),
        ({"a.png": PROMPTS}, ["--point", "1,1"], 2, "leave out the others"),
        ({"a.png": [*PROMPTS, {"box": [100, 100, 200, 200]}]}, [], 2, "a.png, prompt 3: "),
        ({"a.png": [{"points": []}]}, [], 3, "prompt 1: not an object"),
        (PROMPTS, [], 3, "give IMAGE too"),
    ],
)
def test_one_line_says_what_is_wrong(content, more, code, says, folder, capsys):
    before = set(folder.iterdir()) | {folder / "prompts.json"}
    assert main(["segment", *prompts(folder, content), *more]) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error and set(folder.iterdir()) == before


def test_two_images_never_share_a_figure(folder, capsys):
    Image.open(folder / "a.png").convert("RGB").save(folder / "a.jpg")
    assert main(["segment", *prompts(folder, {"a.png": PROMPTS, "b.png": PROMPTS, "a.jpg": PROMPTS})]) == 2
    error = capsys.readouterr().err
    assert f"{folder / 'a.png'} and {folder / 'a.jpg'} would have one figure" in error
    assert not list(folder.glob("*_segment.png"))


def test_a_page_of_a_tiff(folder, capsys):
    pages = [Image.open(folder / name) for name in ("a.png", "b.png")]
    pages[0].save(folder / "scan.tif", save_all=True, append_images=pages[1:])
    second = masks_alone(folder, "b.png", ["--point", "10,12"], capsys)
    assert masks_alone(folder, "scan.tif", ["--point", "10,12", "--page", "2"], capsys) == second
    assert main(["segment", str(folder / "scan.tif"), "--point", "1,1", "--page", "3"]) == 3
    assert "there is no page 3; it has 2" in capsys.readouterr().err


def test_a_page_of_every_image(folder, capsys):
    pages = [Image.open(folder / name) for name in ("a.png", "b.png")]
    pages[0].save(folder / "scan.tif", save_all=True, append_images=pages[1:])
    words = prompts(folder, {"scan.tif": PROMPTS[:1], "b.png": PROMPTS[:1]})
    assert main(["segment", *words, "--json", "--page", "2"]) == 3  # b.png has one page
    capsys.readouterr()
    words = prompts(folder, {"scan.tif": PROMPTS[:1]})
    assert main(["segment", *words, "--json", "--page", "2"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["images"]
    assert record["prompts"][0]["masks"] == masks_alone(folder, "b.png", ["--point", "10,12"], capsys)


def test_nothing_to_segment(capsys):
    assert main(["segment"]) == 2
    assert "give an IMAGE, or --prompts" in capsys.readouterr().err
