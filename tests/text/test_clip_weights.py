"""State dicts of the shapes that OpenAI published load with no key map."""

import pytest
import safetensors.torch
import torch

from minisam.errors import CheckpointError
from minisam.text.clip_weights import load_clip_text_weights, text_encoder_from

VOCABULARY, CONTEXT = 49408, 77


def official_shapes(width: int, layers: int, embed_dim: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the text half of OpenAI's CLIP."""
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (CONTEXT, width),
        "text_projection": (width, embed_dim),
        "token_embedding.weight": (VOCABULARY, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
    }
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}."
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{block}{norm}.weight": (width,), f"{block}{norm}.bias": (width,)}
        shapes |= {
            f"{block}attn.in_proj_weight": (3 * width, width),
            f"{block}attn.in_proj_bias": (3 * width,),
            f"{block}attn.out_proj.weight": (width, width),
            f"{block}attn.out_proj.bias": (width,),
            f"{block}mlp.c_fc.weight": (4 * width, width),
            f"{block}mlp.c_fc.bias": (4 * width,),
            f"{block}mlp.c_proj.weight": (width, 4 * width),
            f"{block}mlp.c_proj.bias": (width,),
        }
    return shapes


@pytest.mark.parametrize(("width", "layers", "embed_dim", "heads"), [(512, 12, 512, 8), (768, 12, 768, 12)])
def test_the_published_sizes_fit(width, layers, embed_dim, heads):
    """ViT-B/32 and ViT-L/14, on tensors without memory."""
    shapes = official_shapes(width, layers, embed_dim)
    state_dict = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    encoder = text_encoder_from({**state_dict, "visual.proj": torch.empty(3), "logit_scale": torch.empty(())})
    assert {name: tuple(p.shape) for name, p in encoder.state_dict().items()} == shapes
    assert encoder.transformer.resblocks[0].attn.heads == heads


def test_values_arrive(tmp_path):
    shapes = official_shapes(64, 2, 32)
    shapes["token_embedding.weight"] = (300, 64)
    generator = torch.Generator().manual_seed(0)
    state_dict = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    safetensors.torch.save_file(state_dict, tmp_path / "clip.safetensors")
    encoder = load_clip_text_weights(tmp_path / "clip.safetensors")
    for name, value in encoder.state_dict().items():
        assert value.equal(state_dict[name]), name
    assert encoder(torch.tensor([[298, 5, 7, 299, 0]])).shape == (1, 32)


def test_half_precision_becomes_float32():
    """OpenAI's files are in float16."""
    shapes = official_shapes(64, 1, 32) | {"token_embedding.weight": (300, 64)}
    encoder = text_encoder_from({name: torch.ones(shape).half() for name, shape in shapes.items()})
    assert {value.dtype for value in encoder.state_dict().values()} == {
        torch.float32
    } and not encoder.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("text_projection"), "text_projection"),
        (lambda s: s.pop("ln_final.bias"), "do not fit"),
        (lambda s: s.update(positional_embedding=torch.zeros(8, 63)), "do not fit"),
        (lambda s: [s.pop(name) for name in list(s) if "resblocks" in name], "0 blocks"),
    ],
)
def test_what_is_no_text_encoder_is_refused(change, message):
    state_dict = {name: torch.zeros(shape) for name, shape in official_shapes(64, 1, 8).items()}
    change(state_dict)
    with pytest.raises(CheckpointError, match=message):
        text_encoder_from(state_dict)
