"""Columns of one length: filtered alike, appended as copies, and given out in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.predict.everything.mask_data import MaskData, batch_iterator


def columns() -> MaskData:
    return MaskData(a=torch.arange(4), b=np.arange(4.0), c=[["p"], ["q"], ["r"], ["s"]])


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(torch.tensor([True, False, False, True]), [0, 3]), (torch.tensor([2, 0, 2]), [2, 0, 2])],
)
def test_every_column_keeps_the_same_entries_in_the_same_order(keep, kept):
    data, before = columns(), columns()
    data.filter(keep)
    assert data["a"].tolist() == kept and data["b"].tolist() == kept
    assert data["c"] == [before["c"][place] for place in kept]


def test_appended_entries_are_copies():
    data, more = columns(), columns()
    data.cat(more)
    data.cat(MaskData(d=[["new"]], e=np.zeros(1)))
    assert data["a"].tolist() == data["b"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3] and len(data["c"]) == 8
    more["a"][0], more["b"][0] = 9, 9
    more["c"][0].append("changed")
    assert data["a"][4] == data["b"][4] == 0 and data["c"][4] == ["p"]


def test_a_new_column_is_a_copy_too():
    data, more = MaskData(), columns()
    data.cat(more)
    more["b"][0] = 9
    more["c"][0].append("changed")
    assert data["b"][0] == 0 and data["c"][0] == ["p"]


def test_tensors_become_arrays_and_the_rest_stays():
    data = MaskData(a=torch.ones(2, requires_grad=True), c=[1, 2])
    data.to_numpy()
    assert isinstance(data["a"], np.ndarray) and data["c"] == [1, 2]


def test_batches_are_of_one_size_but_the_last():
    batches = list(batch_iterator(2, [1, 2, 3], np.arange(3)))
    assert [(list(a), b.tolist()) for a, b in batches] == [([1, 2], [0, 1]), ([3], [2])]
    for wrong in ((), ([1, 2], [1])):
        with pytest.raises(ValueError, match="one length"):
            list(batch_iterator(2, *wrong))
