"""The outlined photographs of docs/training: the file holds together, and `collect.py` makes a folder of it."""

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisam.data.segmentation_folder import open_folder
from minisam.masks.rle import decode_rle

HOME = Path(__file__).parents[2] / "docs" / "training" / "photographs"
RECORDS = json.loads((HOME / "outlines.json").read_text())
TRAINING = json.loads((HOME / "training.json").read_text())


@pytest.fixture(scope="module")
def collect():
    spec = importlib.util.spec_from_file_location("collect", HOME / "collect.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.collect


def test_an_image_of_a_qt_resource_file_is_found_by_its_number(tmp_path, collect):
    """Small, damaged and transparent images are not counted."""
    parts = []
    for colour, side, mode in (
        ("red", 480, "RGB"),
        ("blue", 100, "RGB"),
        ("lime", 500, "RGBA"),
        ("green", 490, "RGB"),
    ):
        buffer = io.BytesIO()
        Image.new(mode, (side, side), colour if mode == "RGB" else (0, 255, 0, 90)).save(buffer, "WEBP")
        parts.append(buffer.getvalue())
    damaged = b"RIFF" + (20).to_bytes(4, "little") + b"WEBPxxxxxxxxxxxx"
    (tmp_path / "a.rcc").write_bytes(
        b"head" + parts[0] + damaged + b"RIFF" + parts[1] + parts[2] + b"...." + parts[3]
    )
    record = {"image": {"file_name": "a.jpg", "width": 48, "height": 48}, "annotations": []}
    outlines = tmp_path / "list.json"
    outlines.write_text(json.dumps([record | {"source": "a.rcc#1"}]))
    assert collect(tmp_path, tmp_path / "out", outlines) == []
    assert Image.open(tmp_path / "out" / "a.jpg").getpixel((5, 5)) == pytest.approx((0, 128, 0), abs=6)
    outlines.write_text(json.dumps([record | {"source": "a.rcc#2"}, record | {"source": "b.rcc#0"}]))
    assert collect(tmp_path, tmp_path / "out", outlines) == ["a.rcc#2", "b.rcc#0"]


def test_every_outline_fits_its_photograph():
    names = [record["image"]["file_name"] for record in RECORDS]
    assert len(set(names)) == len(RECORDS) == 66
    assert sum(len(record["annotations"]) for record in RECORDS) == 223
    for record in RECORDS:
        height, width = record["image"]["height"], record["image"]["width"]
        assert max(height, width) <= 1024
        for annotation in record["annotations"]:
            mask = decode_rle(annotation["segmentation"])
            assert mask.shape == (height, width) and mask.sum() == annotation["area"]
            assert 0.0015 <= mask.mean() <= 0.64
            rows, columns = np.nonzero(mask)
            box = [columns.min(), rows.min(), np.ptp(columns), np.ptp(rows)]
            np.testing.assert_allclose(annotation["bbox"], box, atol=1)


def test_the_outlines_to_train_on_fit_and_are_of_other_photographs():
    names = [record["image"]["file_name"] for record in TRAINING]
    assert len(set(names)) == len(TRAINING) > 100
    assert not {record["source"] for record in TRAINING} & {record["source"] for record in RECORDS}
    for record in TRAINING:
        labels = [annotation["label"] for annotation in record["annotations"]]
        assert labels and len(set(labels)) == len(labels)
        for annotation in record["annotations"]:
            mask = decode_rle(annotation["segmentation"])
            assert mask.shape == (record["image"]["height"], record["image"]["width"])
            assert mask.sum() == annotation["area"] >= 60


def test_photographs_are_scaled_to_their_outlines_and_missing_ones_are_named(tmp_path, collect):
    first, second = RECORDS[0], RECORDS[1]
    source = tmp_path / "packages" / first["source"]
    source.parent.mkdir(parents=True)
    twice = (2 * first["image"]["width"], 2 * first["image"]["height"])
    Image.new("RGB", twice, (200, 30, 30)).save(source)
    missing = collect(tmp_path / "packages", tmp_path / "photographs")
    assert len(missing) == 65 and second["source"] in missing and first["source"] not in missing
    folder = open_folder(tmp_path / "photographs")
    picture = folder.read(0)
    assert len(folder.names) == 1 and len(picture.segments) == len(first["annotations"])
    assert picture.segments[0].mask().sum() == first["annotations"][0]["area"]
