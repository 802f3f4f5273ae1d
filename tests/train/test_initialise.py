import numpy as np
import pytest
import scipy.fft
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.model import Attention
from minisam.train.initialise import initialise_, position_and_content_directions, whitening_patches
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


def test_patches_are_read_by_their_lowest_frequencies():
    """As the discrete cosine transform of scipy: luminance first, the gain growing with the frequency."""
    P, count = 4, 16 * 3
    weight = whitening_patches(count, P).double().numpy()
    basis = scipy.fft.idctn(np.eye(P * P).reshape(-1, P, P), axes=(1, 2), norm="ortho")
    found = weight.transpose(0, 2, 3, 1) @ np.array([1.0, 1.0, 1.0])
    luminance = [kernel for kernel in found if np.abs(kernel).max() > 1e-6]
    assert len(luminance) == P * P
    frequencies = []
    for kernel in luminance:
        amount = (basis * kernel).sum((1, 2))
        place = np.abs(amount).argmax()
        frequency = np.hypot(place // P, place % P)
        assert np.count_nonzero(np.abs(amount) > 1e-5) == 1
        # The sum over three channels of a grey of length 1 is the square root of 3.
        assert amount[place] == pytest.approx(min(6, max(1, 2 * frequency)) / (1.7 * P) * 3**0.5, rel=1e-5)
        frequencies.append(frequency)
    assert frequencies == sorted(frequencies) and frequencies[0] == 0


def test_colours_are_read_three_times_as_strong_and_never_grey():
    weight = whitening_patches(48, 4)
    mean = weight.mean(dim=(2, 3))
    flat = mean.norm(dim=1) > 1e-6
    grey, *colours = mean[flat] * 1.7 * 4 * 4
    torch.testing.assert_close(grey, torch.full((3,), 3**-0.5))
    expected = 3 * torch.tensor([[0.5**0.5, 0, -(0.5**0.5)], [1.5**-0.5 / 2, -(1.5**-0.5), 1.5**-0.5 / 2]])
    torch.testing.assert_close(torch.stack(colours), expected)
    # The grey of up to a half-wave both ways comes before any colour that varies.
    assert (mean[0] > 0).all() and flat.nonzero().flatten().tolist()[1:] == [1, 2]


def test_every_scale_is_the_one_that_is_named(nano):
    prompts = [*nano.prompt_encoder.point_embeddings, nano.prompt_encoder.not_a_point_embed]
    scale = torch.stack(
        [embedding.weight for embedding in (*prompts, nano.prompt_encoder.no_mask_embed)]
    ).std()
    assert scale.item() == pytest.approx(0.3, rel=0.15)
    assert nano.image_encoder.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    for name, module in nano.mask_decoder.named_modules():
        if isinstance(module, Attention):
            q, v = module.q_proj.weight, module.v_proj.weight
            assert module.k_proj.weight.equal(q) and module.out_proj.weight.equal(v.T), name
            torch.testing.assert_close(v @ v.T, torch.eye(len(v)), atol=1e-5, rtol=0)
            logit = {"token_to_image": 10.0, "image_to_token": 7.0}.get(name.split("attn_")[-1])
            if logit:
                head_dim = module.internal_dim // module.num_heads
                torch.testing.assert_close(
                    q @ q.T, logit / head_dim**0.5 * torch.eye(len(q)), atol=1e-4, rtol=0
                )
    for module in nano.mask_decoder.output_upscaling:
        if isinstance(module, torch.nn.ConvTranspose2d):
            assert module.weight.equal(module.weight[..., :1, :1].expand_as(module.weight))
