import numpy as np

from minisam.predict.everything.point_grids import (
    build_all_layer_point_grids,
    build_point_grid,
    inside_region,
)


def test_points_are_the_centres_of_cells_row_by_row():
    assert build_point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_grids_of_crops_get_coarser():
    assert [len(grid) for grid in build_all_layer_point_grids(32, 2, 2)] == [1024, 256, 64]
    assert [len(grid) for grid in build_all_layer_point_grids(5, 1, 1)] == [25, 25]


def test_inside_region():
    region = np.zeros((4, 6), bool)
    region[1, 2] = region[3, 5] = True
    points = np.array([[2.0, 1.0], [2.99, 1.99], [1.99, 1.5], [2.5, 2.0], [6.0, 4.0]])
    assert inside_region(points, region).tolist() == [True, True, False, False, True]
    for kind in (np.uint8, np.float32):
        assert inside_region(points, 255 * region.astype(kind)).tolist() == [True, True, False, False, True]
