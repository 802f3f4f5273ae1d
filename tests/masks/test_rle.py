"""Run-length encoding against pycocotools, both ways, and every malformed encoding refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minisam.limits import MAX_PIXELS
from minisam.masks.rle import (
    RleError,
    compress_rle,
    counts_to_string,
    decode_rle,
    encode_rle,
    string_to_counts,
)

coco_mask = pytest.importorskip("pycocotools.mask", reason="pip install -e '.[test]' brings pycocotools")


def random_mask(rng: np.random.Generator) -> np.ndarray:
    """Empty, full, one row, one column, noise of any density and blobs, up to 300 per side."""
    height, width = rng.integers(1, 300, 2)
    shape = [(height, width), (1, width), (height, 1), (1, 1)][rng.choice(4, p=[0.7, 0.12, 0.12, 0.06])]
    kind = rng.integers(4)
    if kind == 0:
        return np.full(shape, bool(rng.integers(2)))
    if kind == 1:
        return rng.random(shape) < rng.random()
    rows, columns = np.indices(shape)
    radius = rng.random() * max(shape)
    blob = np.hypot(rows - rng.random() * shape[0], columns - rng.random() * shape[1]) < radius
    return blob if kind == 2 else ~blob


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_masks_equal_pycocotools_both_ways(count: int):
    rng = np.random.default_rng(count)
    for _ in range(count):
        mask = random_mask(rng)
        theirs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        plain = encode_rle(mask)
        ours = compress_rle(plain)
        assert ours == {"size": list(theirs["size"]), "counts": theirs["counts"].decode()}
        assert string_to_counts(theirs["counts"]).tolist() == plain["counts"]
        for rle in (plain, ours, theirs):
            np.testing.assert_array_equal(decode_rle(rle), mask)
        np.testing.assert_array_equal(coco_mask.decode({**ours, "counts": ours["counts"].encode()}), mask)


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0, 1], [0, 0]], [2, 1, 1]),
        ([[0, 0], [5, 0]], [1, 1, 2]),
    ],
)
def test_runs_go_down_the_columns_zeros_first(mask: list, counts: list):
    assert encode_rle(np.array(mask)) == {"size": [2, 2], "counts": counts}


@given(st.lists(st.integers(0, 80_000_000), max_size=30))
@example([15, 16, 31, 32, 511, 512, 80_000_000, 0])
@settings(max_examples=300, deadline=None, derandomize=True)
def test_string_keeps_any_counts(counts: list[int]):
    assert string_to_counts(counts_to_string(counts)).tolist() == counts


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        ({"size": [2, 3], "counts": [2, 3]}, "sum to 5, but size 2x3 has 6"),
        ({"size": [2, 3], "counts": []}, "sum to 0"),
        ({"size": [2, 3], "counts": [7, -1]}, "outside 0..6"),
        ({"size": [2, 3], "counts": [4, -1, 3]}, "outside 0..6"),
        ({"size": [2, 3], "counts": [7]}, "outside 0..6"),
        ({"size": [2, 3], "counts": [2**62] * 4 + [6]}, "outside 0..6"),
        ({"size": [2, 3], "counts": [2**70]}, "whole numbers"),
        ({"size": [2, 3], "counts": [6.0]}, "whole numbers"),
        ({"size": [2, 3], "counts": [[6], [1, 2]]}, "whole numbers"),
        ({"size": [2, 3], "counts": None}, "whole numbers"),
        ({"size": [2, 3], "counts": "~"}, "character"),
        ({"size": [2, 3], "counts": "é"}, "character"),
        ({"size": [2, 3], "counts": "\ud83d"}, "character"),
        ({"size": [2, 3], "counts": "6P"}, "truncated"),
        ({"size": [2, 3], "counts": "o" * 7 + "0"}, "damaged"),
        ({"size": [2, 3], "counts": ""}, "sum to 0"),
        ({"size": [0, 3], "counts": [0]}, "0x3"),
        ({"size": [3, 0], "counts": [0]}, "3x0"),
        ({"size": [-2, -3], "counts": [6]}, "-2x-3"),
        ({"size": [1, MAX_PIXELS + 1], "counts": []}, "must be 1"),
        ({"size": [1, MAX_PIXELS], "counts": []}, "sum to 0"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "pixels"),
        ({"size": [2.5, 3], "counts": [6]}, "must be"),
        ({"size": [2], "counts": [6]}, "must be"),
        ({"counts": [6]}, "must be"),
        ([2, 3], "must be"),
    ],
)
def test_malformed_encoding_is_one_clear_error(rle: dict, words: str):
    with pytest.raises(RleError, match=words) as caught:
        decode_rle(rle)
    assert "\n" not in str(caught.value)


@given(st.one_of(st.binary(max_size=40), st.text(alphabet=[chr(c) for c in range(48, 112)], max_size=40)))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_string_decodes_or_is_refused(counts: bytes | str):
    try:
        mask = decode_rle({"size": [5, 7], "counts": counts})
    except RleError:
        return
    assert mask.shape == (5, 7)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (1, 2, 3)])
def test_what_is_not_a_mask_is_refused(shape: tuple):
    with pytest.raises(RleError, match=r"\[H, W\]"):
        encode_rle(np.zeros(shape, bool))
