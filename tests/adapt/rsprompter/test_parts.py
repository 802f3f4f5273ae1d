"""Aggregator, splitter, prompt head and sizes: the published numbers of parameters, and the order of their steps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from minisam.adapt.rsprompter.config import PrompterConfig, published_config, small_config
from minisam.adapt.rsprompter.feature_aggregator import FeatureAggregator
from minisam.adapt.rsprompter.feature_splitter import FeatureSplitter
from minisam.adapt.rsprompter.features import PrompterFeatures
from minisam.adapt.rsprompter.pixel_decoder import PixelDecoder
from minisam.adapt.rsprompter.prompt_head import PromptHead, sine_transform
from minisam.checkpoint.geometry import build_without_memory
from minisam.config import CONFIGS, build_from_config
from minisam.detect.sine_positions import sine_positions
from minisam.errors import MinisamError


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("network", "width", "states", "expected"),
    [("vit_b", 768, 6, 1_449_408), ("vit_l", 1024, 12, 1_807_488), ("vit_h", 1280, 16, 2_144_512)],
)
def test_published_sizes(network, width, states, expected):
    config = published_config(build_without_memory(CONFIGS[network]), "anchor", ("ship",))
    assert config.after == tuple(range(0, 2 * states, 2))  # outputs of blocks 1, 3, 5 … counted from 1
    assert parameters(FeatureAggregator(width, states, 256)) == expected
    if network == "vit_b":
        assert parameters(FeatureSplitter(256, 256, (-2, -1, 0, 1, 2))) == 2_839_104
        assert parameters(PromptHead(256, 256)) == 4_525_824


def test_the_sizes_of_variants_and_of_small_networks():
    sam = build_without_memory(CONFIGS["vit_b"])
    seg, det, anchor = (published_config(sam, variant, ("ship",)) for variant in ("seg", "det", "anchor"))
    assert (seg.boxes, det.boxes, anchor.boxes) == (512, 512, 256)
    assert seg.proposals.scales == (8.0,) and anchor.proposals.scales == (4.0, 8.0)
    tiny = small_config(build_without_memory(CONFIGS["tiny"]), "anchor", ("ship",))
    assert tiny.after == (1, 3, 5) and tiny.finest == 56
    with pytest.raises(MinisamError, match="'yolo'"):
        PrompterConfig("yolo", ("ship",), (0,))
    with pytest.raises(MinisamError, match="at least one class"):
        PrompterConfig("anchor", (), (0,))


def test_the_aggregator_adds_each_block_and_then_mixes():
    torch.manual_seed(0)
    aggregator = FeatureAggregator(6, 2, 8, hidden=8, norm="group").eval()
    states = [torch.randn(2, 4, 5, 6) for _ in range(2)]
    first, second = (down(s.permute(0, 3, 1, 2)) for s, down in zip(states, aggregator.down, strict=True))
    total = first + aggregator.mix[0](first)
    total = total + second
    total = total + aggregator.mix[1](total)
    torch.testing.assert_close(aggregator(states), aggregator.fuse(total))
    assert isinstance(aggregator.fuse[-1], torch.nn.Conv2d)


def test_the_splitter_makes_each_stride_and_its_coarsest_level_from_the_one_before():
    torch.manual_seed(0)
    splitter = FeatureSplitter(8, 4, (-2, -1, 0, 1, 2))
    pyramid = splitter(torch.randn(2, 8, 8, 12))
    assert [level.shape[1:] for level in pyramid] == [
        (4, 32, 48),
        (4, 16, 24),
        (4, 8, 12),
        (4, 4, 6),
        (4, 2, 3),
    ]
    assert pyramid[4].equal(pyramid[3][:, :, ::2, ::2])
    assert len(FeatureSplitter(8, 4, (-1, 0))(torch.randn(1, 8, 4, 4))) == 2
    biases = [
        name for name, _ in splitter.lateral.named_parameters() if name.endswith((".0.bias", ".2.bias"))
    ]
    assert not biases


def test_finer_levels_are_added_to_the_finest_of_the_three_that_attend():
    """By hand, without the attention."""
    torch.manual_seed(0)
    decoder = PixelDecoder(8, 32, 6, levels=5)
    decoder.layers = torch.nn.ModuleList()
    pyramid = [torch.randn(2, 8, side, side + 1) for side in (16, 8, 4, 2, 1)]
    memory, features = decoder(pyramid)
    for project, level, found in zip(decoder.project, pyramid[2:], memory, strict=True):
        torch.testing.assert_close(found, project(level))
    y = decoder.project[0](pyramid[2])
    for number in (1, 0):
        enlarged = F.interpolate(y, pyramid[number].shape[2:], mode="bilinear", align_corners=False)
        y = decoder.merge[number](decoder.lateral[number](pyramid[number]) + enlarged)
    torch.testing.assert_close(features, decoder.mask_features(y))


@pytest.mark.parametrize("deformable", [False, True])
def test_cells_attend_with_their_positions_and_the_embedding_of_their_level(deformable):
    torch.manual_seed(0)
    decoder = PixelDecoder(8, 32, 6, levels=3, heads=4, hidden=16, deformable=deformable)
    pyramid = [torch.randn(2, 8, side, side + 1) for side in (4, 2, 1)]
    memory, _ = decoder(pyramid)
    tokens, positions = [], []
    for number, level in enumerate(pyramid):
        tokens.append(decoder.project[number](level).flatten(2).mT)
        sine = sine_positions((level.shape[2], level.shape[3]), 32, level.device)
        positions.append(sine.flatten(1).T + decoder.level_embed[number])
    x, where, grids = torch.cat(tokens, 1), torch.cat(positions), [(4, 5), (2, 3), (1, 2)]
    for layer in decoder.layers:
        q = x + where
        mixed = layer.attention(q, x, grids) if deformable else layer.attention(q, q, x)
        x = layer.norm1(x + mixed)
        x = layer.norm2(x + layer.feed_forward(x))
    for found, part, grid in zip(memory, x.split([20, 6, 2], dim=1), grids, strict=True):
        torch.testing.assert_close(found, part.mT.reshape(2, 32, *grid))


def test_tokens_are_the_sine_of_even_numbers_plus_the_odd_ones():
    numbers = torch.tensor([[0.5, 10.0, 2.0, 20.0]])
    torch.testing.assert_close(
        sine_transform(numbers), torch.tensor([[0.5, 2.0]]).sin() + torch.tensor([[10.0, 20]])
    )
    head = PromptHead(8, 16, points=3, width=32, norm="group")
    assert head(torch.randn(2, 8, 14, 14)).shape == (2, 3, 16)
    assert head(torch.randn(0, 8, 14, 14)).shape == (0, 3, 16)
    plain = PromptHead(8, 16, points=3, width=32, norm="group", sine=False)
    assert plain.body[-1].out_features == 48 and head.body[-1].out_features == 96


@pytest.mark.parametrize("network", ["nano", "tiny"])
def test_the_pyramid_stands_on_the_tokens_after_the_blocks(network):
    """Also by the encoder's faster path in evaluation, which works in bands."""
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS[network])
    features = PrompterFeatures(sam, small_config(sam, "anchor", ("ship",)), (-1, 0, 1)).eval()
    side = sam.image_encoder.img_size
    images = torch.randn(1, 3, side, side)
    with torch.no_grad():
        x = sam.image_encoder.patch_embed(images) + sam.image_encoder.pos_embed
        states = []
        for number, block in enumerate(sam.image_encoder.blocks):
            x = x + block.attend(block.norm1(x))
            x = x + block.mlp(block.norm2(x))
            states += [x] if number in features.config.after else []
        expected = features.splitter(features.aggregator(states))
        embedding, pyramid = features.encode(images)
        torch.testing.assert_close(embedding, sam.image_encoder(images), atol=1e-4, rtol=1e-4)
    for level, wanted in zip(pyramid, expected, strict=True):
        torch.testing.assert_close(level, wanted, atol=2e-4, rtol=1e-3)
