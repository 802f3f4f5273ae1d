"""The image encoder against segment-anything's, and on sizes that segment-anything's refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from parity.oracle import SMALL, assert_same, original, random, relative_error, run_both

from minisam.bench.twins import build_original_encoder, build_twins, randomise
from minisam.build import sam_model_registry
from minisam.config import CONFIGS, build_from_config

PARAMETERS = {"vit_b": 89_670_912, "vit_l": 308_278_272, "vit_h": 637_026_048}


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_networks_have_the_same_parameters(name):
    with torch.device("meta"):
        ours, theirs = sam_model_registry[name](), original.sam_model_registry[name]()
    assert {key: t.shape for key, t in ours.state_dict().items()} == {
        key: t.shape for key, t in theirs.state_dict().items()
    }
    counts = [
        sum(p.numel() for p in part.parameters())
        for part in (ours.image_encoder, ours.prompt_encoder, ours.mask_decoder)
    ]
    assert counts == [PARAMETERS[name], 6_220, 4_058_340]
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)


GEOMETRIES = {
    "padded windows": SMALL,
    "windows that fit": replace(SMALL, window_size=4, encoder_depth=4, global_attn_indexes=(1, 3)),
    "a window larger than the grid": replace(SMALL, image_size=40, window_size=9),
    "an odd grid": replace(SMALL, image_size=104, encoder_heads=2, window_size=5),
    "only global blocks": replace(SMALL, encoder_depth=2, global_attn_indexes=(0, 1)),
    "only windows": replace(SMALL, encoder_depth=2, global_attn_indexes=()),
    "one token": replace(SMALL, image_size=8, window_size=1),
    "large patches": replace(SMALL, patch_size=16, encoder_dim=64, encoder_heads=1),
    "many small windows": replace(SMALL, image_size=200, window_size=3),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_small_encoder(name):
    config = GEOMETRIES[name]
    ours, theirs = build_twins(config)
    run_both(ours.image_encoder, theirs.image_encoder, random(1, 2, 3, config.image_size, config.image_size))


def test_thin_encoder_at_1024_pixels():
    config = replace(
        CONFIGS["vit_b"], encoder_dim=32, encoder_depth=2, encoder_heads=2, global_attn_indexes=(1,)
    )
    ours, theirs = build_twins(config)
    run_both(ours.image_encoder, theirs.image_encoder, random(1, 1, 3, 1024, 1024))


@pytest.mark.slow
def test_vit_b_at_1024_pixels():
    ours, theirs = build_twins(CONFIGS["vit_b"])
    run_both(ours.image_encoder, theirs.image_encoder, random(1, 1, 3, 1024, 1024))


def test_encoder_built_for_512_pixels():
    config = replace(CONFIGS["vit_b"], image_size=512, encoder_dim=48, encoder_heads=3, encoder_depth=3)
    ours, theirs = build_twins(config)
    image = random(1, 1, 3, 512, 512)
    with torch.no_grad():
        embedding = ours.image_encoder(image)
        assert embedding.shape == (1, 256, 32, 32)
        assert_same(embedding, theirs.image_encoder(image))


@pytest.mark.parametrize("size", [512, 768, 1088])
def test_encoder_made_for_1024_pixels_on_another_size(size):
    """The original is built for the other size and gets tables that were interpolated by hand."""
    config = replace(CONFIGS["vit_b"], encoder_dim=16, encoder_depth=3, encoder_heads=1, prompt_dim=32)
    config = replace(config, global_attn_indexes=(0, 2))
    ours, theirs = (
        build_from_config(config).image_encoder,
        build_original_encoder(replace(config, image_size=size)),
    )
    randomise(ours, seed=3)
    state, grid = ours.state_dict(), size // 16
    absolute = state["pos_embed"].permute(0, 3, 1, 2)
    state["pos_embed"] = F.interpolate(absolute, (grid, grid), mode="bicubic").permute(0, 2, 3, 1)
    for key in (
        f"blocks.{block}.attn.rel_pos_{axis}" for block in config.global_attn_indexes for axis in "hw"
    ):
        state[key] = F.interpolate(state[key].T[None], 2 * grid - 1, mode="linear")[0].T
    theirs.load_state_dict(state, strict=True)
    run_both(ours, theirs, random(4, 1, 3, size, size))


def test_relative_positions_of_another_size_as_the_original_reads_them():
    """Without its absolute positions the original takes any size, and interpolates the tables itself."""
    ours, theirs = (pair.image_encoder for pair in build_twins(SMALL))
    ours.pos_embed = theirs.pos_embed = None
    run_both(ours, theirs, random(4, 1, 3, 200, 200))


@pytest.mark.parametrize(
    "name", ["blocks.0.attn.rel_pos_h", "blocks.1.attn.rel_pos_w", "blocks.2.attn.qkv.bias"]
)
def test_the_comparison_sees_every_kind_of_weight(name):
    ours, theirs = (pair.image_encoder for pair in build_twins(SMALL))
    image = random(1, 1, 3, 128, 128)
    with torch.no_grad():
        ours.get_parameter(name)[0] += 0.01
        assert relative_error(ours(image), theirs(image)) > 1e-5
