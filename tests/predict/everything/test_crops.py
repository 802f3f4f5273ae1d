import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.predict.everything.crops import generate_crop_boxes, near_crop_edge

RATIO = 512 / 1500


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(30, 900), st.integers(30, 900), st.integers(0, 3))
def test_every_layer_covers_the_image(height, width, layers):
    boxes, layer_of = generate_crop_boxes((height, width), layers, RATIO)
    assert boxes[0] == (0, 0, width, height)
    assert [layer_of.count(layer) for layer in range(layers + 1)] == [4**layer for layer in range(layers + 1)]
    for layer in range(layers + 1):
        covered = np.zeros((height, width), bool)
        for (x0, y0, x1, y1), own in zip(boxes, layer_of, strict=True):
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            if own == layer:
                covered[y0:y1, x0:x1] = True
        assert covered.all()


def test_neighbours_overlap_by_a_third_of_the_short_side():
    boxes, _ = generate_crop_boxes((1500, 2000), 1, RATIO)
    overlap = 512
    assert boxes[1] == (0, 0, 1256, 1006)
    assert boxes[3][0] == 1256 - overlap and boxes[2][1] == 1006 - overlap


def test_only_inner_edges_cut_masks_off():
    crop, size = (100, 0, 300, 200), (200, 400)
    boxes = np.array(
        [
            [150, 50, 200, 100],  # in the middle
            [120, 50, 200, 100],  # 20 pixels from the crop's left edge
            [121, 50, 200, 100],
            [150, 0, 200, 199],  # top and bottom are the image's own
            [150, 50, 290, 100],
        ]
    )
    assert near_crop_edge(boxes, crop, size).tolist() == [False, True, False, False, True]


def test_an_image_smaller_than_the_number_of_crops():
    assert generate_crop_boxes((1, 1), 2, RATIO) == ([(0, 0, 1, 1)] * 3, [0, 1, 2])
