"""COCO files: pycocotools reads what is written, and what it reads is what is read here."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest

from minisam.data.coco import coco_annotation, decode_segmentation, from_sa1b, read_coco, write_coco
from minisam.data.sa1b import annotate
from minisam.errors import DatasetError
from minisam.masks.rle import RleError, encode_rle

coco = pytest.importorskip("pycocotools.coco", reason="pip install -e '.[test]' brings pycocotools")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
IMAGES = [
    {"id": 1, "width": 40, "height": 30, "file_name": "a.png"},
    {"id": 2, "width": 25, "height": 50, "file_name": "sub/b.png"},
]


def open_with_pycocotools(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.COCO(str(path))


def test_every_kind_of_segmentation_decodes_as_in_pycocotools(tmp_path):
    rng = np.random.default_rng(1)
    blob, path = rng.random((30, 40)) < 0.4, tmp_path / "instances.json"
    polygons = [[3.2, 4, 20, 5.5, 12, 25], [22, 3, 39, 2, 30.7, 29]]
    annotations = [
        coco_annotation(blob, 1, 1),
        coco_annotation(blob, 2, 1, crowd=True),
        {**coco_annotation(blob, 3, 1), "segmentation": polygons},
        coco_annotation(np.ones((50, 25), bool), 4, 2, category_id=7),
        from_sa1b(annotate(blob, 5), image_id=1),
    ]
    write_coco(path, IMAGES, annotations, {1: "thing", 7: "page"})

    theirs, ours = open_with_pycocotools(path), read_coco(path)
    assert ours.images == IMAGES and not ours.skipped
    assert ours.categories == {1: "thing", 7: "page"}
    read = [one for image in IMAGES for one in ours.annotations[image["id"]]]
    assert sorted(one["id"] for one in read) == [1, 2, 3, 4, 5]
    for one in read:
        size = next((i["height"], i["width"]) for i in IMAGES if i["id"] == one["image_id"])
        expected = theirs.annToMask(theirs.anns[one["id"]]).astype(bool)
        np.testing.assert_array_equal(decode_segmentation(one["segmentation"], size), expected)
        if one["id"] != 3:
            rle = theirs.annToRLE(theirs.anns[one["id"]])
            assert one["bbox"] == coco.maskUtils.toBbox(rle).tolist()
            assert one["area"] == coco.maskUtils.area(rle)
    assert isinstance(read[1]["segmentation"]["counts"], list) and read[1]["iscrowd"] == 1
    assert isinstance(read[0]["segmentation"]["counts"], str) and read[0]["iscrowd"] == 0


def test_what_belongs_to_nothing_is_left_out_and_named(tmp_path):
    path = tmp_path / "x.json"
    good = coco_annotation(np.ones((30, 40), bool), 1, 1)
    content = {
        "images": [*IMAGES, IMAGES[0], 3, {"id": 4}, {"id": [1], "file_name": "c"}],
        "annotations": [good, {**good, "image_id": 9}, {}, None, {**good, "image_id": [1]}],
        "categories": 5,
    }
    path.write_text(json.dumps(content))
    read = read_coco(path)
    assert read.images == IMAGES and read.annotations == {1: [good]} and read.categories == {}
    assert [name.split(" of ")[0] for name in read.skipped] == [
        *(f"image {place}" for place in (2, 3, 4, 5)),
        *(f"annotation {place}" for place in (1, 2, 3, 4)),
    ]
    assert read.skipped.summary().startswith("left out 8: image 2 of ")
    assert "\n" not in read.skipped.summary()


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', '{"images": [], "annotations": {}}'])
def test_what_is_no_coco_file_is_one_clear_error(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"x\.json"):
        read_coco(path)


@pytest.mark.parametrize(
    ("segmentation", "error"),
    [
        (None, DatasetError),
        ("52203", DatasetError),
        ([], DatasetError),
        ([[1, 2]], DatasetError),
        ({}, RleError),
        ({"size": [30, 40], "counts": [5]}, RleError),
        (encode_rle(np.ones((40, 30), bool)), DatasetError),
    ],
)
def test_a_damaged_segmentation_is_one_clear_error(segmentation, error):
    with pytest.raises(error) as caught:
        decode_segmentation(segmentation, (30, 40))
    assert "\n" not in str(caught.value)


def test_an_annotation_by_hand(tmp_path):
    mask = np.zeros((6, 9), bool)
    mask[2:4, 3:8] = True
    found = coco_annotation(mask, 5, 2)
    assert (found["id"], found["image_id"], found["category_id"], found["iscrowd"]) == (5, 2, 1, 0)
    assert (found["area"], found["bbox"]) == (10, [3, 2, 5, 2])
    assert coco_annotation(mask & False, 5, 2)["bbox"] == [0, 0, 0, 0]
    assert coco_annotation(mask, 5, 2, name="a", area=3)["area"] == 3, "what is given wins"
    assert from_sa1b({"segmentation": {}}, 2)["bbox"] == [0, 0, 0, 0]
    assert from_sa1b(annotate(mask, 7), 2)["category_id"] == 1
    write_coco(tmp_path / "a.json", [], [])
    assert read_coco(tmp_path / "a.json").categories == {1: "object"}


def test_categories_without_a_name_have_their_number_and_text_may_be_a_number(tmp_path):
    content = {
        "images": [{**IMAGES[0], "id": "a"}],
        "annotations": [{"image_id": "a"}],
        "categories": [{"id": 3}, {"id": "x", "name": 7}, {"name": "none"}, 5],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    read = read_coco(tmp_path / "a.json")
    assert read.categories == {3: "3", "x": "7"}
    assert read.annotations == {"a": [{"image_id": "a"}]}
