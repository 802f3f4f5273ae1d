from functools import partial

import pytest
import torch
from torch import nn

from minisam.model import ImageEncoderViT
from minisam.model.fast import grid_block
from minisam.model.fast.fast_paths import FAST_PATHS
from minisam.model.image_encoder import Block, resize_absolute_positions


def small_encoder(img_size=96, **changes):
    arguments = dict(
        img_size=img_size,
        embed_dim=24,
        depth=4,
        num_heads=2,
        out_chans=16,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=4,
        global_attn_indexes=(1, 3),
    )
    encoder = ImageEncoderViT(**{**arguments, **changes}).eval()
    torch.manual_seed(0)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.2)
    return encoder


def test_a_512_encoder_gives_32_by_32():
    assert small_encoder(img_size=512)(torch.randn(1, 3, 512, 512)).shape == (1, 16, 32, 32)


@pytest.mark.parametrize("size", [(96, 96), (64, 64), (128, 96), (16, 160)])
def test_one_encoder_takes_every_multiple_of_the_patch(size):
    out = small_encoder()(torch.randn(2, 3, *size))
    assert out.shape == (2, 16, size[0] // 16, size[1] // 16) and out.isfinite().all()


def test_other_sizes_are_refused_by_name():
    with pytest.raises(ValueError, match="multiples of 16, got 100 x 96"):
        small_encoder()(torch.randn(1, 3, 100, 96))


def test_absolute_positions_keep_a_linear_ramp_when_resized():
    ramp = ((torch.arange(12) + 0.5) / 12)[None, :, None, None].expand(1, 12, 12, 1)
    resized = resize_absolute_positions(ramp, (6, 24))
    assert resized.shape == (1, 6, 24, 1)
    expected = ((torch.arange(6) + 0.5) / 6)[1:-1, None].expand(4, 24)
    torch.testing.assert_close(resized[0, 1:-1, :, 0], expected, atol=0.02, rtol=0)


def test_images_of_a_batch_do_not_see_each_other():
    encoder, images = small_encoder(), torch.randn(3, 3, 96, 96)
    together = encoder(images)
    for image, embedding in zip(images, together, strict=True):
        torch.testing.assert_close(encoder(image[None])[0], embedding, rtol=1e-4, atol=1e-5)


def test_a_window_block_keeps_changes_inside_its_window_and_a_global_block_does_not():
    image = torch.randn(1, 3, 128, 128)
    changed = image.clone()
    changed[..., :16, :16] += 1

    def touched(encoder):
        difference = []
        hook = encoder.blocks[-1].register_forward_hook(lambda *arguments: difference.append(arguments[-1]))
        encoder(image), encoder(changed)
        hook.remove()
        return (difference[0] - difference[1]).abs().amax(dim=-1)[0] > 1e-6

    windows = touched(small_encoder(128, depth=2, global_attn_indexes=()))
    assert windows[:4, :4].all() and not windows[4:].any() and not windows[:, 4:].any()
    assert touched(small_encoder(128, depth=2, global_attn_indexes=(1,))).all()


def test_drop_path_grows_with_depth_and_only_acts_in_training():
    encoder = small_encoder(drop_path_rate=0.4)
    assert [block.drop_path.rate for block in encoder.blocks] == pytest.approx([0, 0.4 / 3, 0.8 / 3, 0.4])
    image = torch.randn(2, 3, 96, 96)
    assert encoder(image).equal(encoder(image))
    encoder.train()
    assert not encoder(image).equal(encoder(image))


@torch.no_grad()
@pytest.mark.parametrize("after", [(1,), (0, 1, 2, 3), (3, 0, 0), ()], ids=str)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_features_are_what_hooks_see_and_the_embedding_is_unchanged(after, half, training, monkeypatch):
    """Windowed blocks are 0 and 2, global ones 1 and 3; six rows of tokens are no multiple of the window of four.

    A hook on a block sends it to the plain code, so the tokens are compared up to rounding.
    """
    monkeypatch.setattr(grid_block, "TOKENS_PER_BAND", 12)
    encoder, images = small_encoder().train(training), torch.randn(2, 3, 96, 96)
    seen = {}
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        expected = encoder(images)
        embedding, features = encoder.forward_features(images, after)
        for index, block in enumerate(encoder.blocks):
            block.register_forward_hook(lambda _, given, out, index=index: seen.update({index: out}))
        encoder(images)
    assert embedding.equal(expected) and len(features) == len(after)
    for index, tokens in zip(after, features, strict=True):
        assert tokens.shape == (2, 6, 6, 24) and tokens.dtype == seen[index].dtype
        largest = seen[index].abs().max().item()
        assert (tokens - seen[index]).abs().max().item() <= (2e-2 if half else 1e-5) * largest


def test_features_after_the_last_block_lead_to_the_embedding():
    encoder = small_encoder()
    embedding, (tokens,) = encoder.forward_features(torch.randn(1, 3, 96, 96), after=(3,))
    assert encoder.neck(tokens.permute(0, 3, 1, 2)).equal(embedding)


def test_gradients_flow_through_features():
    encoder = small_encoder()
    _, (early,) = encoder.forward_features(torch.randn(1, 3, 96, 96), after=[1])
    early.sum().backward()
    assert encoder.blocks[1].mlp.lin2.weight.grad is not None
    assert encoder.blocks[2].mlp.lin2.weight.grad is None


@pytest.mark.parametrize("after", [(4,), (-1,), (0, 7)])
def test_blocks_that_are_not_there_are_refused(after):
    with pytest.raises(ValueError, match=r"the blocks are 0 to 3, got \["):
        small_encoder().forward_features(torch.randn(1, 3, 96, 96), after)


@torch.no_grad()
def test_a_subclass_of_a_block_runs_the_plain_code(monkeypatch):
    class Named(Block):
        """Changes nothing."""

    monkeypatch.setattr(grid_block, "TOKENS_PER_BAND", 12)
    asked, faster = [], FAST_PATHS[Block]
    monkeypatch.setitem(FAST_PATHS, Block, lambda block, x: asked.append(block) or faster(block, x))
    encoder, image = small_encoder(), torch.randn(1, 3, 96, 96)
    expected, blocks = encoder(image), list(encoder.blocks)
    assert asked == blocks
    for block in blocks:
        block.__class__ = Named
    asked.clear()
    found = encoder(image)
    assert not asked
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_absolute_positions_are_resized_by_a_cubic_curve():
    """It overshoots beside a step, where straight lines between the positions stay within it."""
    places = (torch.arange(12) + 0.5) / 12
    step = (places > 0.5).float()[None, :, None, None].expand(1, 12, 12, 1)
    resized = resize_absolute_positions(step, (24, 12))
    assert resized.min() < -0.01 and resized.max() > 1.01


@torch.no_grad()
@pytest.mark.parametrize("grid", [(5, 9), (9, 5), (8, 4), (3, 3)])
def test_windows_of_a_grid_of_any_sides_on_either_road(grid):
    """A hook on the attention takes the plain road, which partitions the grid itself."""
    torch.manual_seed(0)
    block = Block(24, 2, use_rel_pos=True, rel_pos_zero_init=False, window_size=4).eval()
    tokens = torch.randn(2, *grid, 24)
    expected = block(tokens)
    block.attn.register_forward_hook(lambda *_: None)
    found = block(tokens)
    assert found.shape == tokens.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
