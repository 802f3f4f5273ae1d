"""The mask decoder and its two-way transformer against segment-anything's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from parity.oracle import SMALL, modeling, random, relative_error, run_both

from minisam.bench.twins import build_twins, randomise
from minisam.model import TwoWayTransformer

E, GRID = SMALL.prompt_dim, SMALL.image_size // SMALL.patch_size


@pytest.fixture(scope="module")
def decoders():
    ours, theirs = build_twins(SMALL)
    return ours.mask_decoder, theirs.mask_decoder


def inputs(prompts: int, tokens: int) -> tuple[torch.Tensor, ...]:
    """Image embedding and positions, sparse and dense prompt embeddings."""
    grid = (E, GRID, GRID)
    return random(1, 1, *grid), random(2, 1, *grid), random(3, prompts, tokens, E), random(4, prompts, *grid)


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize(("prompts", "tokens"), [(1, 2), (3, 5), (2, 0)])
def test_decoder(decoders, prompts, tokens, multimask_output):
    run_both(*decoders, *inputs(prompts, tokens), multimask_output)


def test_all_four_masks(decoders):
    run_both(decoders[0].predict_masks, decoders[1].predict_masks, *inputs(2, 3))


def test_one_image_for_each_prompt(decoders):
    """The original repeats images; ours can also use one per prompt, which the original does one by one."""
    images = random(5, 2, E, GRID, GRID)
    _, positions, sparse, dense = inputs(2, 3)

    def one_by_one(multimask_output: bool) -> tuple[torch.Tensor, ...]:
        results = [
            decoders[1](images[n : n + 1], positions, sparse[n : n + 1], dense[n : n + 1], multimask_output)
            for n in range(2)
        ]
        return tuple(torch.cat(parts) for parts in zip(*results, strict=True))

    run_both(lambda multimask: decoders[0](images, positions, sparse, dense, multimask), one_by_one, True)


@pytest.mark.parametrize("geometry", [{}, {"decoder_depth": 1}, {"decoder_depth": 3, "decoder_heads": 2}])
def test_other_depths_and_heads(geometry):
    ours, theirs = build_twins(replace(SMALL, **geometry), seed=1)
    run_both(ours.mask_decoder, theirs.mask_decoder, *inputs(2, 3), True)


@pytest.mark.parametrize(("depth", "heads", "mlp_dim"), [(2, 8, 64), (1, 1, 7), (3, 4, 32)])
def test_two_way_transformer(depth, heads, mlp_dim):
    ours = TwoWayTransformer(depth, 32, heads, mlp_dim).eval()
    theirs = modeling.TwoWayTransformer(depth, 32, heads, mlp_dim).eval()
    randomise(ours, seed=2)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    run_both(ours, theirs, random(1, 2, 32, 5, 7), random(2, 2, 32, 5, 7), random(3, 2, 6, 32))


@pytest.mark.parametrize(
    "name",
    ["transformer.layers.0.norm1.bias", "transformer.layers.1.self_attn.k_proj.weight", "mask_tokens.weight"],
)
def test_the_comparison_sees_the_weights(name):
    ours, theirs = (sam.mask_decoder for sam in build_twins(SMALL))
    with torch.no_grad():
        ours.get_parameter(name).mul_(1.01)
        masks, their_masks = (decoder(*inputs(1, 2), True)[0] for decoder in (ours, theirs))
    assert relative_error(masks, their_masks) > 1e-5
