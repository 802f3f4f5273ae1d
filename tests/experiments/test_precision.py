"""bfloat16 is for processors that have it, and fp32 for all others."""

import pytest
import torch

from minisam.experiments.training import fast_precision


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"bf16": True}, "bf16"), ({"avx2": True, "amx_bf16": False}, "fp32")],
)
def test_precision_by_the_processor(capabilities, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fast_precision() == precision


def test_a_torch_that_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert fast_precision() == "fp32"
