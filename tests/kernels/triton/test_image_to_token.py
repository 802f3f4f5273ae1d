"""What is true of image_to_token alone; what all kernels have to pass is in test_kernels.py."""

from __future__ import annotations

import pytest
import torch
from kernel_checks import check_norm
from kernel_operations import DEVICE, OPERATIONS, run, tensors

from minisam_kernels.cases import make_case
from minisam_kernels.image_to_token import MOST_TOKENS, image_to_token
from minisam_kernels.lab.catalog import module_of
from minisam_kernels.lab.check_case import check_case
from minisam_kernels.launch import INTERPRETED

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]


def test_the_result_is_normalised_with_the_layer_norms_parameters():
    inputs = tensors(make_case("image_to_token", "norm", (1, 1, 2, 3, 5, 24)), torch.float32)
    plain = inputs | {"weight": torch.ones(24, device=DEVICE), "bias": torch.zeros(24, device=DEVICE)}
    out = image_to_token(**plain, scale=0.2, eps=0.0)
    torch.testing.assert_close(out.mean(-1), torch.zeros_like(out[..., 0]), rtol=0, atol=1e-6)
    torch.testing.assert_close(out.square().mean(-1), torch.ones_like(out[..., 0]))
    scaled = image_to_token(**inputs, scale=0.2, eps=0.0)
    torch.testing.assert_close(scaled, out * inputs["weight"] + inputs["bias"])


@pytest.mark.skipif(not INTERPRETED, reason="float64 runs without a CUDA device alone")
def test_nothing_is_rounded_to_16_bits_before_the_norm_or_within_it():
    check_norm(OPERATIONS["image_to_token"], module_of("image_to_token"))


def test_a_shared_image_gives_what_copies_of_it_give_and_gathers_their_gradients():
    case = make_case("image_to_token", "shared", (1, 3, 2, 5, 19, 16))
    inputs = tensors(case, torch.float32)
    copies = inputs | {"image": inputs["image"].detach().repeat(3, 1, 1).requires_grad_()}
    (out, grads), (wanted, wanted_grads) = (
        run(image_to_token, inputs, case),
        run(image_to_token, copies, case),
    )
    assert torch.equal(out, wanted)
    torch.testing.assert_close(grads["image"], wanted_grads["image"].sum(dim=0, keepdim=True))
    torch.testing.assert_close(grads["image_pe"], wanted_grads["image_pe"])


def test_more_tokens_than_a_tile_of_some_heads_has_columns():
    check_case(image_to_token, make_case("image_to_token", "33", (1, 1, 2, 33, 17, 16)), torch.float32)


def test_a_number_of_heads_that_is_not_a_power_of_two():
    case = make_case("image_to_token", "five", (1, 1, 5, 3, 17, 16))
    for launch in ("half", "single"):
        check_case(lambda *values: image_to_token(*values, launch=launch), case, torch.float32)  # noqa: B023


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": (5, 16)}, r"image must be \[B or 1, S, E\] and rows \[B, N, T, E\], got \[5, 16\]"),
        ({"rows": (2, 6, 16)}, r"image must be \[B or 1, S, E\]"),
        ({"image": (3, 5, 16)}, r"image must be \[2, 5, 16\], got \[3, 5, 16\]"),
        ({"image_pe": (1, 5, 16)}, r"image_pe must be \[5, 16\]"),
        ({"offsets": (2, 3, 2)}, r"offsets must be \[2, 2, 3\], got \[2, 3, 2\]"),
        ({"values": (2, 2, 3, 8)}, r"values must be \[2, 2, 3, 16\]"),
        ({"weight": (8,)}, r"weight must be \[16\]"),
        ({"bias": (1, 16)}, r"bias must be \[16\]"),
        ({"rows": (2, 2, 3, 12)}, "12 channels have no kernel"),
        ({"rows": (2, 2, 0, 16), "offsets": (2, 2, 0), "values": (2, 2, 0, 16)}, "there are no tokens"),
        (
            {"rows": (2, 2, 65, 16), "offsets": (2, 2, 65), "values": (2, 2, 65, 16)},
            f"65 tokens have no kernel, {MOST_TOKENS} have",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named(changed, message):
    tokens = (2, 2, 3, 16)
    shapes = {
        "image": (2, 5, 16),
        "image_pe": (5, 16),
        "rows": tokens,
        "offsets": tokens[:3],
        "values": tokens,
    }
    shapes |= {"weight": (16,), "bias": (16,)} | changed
    inputs = {name: torch.zeros(shape, device=DEVICE) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=f"image_to_token: {message}"):
        image_to_token(**inputs, scale=0.25, eps=1e-5)
