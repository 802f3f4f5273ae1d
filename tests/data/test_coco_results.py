"""Results as a detector writes them: the box is the detector's own, or else the mask's; files of others are in
tests/cli/test_eval_ap.py."""

import json

import numpy as np
import pytest

from minisam.data.coco import decode_segmentation
from minisam.data.coco_results import Result, coco_result, read_results, write_results
from minisam.errors import DatasetError


@pytest.mark.parametrize(("box", "wanted"), [(None, (3.0, 2.0, 5.0, 4.0)), ((2.5, 1.0, 7.25, 6.0),) * 2])
def test_a_result_comes_back_from_its_file(box, wanted, tmp_path):
    mask = np.zeros((9, 12), bool)
    mask[2:6, 3:8] = True
    path = tmp_path / "results.json"
    write_results(path, [coco_result(mask, 0.75, "photo", 4, box)])
    (found,) = read_results(path)
    assert found == Result(0, "photo", 4, 0.75, wanted, found.segmentation)
    assert np.array_equal(decode_segmentation(found.segmentation, (9, 12)), mask)


@pytest.mark.parametrize("change", [{"score": True}, {"score": float("nan")}, {"bbox": [0, 0, 1, True]}])
def test_what_is_no_number_is_refused(change, tmp_path):
    """JSON's true is an int for Python, and would be a score of 1."""
    path = tmp_path / "results.json"
    result = {"image_id": 1, "category_id": 2, "score": 0.5, "bbox": [0, 0, 1, 1]}
    path.write_text(json.dumps([result]))
    assert read_results(path) == [Result(0, 1, 2, 0.5, (0.0, 0.0, 1.0, 1.0))]
    path.write_text(json.dumps([result, {**result, **change}]))
    with pytest.raises(DatasetError, match="result 1 has "):
        read_results(path)
