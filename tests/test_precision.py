import pytest
import torch

from minisam.precision import AUTOCAST, computing_in


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), *list(AUTOCAST.items())[1:]])
def test_matrix_products_are_computed_in_the_precision_and_only_inside(precision, dtype):
    layer, x = torch.nn.Linear(4, 4), torch.ones(2, 4)
    with computing_in(precision, "cpu"):
        assert layer(x).dtype == dtype
        attention_is_a_product = not torch.backends.cuda.flash_sdp_enabled()
    assert attention_is_a_product == (precision != "fp32")
    assert layer(x).dtype == layer.weight.dtype == torch.float32 and torch.backends.cuda.flash_sdp_enabled()
