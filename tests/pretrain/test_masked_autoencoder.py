"""The parts of a masked autoencoder, each compared with its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.config import CONFIGS
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder, build_mae
from minisam.pretrain.random_masking import random_masking, take
from minisam.pretrain.reconstruction_loss import normalise_patches, patchify, reconstruction_loss, unpatchify
from minisam.pretrain.sincos_positions import sincos_positions


def small_mae(image_size: int = 32) -> MaskedAutoencoder:
    torch.manual_seed(0)
    return MaskedAutoencoder(image_size, 8, 32, 2, 2, decoder_dim=16, decoder_depth=1, decoder_heads=2)


def test_positions_are_the_equation_for_every_token_and_channel():
    positions = sincos_positions((3, 5), 16).numpy()
    omega = 10000.0 ** -(np.arange(4) / 4)
    for i in range(3):
        for j in range(5):
            expected = np.concatenate(
                [np.sin(j * omega), np.cos(j * omega), np.sin(i * omega), np.cos(i * omega)]
            )
            np.testing.assert_allclose(positions[i, j], expected, atol=1e-7)


def test_positions_need_four_channels_a_frequency():
    with pytest.raises(ValueError, match="multiple of 4 channels, got 6"):
        sincos_positions((2, 2), 6)


@given(
    images=st.integers(1, 4), patches=st.integers(1, 50), ratio=st.floats(0, 0.99), seed=st.integers(0, 99)
)
@settings(max_examples=60, deadline=None)
def test_masking_keeps_its_share_and_undoes_its_own_shuffle(images, patches, ratio, seed):
    masking = random_masking(images, patches, ratio, torch.Generator().manual_seed(seed))
    kept = max(1, int(patches * (1 - ratio)))
    assert masking.keep.shape == (images, kept)
    assert (~masking.hidden).sum(dim=1).tolist() == [kept] * images
    for row, hidden in zip(masking.keep, masking.hidden, strict=True):
        assert sorted(row.tolist()) == (~hidden).nonzero().flatten().tolist()
    tokens = torch.arange(images * patches, dtype=torch.float32).view(images, patches, 1)
    filled = torch.cat([take(tokens, masking.keep), torch.full((images, patches - kept, 1), -1.0)], dim=1)
    restored = take(filled, masking.restore)
    assert torch.equal(restored, torch.where(masking.hidden[..., None], -1.0, tokens))


def test_every_patch_is_hidden_as_often_as_another():
    hidden = random_masking(4000, 16, 0.75, torch.Generator().manual_seed(0)).hidden
    share = hidden.float().mean(dim=0)
    assert (share - 0.75).abs().max() < 4 * (0.75 * 0.25 / 4000) ** 0.5


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(ratio):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        random_masking(1, 4, ratio)


def test_patches_are_cut_in_reading_order_with_the_channel_last():
    images = torch.randn(2, 3, 12, 8)
    patches = patchify(images, 4)
    assert patches.shape == (2, 6, 48)
    for i in range(3):
        for j in range(2):
            expected = images[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].permute(0, 2, 3, 1).flatten(1)
            assert torch.equal(patches[:, 2 * i + j], expected)
    assert torch.equal(unpatchify(patches, 4, (3, 2)), images)


def test_the_loss_is_that_of_hidden_patches_in_their_own_scale():
    images, hidden = (
        torch.randn(2, 3, 8, 8),
        torch.tensor([[True, False, False, True], [False, True, False, False]]),
    )
    prediction = torch.randn(2, 4, 48)
    errors = []
    for b, patch in hidden.nonzero().tolist():
        pixels = patchify(images, 4)[b, patch].double().numpy()
        target = (pixels - pixels.mean()) / np.sqrt(pixels.var(ddof=1) + 1e-6)
        errors.append(((prediction[b, patch].double().numpy() - target) ** 2).mean())
    assert reconstruction_loss(prediction, images, hidden, 4).item() == pytest.approx(
        np.mean(errors), rel=1e-5
    )
    changed = torch.where(hidden[..., None], prediction, 100.0)
    assert reconstruction_loss(changed, images, hidden, 4) == reconstruction_loss(
        prediction, images, hidden, 4
    )


def test_a_flat_patch_has_a_finite_target():
    assert normalise_patches(torch.full((1, 1, 48), 7.0)).abs().max() == 0


def test_the_encoder_does_not_see_what_is_hidden():
    mae, images = small_mae(), torch.randn(2, 3, 32, 32)
    prediction, masking = mae(images, 0.75, torch.Generator().manual_seed(1))
    noise = unpatchify(torch.randn(2, 16, 192) * masking.hidden[..., None], 8, mae.grid)
    again, _ = mae(images + noise, 0.75, torch.Generator().manual_seed(1))
    assert torch.equal(prediction, again)
    seen = unpatchify(torch.randn(2, 16, 192) * ~masking.hidden[..., None], 8, mae.grid)
    other, _ = mae(images + seen, 0.75, torch.Generator().manual_seed(1))
    assert not torch.allclose(prediction, other)


def test_a_patch_goes_back_to_its_own_place():
    """Without decoder blocks the prediction of a visible patch follows from that patch and its place alone."""
    mae = small_mae()
    mae.blocks, mae.decoder_blocks = torch.nn.ModuleList(), torch.nn.ModuleList()
    images = torch.randn(1, 3, 32, 32)
    all_seen, _ = mae(images, 0.0)
    some_seen, masking = mae(images, 0.5, torch.Generator().manual_seed(0))
    visible = ~masking.hidden[0]
    torch.testing.assert_close(some_seen[0, visible], all_seen[0, visible])


def test_published_sizes():
    """mae_vit_base_patch16 has 111,907,840 parameters, positions of 197 tokens among them, 768 and 512 wide."""
    with torch.device("meta"):
        mae = MaskedAutoencoder()
    assert sum(parameter.numel() for parameter in mae.parameters()) == 111_907_840 - 197 * (768 + 512)
    assert mae.grid == (14, 14) and mae.decoder_pred.out_features == 768


@pytest.mark.parametrize("preset", ["tiny", "nano"])
def test_presets_learn_to_reconstruct(preset):
    """A decoder without information on an image draws grey: a loss of 1."""
    torch.manual_seed(0)
    mae = build_mae(CONFIGS[preset], 64)
    images = torch.nn.functional.interpolate(torch.randn(4, 3, 6, 6), size=64, mode="bilinear")
    optimizer = torch.optim.AdamW(mae.parameters(), lr=3e-3)
    for _ in range(60):
        prediction, masking = mae(images, 0.5, torch.Generator().manual_seed(0))
        loss = reconstruction_loss(prediction, images, masking.hidden, mae.patch_size)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.9


def test_what_it_starts_from():
    mae = MaskedAutoencoder(32, 8, 384, 1, 2, decoder_dim=192, decoder_depth=1, decoder_heads=2)
    assert mae.cls_token.std().item() == pytest.approx(0.02, rel=0.15)
    assert mae.mask_token.std().item() == pytest.approx(0.02, rel=0.2)
    for weight in (mae.decoder_embed.weight, mae.patch_embed.proj.weight.flatten(1)):
        limit = (6 / sum(weight.shape)) ** 0.5  # Glorot & Bengio 2010
        assert 0.98 * limit < weight.abs().max().item() <= limit
    assert not mae.decoder_embed.bias.any() and not mae.decoder_pred.bias.any()
    assert not any("rel_pos" in name for name, _ in mae.named_parameters())
    assert {norm.eps for norm in mae.modules() if isinstance(norm, torch.nn.LayerNorm)} == {1e-6}
