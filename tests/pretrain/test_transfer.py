"""The move from a masked autoencoder into SAM's image encoder."""

import pytest
import safetensors.torch
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.errors import CheckpointError
from minisam.model import ImageEncoderViT
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder, build_mae, through
from minisam.pretrain.transfer import as_grid, load_trunk, move_trunk_

SIZE, PATCH, DIM, DEPTH, HEADS = 64, 8, 32, 3, 2


def image_encoder(window_size: int, image_size: int = SIZE, out_chans: int = 16) -> ImageEncoderViT:
    return ImageEncoderViT(
        image_size,
        PATCH,
        embed_dim=DIM,
        depth=DEPTH,
        num_heads=HEADS,
        out_chans=out_chans,
        norm_layer=lambda dim: torch.nn.LayerNorm(dim, eps=1e-6),
        use_rel_pos=True,
        window_size=window_size,
        global_attn_indexes=(1,),
    ).eval()


def small_mae(seed: int = 0) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    return MaskedAutoencoder(SIZE, PATCH, DIM, DEPTH, HEADS, 16, 1, 2).eval()


def trunk(encoder: ImageEncoderViT, images: torch.Tensor) -> torch.Tensor:
    tokens = encoder.patch_embed(images) + encoder.pos_embed
    for block in encoder.blocks:
        tokens = block(tokens)
    return tokens


def mae_trunk(mae: MaskedAutoencoder, images: torch.Tensor) -> torch.Tensor:
    """All patches, no class token."""
    tokens = mae.patch_embed(images).flatten(1, 2) + mae.pos_embed
    return through(mae.blocks, tokens).unflatten(1, mae.grid)


@pytest.mark.parametrize("window_size", [0, 8])
def test_the_moved_trunk_is_the_autoencoders_where_a_window_covers_the_grid(window_size):
    mae, encoder, images = small_mae(), image_encoder(window_size), torch.randn(2, 3, SIZE, SIZE)
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name:
            torch.nn.init.normal_(parameter)
    move_trunk_(encoder, mae.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(trunk(encoder, images), mae_trunk(mae, images), rtol=1e-5, atol=1e-5)


def test_smaller_windows_change_what_a_block_answers_and_not_its_weights():
    mae, encoder, images = small_mae(), image_encoder(4), torch.randn(1, 3, SIZE, SIZE)
    move_trunk_(encoder, mae.state_dict())
    with torch.no_grad():
        assert (trunk(encoder, images) - mae_trunk(mae, images)).abs().max() > 1e-3
    for name, parameter in mae.blocks.named_parameters():
        assert parameter.equal(encoder.blocks.get_parameter(name)), name


def test_positions_follow_the_grid():
    mae, encoder = small_mae(), image_encoder(4, image_size=2 * SIZE)
    move_trunk_(encoder, mae.state_dict())
    grid = mae.pos_embed.view(1, 8, 8, DIM).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(grid, size=(16, 16), mode="bicubic").permute(0, 2, 3, 1)
    assert encoder.pos_embed.requires_grad and torch.equal(encoder.pos_embed, wanted)


def test_names_and_positions_of_maes_own_code_are_understood():
    mae, ours, theirs = small_mae(), image_encoder(8), image_encoder(8)
    state = mae.state_dict()
    foreign = {
        key.replace("mlp.lin1", "mlp.fc1").replace("mlp.lin2", "mlp.fc2"): t for key, t in state.items()
    }
    foreign["pos_embed"] = torch.cat([torch.zeros(1, DIM), state["pos_embed"]])[None]
    move_trunk_(ours, state)
    move_trunk_(theirs, foreign)
    for name, parameter in ours.named_parameters():
        if not name.startswith("neck"):
            assert parameter.equal(theirs.get_parameter(name)), name


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path):
    encoder = build_from_config(CONFIGS["nano"]).image_encoder
    before = {name: parameter.clone() for name, parameter in encoder.named_parameters()}
    path = tmp_path / "mae.safetensors"
    safetensors.torch.save_file(build_mae(CONFIGS["tiny"]).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"mae.safetensors: this autoencoder does not fit.*pre-train"):
        load_trunk(encoder, path)
    state = build_mae(CONFIGS["nano"]).state_dict()
    del state["blocks.1.attn.qkv.bias"]
    with pytest.raises(CheckpointError, match=r"blocks\.1\.attn\.qkv\.bias is missing"):
        move_trunk_(encoder, state)
    for name, parameter in encoder.named_parameters():
        assert parameter.equal(before[name]), name


def test_weights_that_diverged_are_named_and_change_nothing():
    mae, encoder = small_mae(), image_encoder(8)
    before = encoder.blocks[1].attn.qkv.weight.clone()
    state = mae.state_dict()
    state["blocks.2.mlp.lin1.weight"] = torch.full_like(state["blocks.2.mlp.lin1.weight"], torch.nan)
    with pytest.raises(CheckpointError, match=r"blocks\.2\.mlp\.lin1\.weight holds NaN"):
        move_trunk_(encoder, state)
    assert encoder.blocks[1].attn.qkv.weight.equal(before)


def test_patches_of_another_size_are_resampled():
    """A flat patch has the same embedding; a smooth one nearly (MAE's ViT-H: 14 pixels, SAM's: 16)."""
    encoder, state = image_encoder(8), small_mae().state_dict()
    x = torch.linspace(-1, 1, 7)
    smooth = (
        torch.randn(DIM, 3, 1, 1) + torch.randn(DIM, 3, 1, 1) * x + torch.randn(DIM, 3, 1, 1) * x[:, None]
    )
    state["patch_embed.proj.weight"] = smooth
    move_trunk_(encoder, state)
    moved = encoder.patch_embed.proj.weight
    assert moved.shape == (DIM, 3, PATCH, PATCH)
    torch.testing.assert_close(moved.sum(dim=(2, 3)), smooth.sum(dim=(2, 3)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("preset", ["nano", "tiny"])
def test_each_preset_has_an_autoencoder_that_fits(preset):
    encoder, mae = build_from_config(CONFIGS[preset]).image_encoder, build_mae(CONFIGS[preset])
    move_trunk_(encoder, mae.state_dict())
    assert encoder.blocks[-1].mlp.lin2.weight.equal(mae.blocks[-1].mlp.lin2.weight)


@pytest.mark.parametrize("tokens", [0, 1])
@pytest.mark.parametrize("side", [2, 7])
def test_positions_of_no_square_grid_are_refused(side, tokens):
    """A class token's position comes first in MAE's files, [1, 1 + L, D]; ours have none, [L, D]."""
    square = torch.arange(side * side * 4.0).view(-1, 4)
    given = torch.cat([torch.zeros(tokens, 4), square])[None] if tokens else square
    assert torch.equal(as_grid(given, (side, side)), square.view(1, side, side, 4))
    more = torch.cat([given, given[..., -1:, :]], dim=-2)
    with pytest.raises(CheckpointError, match=f"of {side * side + 1} tokens, which is not a square grid"):
        as_grid(more, (side, side))
