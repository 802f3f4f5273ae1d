"""The absorbed transformer gives what the plain one gives, and is only chosen where it may be."""

from __future__ import annotations

import pytest
import torch
from held_to_reference import as_function, assert_same_values, random_state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import grids, heads, layouts, normal, seeds, sides
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from minisam.model.fast import absorbed_two_way_transformer as file
from minisam.model.fast.absorbed_two_way_transformer import (
    absorbed_two_way_transformer,
    absorbing_wins,
    prompts_per_block,
)
from minisam.model.fast.kernel_choice import choose_kernels_by, torch_alone
from minisam.model.two_way_transformer import TwoWayTransformer
from minisam_kernels.reference.two_way_transformer import two_way_transformer


class Absorbed(nn.Module):
    """The blocks joined, under the parameter names of the plain transformer."""

    def __init__(self, plain: TwoWayTransformer) -> None:
        super().__init__()
        self.__dict__["plain"] = plain
        for name, child in plain.named_children():
            self.add_module(name, child)

    def forward(self, image_embedding, image_pe, point_embedding):
        blocks = list(absorbed_two_way_transformer(self.plain, image_embedding, image_pe, point_embedding))
        return (
            torch.cat([queries for queries, _ in blocks]),
            torch.stack([image for _, images in blocks for image in images]),
        )


