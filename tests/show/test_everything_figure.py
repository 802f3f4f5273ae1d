import tracemalloc

import numpy as np

from minisam.show.everything_figure import everything_figure, label_colours, outlines, paint_labels


def square() -> tuple[np.ndarray, dict]:
    mask = np.zeros((40, 50), bool)
    mask[10:30, 10:40] = True
    image = np.full((40, 50, 3), 128, np.uint8)
    return image, {"segmentation": mask, "area": 600, "predicted_iou": 1.0, "stability_score": 1.0}


def test_image_and_masks_side_by_side():
    image, record = square()
    figure = everything_figure(image, [record])
    assert figure.dtype == np.uint8 and figure.shape == (40, 102, 3)
    np.testing.assert_array_equal(figure[:, :50], image)
    painted = figure[:, 52:]
    assert (painted[0, 0] == 128).all() and (painted[9, 20] == 255).all()
    assert len(set(painted[20, 20].tolist())) > 1


def test_a_wide_image_has_its_masks_below():
    assert everything_figure(np.zeros((20, 90, 3), np.uint8), []).shape == (42, 90, 3)


def test_without_masks_the_image_stays():
    image, _ = square()
    np.testing.assert_array_equal(paint_labels(image, np.zeros((40, 50), np.int32)), image)


def test_colours_differ_and_outlines_lie_between_labels():
    colours = label_colours(60)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(60)
    assert distances.min() > 5
    labels = np.array([[0, 0, 1], [0, 2, 1]], np.int32)
    assert outlines(labels).tolist() == [[False, True, False], [True, True, False]]


def test_outlines_are_a_thousandth_of_the_shorter_side_thick():
    labels = np.zeros((1000, 2300), np.int32)
    labels[:, 1200:] = 1
    assert np.flatnonzero(outlines(labels)[0]).tolist() == [1199]
    assert np.flatnonzero(outlines(labels.T)[:, 0]).tolist() == [1199]
    large = np.zeros((1400, 1500), np.int32)
    large[:, 700:] = 1
    assert np.flatnonzero(outlines(large)[0]).tolist() == [698, 699]


def test_many_rows_are_mixed_like_one_without_fractions_of_all():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (2100, 400, 3), np.uint8)
    labels = np.repeat(random.integers(0, 5, (70, 400)), 30, axis=0).astype(np.int32)
    tracemalloc.start()
    painted = paint_labels(image, labels)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert painted.dtype == np.uint8 and most < 6 * image.nbytes
    mixed = (0.45 * image + 0.55 * label_colours(5)[labels]).round()
    inside, edge = labels > 0, outlines(labels)
    assert (painted[inside & ~edge] == mixed[inside & ~edge]).all() and (painted[edge] == 255).all()
    assert (painted[~inside & ~edge] == image[~inside & ~edge]).all()
