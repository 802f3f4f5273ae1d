"""A name for weights: another one for any change of a name, shape, type or value, and the same wherever they lie."""

from __future__ import annotations

import hashlib
import struct
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from minisam.checkpoint.digest import weights_digest


def digest(**tensors: Tensor) -> str:
    return weights_digest(SimpleNamespace(state_dict=lambda: tensors))  # pyright: ignore[reportArgumentType]


ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    "other",
    [
        {"b": ONES},
        {"a": ONES.view(3, 2)},
        {"a": torch.ones(6)},
        {"a": ONES.view(torch.int32)},
        {"a": ONES + torch.finfo(torch.float32).eps * torch.eye(2, 3)},
        {"a": ONES, "b": torch.zeros(0)},
        {},
    ],
)
def test_any_change_gives_another_digest(other):
    assert digest(a=ONES) != digest(**other)


def test_memory_layout_and_gradients_do_not_count():
    weight = torch.arange(6.0).view(2, 3)
    turned = weight.T.contiguous().T
    assert not turned.is_contiguous()
    assert digest(a=weight) == digest(a=turned) == digest(a=weight.clone().requires_grad_())


def test_a_digest_stays_the_same_in_later_versions():
    content = (
        b"a (2,) torch.float32\n" + struct.pack("<2f", 1, 2) + b"b () torch.float16\n" + struct.pack("<e", 3)
    )
    expected = hashlib.sha256(content).hexdigest()
    assert digest(a=torch.tensor([1.0, 2.0]), b=torch.tensor(3.0).half()) == expected
