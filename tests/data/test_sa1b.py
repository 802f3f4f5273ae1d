"""SA-1B records: what is written is read back, and pycocotools reads it too."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minisam.data.coco import coco_annotation
from minisam.data.images import load_image
from minisam.data.sa1b import annotate, middle_of_longest_run, read_record, write_record
from minisam.errors import DatasetError
from minisam.masks.rle import decode_rle

coco_mask = pytest.importorskip("pycocotools.mask", reason="pip install -e '.[test]' brings pycocotools")


def random_masks(rng: np.random.Generator, count: int, size: tuple[int, int]) -> list[np.ndarray]:
    masks = [rng.random(size) < rng.choice([0.02, 0.5, 1.0]) for _ in range(count)]
    for mask in masks:
        mask[rng.integers(size[0]), rng.integers(size[1])] = True
    return masks


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_masks_come_back_and_boxes_and_areas_are_theirs(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (31, 47, 3), dtype=np.uint8)
    masks = random_masks(rng, 20, (31, 47))
    path = write_record(tmp_path, image, [annotate(m, 7 + i) for i, m in enumerate(masks)], 12, ".png")
    assert path == tmp_path / "sa_12.json"
    record = read_record(path)
    assert record["image"] == {"image_id": 12, "width": 47, "height": 31, "file_name": "sa_12.png"}
    np.testing.assert_array_equal(load_image(tmp_path / "sa_12.png"), image)
    assert [one["id"] for one in record["annotations"]] == list(range(7, 27))
    for mask, one in zip(masks, record["annotations"], strict=True):
        rle = one["segmentation"]
        np.testing.assert_array_equal(decode_rle(rle), mask)
        np.testing.assert_array_equal(coco_mask.decode(rle), mask)
        assert one["area"] == coco_mask.area(rle)
        x, y, width, height = coco_mask.toBbox(rle).tolist()
        assert one["bbox"] == [x, y, width - 1, height - 1]
        (px, py) = one["point_coords"][0]
        assert mask[int(py), int(px)]
        assert one["crop_box"] == [0, 0, 47, 31]


def test_a_mask_of_numbers_is_annotated_as_its_booleans():
    mask = random_masks(np.random.default_rng(1), 1, (31, 47))[0]
    for number in (1, 255):
        numbers = mask.astype(np.uint8) * np.uint8(number)
        assert annotate(numbers, 1) == annotate(mask, 1)  # type: ignore
        assert coco_annotation(numbers, 1, 1) == coco_annotation(mask, 1, 1)  # type: ignore


def test_the_keys_are_those_of_the_data_set():
    keys = {
        "id",
        "segmentation",
        "bbox",
        "area",
        "predicted_iou",
        "stability_score",
        "point_coords",
        "crop_box",
    }
    assert set(annotate(np.ones((2, 3), bool), 1)) == keys


def test_a_click_in_the_longest_run():
    mask = np.zeros((9, 5), bool)
    mask[2:4, 0] = mask[1:6, 3] = True
    assert middle_of_longest_run(mask) == (3, 3)
    assert middle_of_longest_run(np.ones((1, 1), bool)) == (0, 0)


def test_unknown_keys_are_kept(tmp_path):
    extra = {**annotate(np.ones((4, 4), bool), 1), "colour": "red"}
    path = write_record(tmp_path, np.zeros((4, 4, 3), np.uint8), [extra], 1)  # pyright: ignore
    assert read_record(path)["annotations"] == [extra]


def test_a_record_that_cannot_be_written_leaves_no_json(tmp_path):
    (tmp_path / "sa_1.png").mkdir()
    with pytest.raises(Exception, match="folder"):
        write_record(tmp_path, np.zeros((4, 4, 3), np.uint8), [], 1, ".png")
    assert [path.name for path in tmp_path.iterdir()] == ["sa_1.png"]


GOOD_IMAGE = {"image_id": 1, "width": 4, "height": 4, "file_name": "a.jpg"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged"),
        ('{"image": {"image_', "damaged"),
        ("\x00\x01", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", 'no "image"'),
        ("{}", 'no "image"'),
        (json.dumps({"image": GOOD_IMAGE}), "annotations"),
        (json.dumps({"image": GOOD_IMAGE, "annotations": [1]}), "annotations"),
        (json.dumps({"image": {**GOOD_IMAGE, "file_name": "../a.jpg"}, "annotations": []}), "leads out"),
        (json.dumps({"image": {**GOOD_IMAGE, "file_name": "/a.jpg"}, "annotations": []}), "leads out"),
        (json.dumps({"image": {**GOOD_IMAGE, "file_name": 3}, "annotations": []}), "file_name"),
        (json.dumps({"image": {**GOOD_IMAGE, "width": 0}, "annotations": []}), "whole numbers"),
        (json.dumps({"image": {**GOOD_IMAGE, "width": 10**12}, "annotations": []}), "whole numbers"),
        (json.dumps({"image": {**GOOD_IMAGE, "height": "4"}, "annotations": []}), "whole numbers"),
    ],
)
def test_a_damaged_record_is_one_clear_error(tmp_path, text, words):
    path = tmp_path / "sa_1.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=words) as caught:
        read_record(path)
    assert "sa_1.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_record_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read_record(tmp_path / "sa_2.json")
    (tmp_path / "sa_3.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DatasetError, match="damaged"):
        read_record(tmp_path / "sa_3.json")
    with pytest.raises(DatasetError, match="empty"):
        annotate(np.zeros((3, 3), bool), 1)


@pytest.mark.parametrize(("first", "last", "middle"), [(3, 3, 3), (2, 6, 4), (2, 5, 3)])
def test_the_middle_of_a_run_is_the_upper_one_of_two(first, last, middle):
    mask = np.zeros((9, 5), bool)
    mask[first : last + 1, 2], mask[7, 4] = True, True
    assert middle_of_longest_run(mask) == (2, middle)
