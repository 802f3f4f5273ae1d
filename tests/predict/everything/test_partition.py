import numpy as np
import pytest

from minisam.errors import GeneratorError
from minisam.masks.rle import RleError, compress_rle, encode_rle
from minisam.predict.everything.partition import to_partition


def record(rows: slice, columns: slice, iou: float, form=lambda mask: mask) -> dict:
    mask = np.zeros((6, 8), bool)
    mask[rows, columns] = True
    return {
        "segmentation": form(mask),
        "area": int(mask.sum()),
        "predicted_iou": iou,
        "stability_score": 1.0,
    }


FORMS = {
    "mask": lambda m: m,
    "bytes": lambda m: m.astype(np.uint8),
    "grey": lambda m: m.astype(np.uint8) * 255,
    "counts": encode_rle,
    "string": lambda m: compress_rle(encode_rle(m)),
}


def nested(form=FORMS["mask"]) -> list[dict]:
    """A part inside a whole inside the image's half, the whole the best of them."""
    return [
        record(slice(2, 4), slice(2, 4), 0.6, form),
        record(slice(1, 5), slice(1, 5), 0.9, form),
        record(slice(0, 6), slice(0, 6), 0.7, form),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_small_masks_lie_on_large_ones(form):
    labels = to_partition(nested(FORMS[form]), (6, 8))
    assert labels.dtype == np.int32
    assert [(labels == label).sum() for label in range(4)] == [12, 4, 12, 20]
    assert labels[3, 3] == 1 and labels[1, 1] == 2 and labels[0, 0] == 3 and labels[0, 7] == 0


def test_good_masks_lie_on_doubtful_ones():
    labels = to_partition(nested(), (6, 8), on_top="good")
    assert [(labels == label).sum() for label in range(4)] == [12, 0, 16, 20]


@pytest.mark.parametrize("on_top", ["small", "good"])
def test_the_first_of_equals_is_on_top(on_top):
    same = [record(slice(0, 3), slice(0, 3), 0.5), record(slice(1, 4), slice(1, 4), 0.5)]
    labels = to_partition(same, (6, 8), on_top)
    assert (labels == 1).sum() == 9 and (labels == 2).sum() == 5


def test_no_masks_and_bad_ones():
    assert not to_partition([], (6, 8)).any()
    with pytest.raises(GeneratorError, match=r"mask 0 is \[6, 8\], the partition \[5, 8\]"):
        to_partition(nested()[:1], (5, 8))
    with pytest.raises(GeneratorError, match="on_top must be one of small, good"):
        to_partition(nested(), (6, 8), on_top="big")  # type: ignore
    damaged = {**nested()[0], "segmentation": {"size": [6, 8], "counts": [3]}}
    with pytest.raises(RleError):
        to_partition([damaged], (6, 8))


def test_a_good_mask_is_sure_and_stable():
    """0.9 · 0.5 is less than 0.6 · 1, and more than 0.4 · 1."""
    shaky = {**record(slice(0, 3), slice(0, 3), 0.9), "stability_score": 0.5}
    steady, doubtful = record(slice(0, 2), slice(0, 2), 0.6), record(slice(1, 3), slice(1, 3), 0.4)
    labels = to_partition([shaky, steady, doubtful], (6, 8), on_top="good")
    assert [(labels == label).sum() for label in (1, 2, 3)] == [5, 4, 0]
