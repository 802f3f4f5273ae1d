"""Results as a detector writes them: the box is the detector's own, or else the mask's; files of others are in
tests/cli/test_eval_ap.py."""

import numpy as np
import pytest

from minisam.data.coco import decode_segmentation
from minisam.data.coco_results import Result, coco_result, read_results, write_results


@pytest.mark.parametrize(("box", "wanted"), [(None, (3.0, 2.0, 5.0, 4.0)), ((2.5, 1.0, 7.25, 6.0),) * 2])
def test_a_result_comes_back_from_its_file(box, wanted, tmp_path):
    mask = np.zeros((9, 12), bool)
    mask[2:6, 3:8] = True
    path = tmp_path / "results.json"
    write_results(path, [coco_result(mask, 0.75, "photo", 4, box)])
    (found,) = read_results(path)
    assert found == Result(0, "photo", 4, 0.75, wanted, found.segmentation)
    assert np.array_equal(decode_segmentation(found.segmentation, (9, 12)), mask)
