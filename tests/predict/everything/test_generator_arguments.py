"""Invalid arguments of the generator: one line, before the network is used."""

from __future__ import annotations

import numpy as np
import pytest

from minisam.config import CONFIGS, build_from_config
from minisam.errors import GeneratorError
from minisam.predict import SamAutomaticMaskGenerator


@pytest.fixture(scope="module")
def nano():
    return build_from_config(CONFIGS["nano"])


POINTS = np.array([[0.25, 0.5], [0.75, 1.0]])
BAD = [
    (
        {"points_per_side": 99_999_999_999},
        "points_per_side must be at least 1 and at most 1024, got 99999999999",
    ),
    ({"points_per_side": 10**400}, "points_per_side must be at least 1"),
    ({"points_per_side": 0}, "points_per_side must be at least 1"),
    ({"points_per_side": -3}, "points_per_side must be at least 1"),
    ({"points_per_side": 3.5}, "points_per_side must be a whole number, got 3.5"),
    ({"points_per_side": "many"}, "points_per_side must be a number, got 'many'"),
    ({"points_per_batch": 0}, "points_per_batch must be at least 1, got 0"),
    ({"points_per_batch": None}, "points_per_batch must be a number"),
    ({"crop_n_layers": -1}, "crop_n_layers must be at least 0 and at most 6, got -1"),
    ({"crop_n_layers": 50}, "crop_n_layers must be at least 0 and at most 6, got 50"),
    ({"crop_n_layers": 1, "crop_n_points_downscale_factor": 0}, "downscale_factor must be at least 1, got 0"),
    ({"crop_n_points_downscale_factor": 0}, "downscale_factor must be at least 1, got 0"),
    ({"crop_overlap_ratio": 2}, "crop_overlap_ratio must be at least 0 and below 1, got 2"),
    ({"crop_overlap_ratio": 1}, "crop_overlap_ratio must be at least 0 and below 1"),
    ({"crop_overlap_ratio": -0.1}, "crop_overlap_ratio must be at least 0 and below 1"),
    ({"crop_overlap_ratio": float("nan")}, "crop_overlap_ratio must be a number"),
    ({"box_nms_thresh": float("nan")}, "box_nms_thresh must be a number"),
    ({"min_mask_region_area": -1}, "min_mask_region_area must be at least 0"),
    ({"point_grids": [POINTS * 500]}, r"point_grids\[0\] must have the shape \(N, 2\), with x and y in 0"),
    ({"point_grids": [POINTS, POINTS[:, :1]], "crop_n_layers": 1}, r"point_grids\[1\] must"),
    ({"point_grids": [POINTS * np.nan]}, r"point_grids\[0\] must"),
    ({"point_grids": [POINTS], "points_per_side": 16}, "either points_per_side or point_grids"),
    ({"point_grids": [POINTS], "crop_n_layers": 1}, "needs 2 point_grids"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=str)
def test_one_line_before_any_work(options, words):
    with pytest.raises(GeneratorError, match=words) as caught:
        SamAutomaticMaskGenerator(None, **options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_point_grids_alone_are_enough(nano):
    for options in ({}, {"points_per_side": None}):
        generator = SamAutomaticMaskGenerator(
            nano, point_grids=[POINTS], pred_iou_thresh=-1, stability_score_thresh=-1, **options
        )
        records = generator.generate(np.zeros((16, 32, 3), np.uint8))
        clicks = {tuple(record["point_coords"][0]) for record in records}
        assert clicks <= {(8.0, 8.0), (24.0, 16.0)}


def test_numbers_of_any_type_are_taken(nano):
    generator = SamAutomaticMaskGenerator(
        nano,
        points_per_side=np.int64(8),  # pyright: ignore[reportArgumentType]
        crop_n_layers=np.int32(1),  # pyright: ignore[reportArgumentType]
        crop_n_points_downscale_factor=1.5,  # pyright: ignore[reportArgumentType]
        box_nms_thresh=1,
        pred_iou_thresh=float("-inf"),
    )
    assert [len(grid) for grid in generator.point_grids] == [64, 25]


def test_a_generator_follows_the_size_of_its_network(nano):
    generator = SamAutomaticMaskGenerator(
        nano, points_per_side=2, pred_iou_thresh=-1, stability_score_thresh=-1, box_nms_thresh=1
    )
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    try:
        nano.set_image_size(128)
        later = SamAutomaticMaskGenerator(
            nano, points_per_side=2, pred_iou_thresh=-1, stability_score_thresh=-1, box_nms_thresh=1
        )
        ours, wanted = generator.generate(image), later.generate(image)
    finally:
        nano.set_image_size(64)
    assert len(ours) == len(wanted) > 0
    for record, same in zip(ours, wanted, strict=True):
        assert np.array_equal(record["segmentation"], same["segmentation"])
