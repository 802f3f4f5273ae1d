import pytest
import torch

from minisam.build import CONFIGS, build_from_config
from minisam.model import Attention
from minisam.train.initialise import initialise_, position_and_content_directions
from minisam.train.prompts import first_prompts

GRID, PATCH = 8, 8


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    initialise_(sam)
    return sam


def attention_weights(attention, q, k):
    q, k = attention.separate_heads(attention.q_proj(q)), attention.separate_heads(attention.k_proj(k))
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)


@pytest.fixture(scope="module")
def looks(nano):
    """Who looks at whom in the first block of the decoder, for clicks on eight random regions of an image.

    An image token carries the random code of its region: what a perfect encoder would give.
    """
    torch.manual_seed(1)
    regions = torch.arange(8).repeat_interleave(8).view(GRID, GRID)
    E = CONFIGS["nano"].prompt_dim
    embedding = torch.randn(8, E)[regions].permute(2, 0, 1)[None].expand(8, -1, -1, -1)
    masks = (
        (regions == torch.arange(8)[:, None, None]).repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
    )
    coords, labels = first_prompts(masks, box_probability=0.0)
    seen = {}

    def watch(name, module):
        def hook(module, _, arguments):
            seen[name] = attention_weights(module, arguments["q"], arguments["k"])

        return module.register_forward_pre_hook(hook, with_kwargs=True)

    hooks = [watch(name, m) for name, m in nano.mask_decoder.named_modules() if isinstance(m, Attention)]
    with torch.no_grad():
        sparse = nano.prompt_encoder.embed_points(coords, labels, pad=False)
        dense = nano.prompt_encoder(None, None, None)[1].expand(8, -1, -1, -1)
        nano.mask_decoder(embedding, nano.prompt_encoder.get_dense_pe(), sparse, dense, True)
    for hook in hooks:
        hook.remove()
    cell = ((coords[:, 0] + 0.5) // PATCH).long()
    return seen, cell[:, 1] * GRID + cell[:, 0], regions.flatten()


CLICK = 5  # after the IoU token and four mask tokens


def test_a_click_looks_at_its_own_place(looks):
    seen, cell, _ = looks
    weights = seen["transformer.layers.0.cross_attn_token_to_image"][:, :, CLICK].mean(dim=1)
    at_home = weights.gather(1, cell[:, None]).mean()
    assert at_home > 10 / GRID**2, f"{at_home:.3f} of the attention, {1 / GRID**2:.3f} by chance"


def test_image_tokens_look_at_a_click_on_something_like_them(looks):
    seen, _, regions = looks
    weights = seen["transformer.layers.0.cross_attn_image_to_token"][..., CLICK].mean(dim=1)
    same = regions == torch.arange(8)[:, None]
    assert weights[same].mean() > 1.5 * weights[~same].mean()


def test_directions_are_orthonormal_and_positions_lie_in_their_half(nano):
    where, what = position_and_content_directions(nano)
    basis = torch.cat([where, what])
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=1e-5, rtol=0)
    positions = nano.prompt_encoder.get_dense_pe()[0].flatten(1).T
    assert (positions @ where.T).square().sum() > 0.9 * positions.square().sum()
