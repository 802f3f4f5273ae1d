"""A block on the grid, whole or in bands, gives what the plain block gives that cuts and pads windows."""

from __future__ import annotations

import pytest
import torch
from strategies import normal
from torch import nn

from minisam.bench.twins import randomise
from minisam.model.fast import dispatcher, grid_block
from minisam.model.fast.dispatcher import faster_block
from minisam.model.fast.fast_paths import FAST_PATHS
from minisam.model.fast.grid_block import block_by_bands, block_on_grid, takes_grid, works_by_the_band
from minisam.model.image_encoder import Block
from minisam.model.window_attention import WindowAttention

WINDOW, GLOBAL = 3, 0


def build(window_size: int, dtype: torch.dtype = torch.float64) -> Block:
    block = Block(16, 2, use_rel_pos=True, window_size=window_size, input_size=(7, 8))
    randomise(block, seed=0)
    return block.eval().to(dtype)


def tokens(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A grid of 7 × 8, which windows of three do not divide."""
    return torch.tensor(normal(1, 2, 7, 8, 16), dtype=dtype, requires_grad=True)


@pytest.fixture
def plain_code(monkeypatch):
    """Blocks use it independent of the dispatcher."""
    monkeypatch.delitem(FAST_PATHS, Block)


@pytest.fixture(params=[1, 40, 64, 1000], ids="{} tokens a band".format)
def tokens_per_band(request, monkeypatch):
    monkeypatch.setattr(grid_block, "TOKENS_PER_BAND", request.param)


@pytest.mark.usefixtures("plain_code", "tokens_per_band")
@pytest.mark.parametrize("window_size", [WINDOW, GLOBAL])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_values_and_gradients_are_the_plain_blocks(window_size, dtype, tolerance):
    block, x = build(window_size, dtype), tokens(dtype)
    sources = [x, *block.parameters()]
    upstream = torch.tensor(normal(2, *x.shape), dtype=dtype)
    expected = block(x)
    wanted = torch.autograd.grad((expected * upstream).sum(), sources)
    largest = max(gradient.abs().max() for gradient in wanted)
    for path in (block_by_bands, block_on_grid):
        found = path(block, x)
        assert (found - expected).abs().max() <= tolerance * expected.abs().max()
        for ours, plain in zip(torch.autograd.grad((found * upstream).sum(), sources), wanted, strict=True):
            assert (ours - plain).abs().max() <= tolerance * largest


@pytest.mark.usefixtures("tokens_per_band")
def test_no_band_is_larger_than_it_may_be_unless_a_window_is():
    block, seen = build(WINDOW), []
    block.mlp.register_forward_hook(lambda _, given, out: seen.append(given[0].shape))
    block_by_bands(block, tokens())
    rows = [shape[1] for shape in seen]
    assert sum(rows) == 7 and max(rows) <= max(WINDOW, grid_block.TOKENS_PER_BAND // (2 * 8))


@pytest.mark.parametrize(
    ("window_size", "training", "path"),
    [
        (WINDOW, False, "bands"),
        (GLOBAL, False, "bands"),
        (WINDOW, True, "grid"),
        (GLOBAL, True, None),
    ],
)
def test_which_path_is_taken(window_size, training, path, monkeypatch):
    for name in ("block_by_bands", "block_on_grid"):
        monkeypatch.setattr(dispatcher, name, lambda *_, name=name: name.split("_")[-1])
    assert faster_block(build(window_size).train(training), tokens()) == path


@pytest.mark.parametrize("window_size", [WINDOW, GLOBAL])
def test_what_is_watched_or_replaced_does_not_work_by_the_band(window_size):
    block = build(window_size)
    assert works_by_the_band(block) and takes_grid(block) is (window_size == WINDOW)
    hook = block.register_forward_hook(lambda *arguments: None)
    assert not works_by_the_band(block)
    hook.remove()
    block.norm1 = nn.GroupNorm(1, 16).eval()
    assert not works_by_the_band(block)


def test_hooked_attention_gets_windows():
    block, seen = build(WINDOW), []
    hook = block.attn.register_forward_hook(lambda _, given, out: seen.append(given[0].shape))
    assert not takes_grid(block) and faster_block(block, tokens()) is None
    found = block(tokens())
    hook.remove()
    assert seen == [(2 * 9, WINDOW, WINDOW, 16)]
    torch.testing.assert_close(found, block(tokens()))


@pytest.mark.parametrize("training", [True, False])
def test_a_subclass_of_window_attention_gets_windows(training):
    """It may have a forward that expects them, as in segment-anything."""

    class Seen(WindowAttention):
        def forward(self, x):
            seen.append(x.shape)
            return super().forward(x)

    block, seen = build(WINDOW), []
    expected = block(tokens())
    block.attn.__class__ = Seen
    block.train(training)
    assert not takes_grid(block) and not works_by_the_band(block)
    found = block(tokens())
    assert seen == [(2 * 9, WINDOW, WINDOW, 16)]
    torch.testing.assert_close(found, expected)
