"""What an encoder must not see: later words, and what lies outside the mask."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.text import Clip
from minisam.text.crop_encoder import CropEncoder
from minisam.text.files import read_clip, write_clip
from minisam.text.text_encoder import TextEncoder
from minisam.text.transformer import ResidualAttentionBlock, SelfAttention, Transformer, initialise_


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(0)
    return Clip().eval()


def text_encoder():
    torch.manual_seed(1)
    return TextEncoder(vocab_size=20, context_length=8, embed_dim=6, width=16, layers=2, heads=2).eval()


@given(place=st.integers(1, 7), token=st.integers(0, 19), seed=st.integers(0, 9))
@settings(deadline=None)
def test_a_later_token_does_not_change_an_earlier_state(place, token, seed):
    encoder = text_encoder()
    tokens = torch.randint(0, 20, (2, 8), generator=torch.Generator().manual_seed(seed))
    changed = tokens.clone()
    changed[:, place] = token
    before, after = encoder.hidden_states(tokens), encoder.hidden_states(changed)
    assert before[:, :place].equal(after[:, :place])
    if not tokens.equal(changed):
        assert not before[:, place:].equal(after[:, place:])


def test_the_end_token_is_read_and_padding_changes_nothing():
    encoder = text_encoder()
    short = torch.tensor([[17, 3, 5, 19]])
    padded = torch.tensor([[17, 3, 5, 19, 0, 0, 0, 0]])
    torch.testing.assert_close(encoder(short), encoder(padded))
    expected = encoder.hidden_states(short)[:, 3] @ encoder.text_projection
    torch.testing.assert_close(encoder(short), expected)
    assert not encoder(short).allclose(encoder(torch.tensor([[17, 5, 3, 19]])))
    with pytest.raises(ValueError, match="9 tokens"):
        encoder(torch.ones(1, 9, dtype=torch.long))


def test_the_output_token_is_blind_outside_the_mask(clip):
    tokens = clip.visual.tokens(torch.rand(3, 3, 48, 48) * 255)
    inside = torch.zeros(3, 36, dtype=torch.bool)
    inside[:, 7:10] = True
    planted = tokens.clone()
    planted[:, 1:][~inside] += 10 * torch.randn(int((~inside).sum()), tokens.shape[2])
    assert clip.visual.read_out(tokens, inside).equal(clip.visual.read_out(planted, inside))
    assert not clip.visual.read_out(tokens).allclose(clip.visual.read_out(planted))
    planted = tokens.clone()
    planted[:, 8] += 1
    assert not clip.visual.read_out(tokens, inside).allclose(clip.visual.read_out(planted, inside))


@torch.no_grad()
def test_the_output_token_reads_patches_alone(clip, monkeypatch):
    """Not itself: its last query goes to the patches inside the mask, by the definition of attention."""
    encoder = clip.visual
    last, seen = encoder.transformer.resblocks[-1], {}
    monkeypatch.setattr(
        last, "forward", lambda x, allowed, queries: seen.update(allowed=allowed) or x[:, :queries]
    )
    tokens = torch.randn(
        2, 1 + (encoder.crop_size // encoder.patch_size) ** 2, encoder.ln_post.weight.numel()
    )
    inside = torch.rand(2, tokens.shape[1] - 1) < 0.5
    for mask, expected in ((inside, inside), (None, torch.ones_like(inside))):
        encoder.read_out(tokens, mask)
        assert not seen["allowed"][..., 0].any()
        assert seen["allowed"][..., 1:].reshape_as(expected).equal(expected)


def test_no_mask_is_a_mask_of_everything(clip):
    crops = torch.rand(2, 3, 48, 48) * 255
    everything = torch.ones(2, 48, 48, dtype=torch.bool)
    assert clip.encode_crops(crops).equal(clip.encode_crops(crops, everything))
    torch.testing.assert_close(clip.encode_crops(crops).norm(dim=1), torch.ones(2))
    torch.testing.assert_close(clip.encode_texts(["red wheel"]).norm(dim=1), torch.ones(1))


def test_a_patch_counts_as_inside_from_half_on_and_some_patch_always_does():
    encoder = CropEncoder(crop_size=8, patch_size=4, embed_dim=4, width=8, layers=1, heads=2)
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[0, :4, :2] = True
    masks[0, :4, 4:5] = True
    masks[1, 7, 7] = True
    masks[2] = True
    masks[3, :4] = True
    masks[3, :4, 5] = False
    assert encoder.patches_inside(masks).tolist() == [
        [True, False, False, False],
        [False, False, False, True],
        [True] * 4,
        [True, True, False, False],
    ]


def test_attention_is_torchs_own_with_the_same_parameters():
    torch.manual_seed(0)
    ours, theirs = SelfAttention(12, 3), torch.nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 5, 12)
    allowed = torch.rand(5, 5) < 0.5
    allowed.fill_diagonal_(True)
    torch.testing.assert_close(ours(x, x, allowed), theirs(x, x, x, attn_mask=~allowed)[0])


def test_a_block_is_openais_written_out():
    """x + attention(norm(x)), then x + W2 quick_gelu(W1 norm(x)); quick_gelu(x) = x / (1 + exp(-1.702 x))."""
    torch.manual_seed(0)
    block, x = ResidualAttentionBlock(12, 3), torch.randn(2, 5, 12)
    normal = F.layer_norm(x, (12,))
    y = x + block.attn(normal, normal)
    inner = block.mlp.c_fc(F.layer_norm(y, (12,)))
    expected = y + block.mlp.c_proj(inner / (1 + torch.exp(-1.702 * inner)))
    torch.testing.assert_close(block(x), expected)
    torch.testing.assert_close(block(x, queries=2), expected[:, :2])


def test_matrices_are_drawn_by_width_and_depth():
    torch.manual_seed(0)
    transformer = Transformer(128, layers=3, heads=4)
    initialise_(transformer, 128, 3)
    inner, narrow = 128**-0.5, 128**-0.5 * 6**-0.5
    expected = {
        "in_proj_weight": inner,
        "out_proj.weight": narrow,
        "c_proj.weight": narrow,
        "c_fc.weight": inner / 2**0.5,
    }
    for name, parameter in transformer.named_parameters():
        for end, std in expected.items():
            if name.endswith(end):
                assert parameter.std().item() == pytest.approx(std, rel=0.03), name
        if name.endswith("bias"):
            assert not parameter.any(), name


def test_both_encoders_give_unit_vectors_and_the_temperature_starts_as_clips(clip):
    crops = clip.encode_crops(torch.randint(0, 256, (3, 3, 48, 48)).float())
    texts = clip.encode_texts(["red wheel", "blue car"])
    for vectors in (crops, texts):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    assert clip.logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_a_text_that_is_too_long_is_refused():
    encoder = text_encoder()
    assert encoder(torch.ones(1, 8, dtype=torch.long)).shape == (1, 6)
    with pytest.raises(ValueError, match="9 tokens does not fit into 8"):
        encoder(torch.ones(1, 9, dtype=torch.long))


def test_a_clip_that_is_read_gives_the_same_vectors(clip, tmp_path):
    write_clip(tmp_path / "clip.safetensors", clip)
    again = read_clip(tmp_path / "clip.safetensors")
    crops = torch.randint(0, 256, (2, 3, 48, 48)).float()
    assert again.encode_crops(crops).equal(clip.encode_crops(crops))
    assert again.encode_texts(["red wheel"]).equal(clip.encode_texts(["red wheel"]))
    assert not again.training


@torch.no_grad()
def test_tokens_are_normalised_before_the_blocks():
    """With one block, the last, what `tokens` returns has just left ln_pre."""
    torch.manual_seed(0)
    encoder = CropEncoder(crop_size=16, patch_size=8, embed_dim=4, width=16, layers=1, heads=2)
    tokens = encoder.tokens(torch.rand(2, 3, 16, 16) * 255)
    assert tokens.shape == (2, 1 + 4, 16)
    torch.testing.assert_close(tokens.mean(dim=2), torch.zeros(2, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens.var(dim=2, correction=0), torch.ones(2, 5), rtol=0, atol=1e-2)