def draw(seed, prompts, tokens, grid, shared, num_heads=2, depth=2, rate=2):
    width = 4 * num_heads
    plain = TwoWayTransformer(depth, width, num_heads, mlp_dim=10, attention_downsample_rate=rate).eval()
    inputs = {
        "image_embedding": normal(seed, 1 if shared else prompts, width, *grid),
        "image_pe": normal(seed + 1, 1, width, *grid),
        "point_embedding": normal(seed + 2, prompts, tokens, width),
    }

    def reference(image_embedding, image_pe, point_embedding, **state):
        image, pe = (x.repeat(prompts // len(x), axis=0) for x in (image_embedding, image_pe))
        return two_way_transformer(image, pe, point_embedding, state, num_heads, depth)

    return plain, inputs, random_state(plain, seed), reference


@pytest.fixture(autouse=True)
def blocks_of_two(monkeypatch):
    """Several blocks, although these images are small."""
    monkeypatch.setattr(file, "prompts_per_block", lambda image: 2)


@given(
    seed=seeds,
    prompts=st.integers(1, 7),
    tokens=sides,
    grid=grids,
    shared=st.booleans(),
    num_heads=heads,
    depth=st.integers(0, 3),
    rate=st.sampled_from([1, 2, 4]),
    layout=layouts,
)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_values(seed, prompts, tokens, grid, shared, num_heads, depth, rate, layout):
    plain, inputs, state, reference = draw(seed, prompts, tokens, grid, shared, num_heads, depth, rate)
    assert_same_values(as_function(Absorbed(plain), *inputs), reference, inputs | state, layout)


def both(dtype, shared, prompts=5, tokens=7, grid=(8, 9), num_heads=4):
    """The outputs of the plain and of the absorbed transformer, and what they were computed from."""
    plain, inputs, state, _ = draw(3, prompts, tokens, grid, shared, num_heads)
    plain = plain.to(dtype)
    plain.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    tensors = [torch.tensor(value, dtype=dtype, requires_grad=True) for value in inputs.values()]
    image, pe, point = tensors
    expected = plain(image.expand(prompts, -1, -1, -1), pe.expand(prompts, -1, -1, -1), point)
    return expected, Absorbed(plain)(*tensors), [*tensors, *plain.parameters()]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_as_close_to_the_plain_one_as_rounding_allows(dtype, tolerance, shared):
    expected, got, _ = both(dtype, shared)
    for ours, plain in zip(got, expected, strict=True):
        assert ours.dtype == dtype
        assert (ours - plain).abs().max() <= tolerance * plain.abs().max()


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_of_every_input_and_parameter(shared):
    """A key's bias changes nothing: its gradient is nothing here and rounding there."""
    expected, got, sources = both(torch.float64, shared)
    weights = [torch.tensor(normal(9 + i, *out.shape)) for i, out in enumerate(expected)]
    wanted, found = (
        torch.autograd.grad(
            [(out * w).sum() for out, w in zip(outputs, weights, strict=True)],
            sources,
            materialize_grads=True,
        )
        for outputs in (expected, got)
    )
    for ours, plain in zip(found, wanted, strict=True):
        assert (ours - plain).abs().max() <= 1e-10 * max(1.0, plain.abs().max().item())


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest tensor had that an operation gave."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


def test_no_tensor_holds_an_image_for_every_prompt():
    plain, inputs, _, _ = draw(0, 24, 3, (16, 16), shared=True)
    image, pe, point = (torch.tensor(value, dtype=torch.float32) for value in inputs.values())
    plain.requires_grad_(False)
    with LargestTensor() as seen:
        blocks = sum(len(images) for _, images in absorbed_two_way_transformer(plain, image, pe, point))
    assert blocks == 24
    assert image.numel() <= seen.numbers <= 8 * image.numel()


def ordinary(dtype=torch.float32, **options):
    transformer = TwoWayTransformer(2, 256, 8, 64, **options).eval().to(dtype)
    return transformer, torch.zeros(64, 7, 256, dtype=dtype), torch.zeros(1, 256, 64, 64, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chosen_for_many_prompts_of_a_few_tokens(dtype):
    assert absorbing_wins(*ordinary(dtype))


def test_not_chosen_for_many_tokens_few_places_or_no_prompt():
    transformer, tokens, pe = ordinary()
    assert absorbing_wins(transformer, torch.zeros(64, 32, 256), pe)
    assert not absorbing_wins(transformer, torch.zeros(64, 33, 256), pe)
    assert not absorbing_wins(transformer, tokens, pe[..., :8, :8])
    assert not absorbing_wins(transformer, tokens[:0], pe)


def test_not_chosen_in_training_nor_for_half_precision():
    transformer, tokens, pe = ordinary(dropout=0.1)
    assert absorbing_wins(transformer, tokens, pe)
    assert not absorbing_wins(transformer.train(), tokens, pe)
    assert not absorbing_wins(*ordinary(torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert not absorbing_wins(*ordinary())


@pytest.mark.parametrize("recorder", [(torch.compiler, "is_compiling"), (file, "is_tracing")])
def test_not_chosen_where_a_graph_for_any_number_of_prompts_is_recorded(recorder, monkeypatch):
    assert absorbing_wins(*ordinary())
    monkeypatch.setattr(*recorder, lambda: True)
    assert not absorbing_wins(*ordinary())


def test_not_chosen_where_a_kernel_does_the_work():
    before = choose_kernels_by(lambda operation, tensor, head_dim: torch.add)
    try:
        assert not absorbing_wins(*ordinary())
        choose_kernels_by(torch_alone)
        assert absorbing_wins(*ordinary())
    finally:
        choose_kernels_by(before)


def test_not_chosen_where_a_step_is_watched_or_replaced():
    transformer, tokens, pe = ordinary()
    hook = transformer.final_attn_token_to_image.register_forward_hook(lambda *arguments: None)
    assert not absorbing_wins(transformer, tokens, pe)
    hook.remove()
    assert absorbing_wins(transformer, tokens, pe)

    class Adapted(nn.Linear):
        """A layer that does more than its weight says."""

    transformer.final_attn_token_to_image.q_proj = Adapted(256, 128)
    assert not absorbing_wins(transformer, tokens, pe)

    class Other(TwoWayTransformer):
        """A transformer with another forward."""

    assert not absorbing_wins(Other(2, 256, 8, 64).eval(), tokens, pe)


@pytest.mark.parametrize(
    ("grid", "expected"), [((64, 64), 4), ((128, 128), 1), ((256, 256), 1), ((16, 16), 64)]
)
def test_blocks_fit_a_cache(grid, expected):
    assert prompts_per_block(torch.empty(1, 256, *grid)) == expected
