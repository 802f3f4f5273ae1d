"""Outlining photographs by hand: what the four proposals of an object are, and what becomes of the chosen ones."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisam.build import build_sam
from minisam.masks.rle import decode_rle

HOME = Path(__file__).parents[2] / "docs" / "training" / "photographs"
CENTRE, RADIUS = (90, 60), 30
POLYGON = [[90, 32], [110, 40], [118, 60], [110, 80], [90, 88], [70, 80], [62, 60], [70, 40]]
DISC = {"label": "disc", "box": [58, 28, 122, 92], "positive": [[90, 60]], "negative": [[10, 10]]}


@pytest.fixture(scope="module")
def outline():
    sys.path.insert(0, str(HOME))
    try:
        spec = importlib.util.spec_from_file_location("outline", HOME / "outline.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HOME))
    return module


@pytest.fixture
def photo():
    """A red disc with some texture on a blue ground, uint8 [120, 160, 3], and where it is."""
    y, x = np.mgrid[:120, :160]
    disc = (x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 < RADIUS**2
    noise = np.random.default_rng(0).integers(-12, 12, (120, 160, 3))
    colours = np.where(disc[..., None], [200, 50, 40], [40, 60, 190]) + noise
    return colours.clip(0, 255).astype(np.uint8), disc


def iou(one, other) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@pytest.mark.parametrize(
    "thing", [DISC, DISC | {"polygons": [POLYGON]}, {"label": "disc", "box": DISC["box"]}]
)
def test_grabcut_finds_the_edge_from_a_box_and_from_a_rough_polygon(outline, photo, thing):
    image, disc = photo
    assert iou(outline.grabcut(image, thing), disc) > 0.97


def test_a_click_beside_the_object_is_not_in_grabcuts_mask(outline, photo):
    image, disc = photo
    cut = outline.grabcut(image, DISC | {"positive": [], "negative": [[100, 60]]})
    assert disc[60, 100] and not cut[60, 100]


def test_polygons_are_filled_and_united(outline):
    squares = [[[1, 1], [1, 3], [3, 3], [3, 1]], [[6, 6], [6, 7], [7, 7], [7, 6]]]
    mask = outline.filled(squares, (9, 10))
    assert mask.shape == (9, 10) and mask.sum() == 9 + 4 and mask[1:4, 1:4].all() and mask[6:8, 6:8].all()


def test_specks_are_removed_and_holes_filled(outline):
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50], mask[20, 20], mask[3, 3] = True, False, True
    whole = np.zeros((60, 60), bool)
    whole[10:50, 10:50] = True
    np.testing.assert_array_equal(outline.without_specks(mask), whole)


def test_proposals_and_choices_become_records(outline, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(outline, "build_sam", lambda: build_sam("nano"))
    image, disc = photo
    (tmp_path / "packages").mkdir()
    Image.fromarray(image).resize((1600, 1200)).save(tmp_path / "packages" / "disc.png")
    things = [
        {"label": "disc", "box": [250, 120, 560, 430], "positive": [[400, 270]]},
        {
            "label": "kite",
            "box": [290, 150, 520, 390],
            "polygons": [[[405, 153], [513, 270], [405, 387], [297, 270]]],
        },
        {"label": "sky", "box": [0, 0, 80, 80]},
    ]
    objects = [{"source": "disc.png", "name": "disc", "objects": things}]
    outline.propose(tmp_path / "packages", objects, tmp_path / "sheets")
    with Image.open(tmp_path / "sheets" / "disc.png") as sheet:
        assert sheet.size == (5 * outline.TILE, 3 * outline.TILE)
    [record] = outline.choose(objects, ["disc disc C", "disc kite D", "", "disc sky -"], tmp_path / "sheets")
    assert record["source"] == "disc.png"
    assert record["image"] == {"file_name": "disc.jpg", "width": 720, "height": 540}
    assert [(a["id"], a["label"]) for a in record["annotations"]] == [(0, "disc"), (1, "kite")]
    found, kite = (decode_rle(annotation["segmentation"]) for annotation in record["annotations"])
    expected = np.asarray(Image.fromarray(disc).resize((720, 540)))
    assert iou(found, expected) > 0.97
    np.testing.assert_array_equal(kite, outline.filled(things[1]["polygons"], (540, 720)))
    assert record["annotations"][1]["area"] == kite.sum()
    assert record["annotations"][1]["bbox"] == [297, 153, 217, 235]
    assert outline.choose(objects, ["disc disc -"], tmp_path / "sheets") == []
