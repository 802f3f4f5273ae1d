"""Masks as parallel arrays: picked, joined, or none at all."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from minisam.predict.everything.candidates import Candidates, join, no_candidates


def numbered(*numbers: int) -> Candidates:
    """Every field of a mask holds its number."""
    whole, real = np.array(numbers, np.int64), np.array(numbers, np.float32)
    return Candidates(
        borders=[np.array([n, n + 1]) for n in numbers],
        boxes=np.stack([whole] * 4, axis=1),
        crop_boxes=np.stack([whole] * 4, axis=1),
        iou_predictions=real,
        stability_scores=real,
        points=np.stack([real] * 2, axis=1).astype(np.float64),
    )


def numbers_of(candidates: Candidates) -> list[int]:
    first = [mask[0] for mask in candidates.borders]
    for field in fields(Candidates):
        values = getattr(candidates, field.name)
        assert [np.ravel(value)[0] for value in values] == first and len(values) == len(candidates)
    return first


def test_all_fields_are_picked_and_joined_alike():
    some = numbered(4, 5, 6)
    assert numbers_of(some.take(np.array([2, 0]))) == [6, 4]
    assert numbers_of(join([some, numbered(1), numbered(9, 8)])) == [4, 5, 6, 1, 9, 8]


def test_none_are_the_start_of_any_join():
    nothing = no_candidates()
    assert numbers_of(nothing) == []
    assert numbers_of(join([nothing, numbered(3)])) == [3]
    assert {field.name: getattr(nothing, field.name).dtype for field in fields(Candidates)[1:]} == {
        field.name: getattr(numbered(3), field.name).dtype for field in fields(Candidates)[1:]
    }
