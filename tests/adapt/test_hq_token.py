"""The HQ token against transformers' SAM-HQ with the same weights, and beside a SAM that must stay as it is."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from small_networks import SMALL, outputs, small_sam
from transformers.models.sam_hq import modeling_sam_hq
from transformers.models.sam_hq.configuration_sam_hq import SamHQMaskDecoderConfig

from minisam.adapt.hq_token import HQMaskDecoder, add_hq_token
from minisam.config import CONFIGS, build_from_config
from minisam.errors import MinisamError
from minisam.predict import SamAutomaticMaskGenerator, SamPredictor

RENAMED = {
    "hf_token.": "hq_token.",
    "hf_mlp.": "hq_mask_mlp.",
    "compress_vit_feat.0.": "compress_vit_conv1.",
    "compress_vit_feat.1.": "compress_vit_norm.",
    "compress_vit_feat.3.": "compress_vit_conv2.",
    "embedding_encoder.0.": "encoder_conv1.",
    "embedding_encoder.1.": "encoder_norm.",
    "embedding_encoder.3.": "encoder_conv2.",
    "embedding_maskfeature.0.": "mask_conv1.",
    "embedding_maskfeature.1.": "mask_norm.",
    "embedding_maskfeature.3.": "mask_conv2.",
    "output_upscaling.0.": "upscale_conv1.",
    "output_upscaling.1.": "upscale_layer_norm.",
    "output_upscaling.3.": "upscale_conv2.",
    "norm_final_attn": "layer_norm_final_attn",
    ".norm": ".layer_norm",
}


def with_token(mode="add"):
    sam = small_sam()
    torch.manual_seed(5)
    names = add_hq_token(sam, mode)
    with torch.no_grad():
        for name in names:
            sam.get_parameter(name).add_(0.1 * torch.randn_like(sam.get_parameter(name)))
    return sam


READS_INPUT = "point_embedding, iou_token_out = self.transformer("
READS_OUTPUT = "point_embedding, image_embeddings = self.transformer("


def corrected() -> type[torch.nn.Module]:
    """transformers' decoder; 5.24 upscales the transformer's input in place of its output, which its SAM does not."""
    source = inspect.getsource(modeling_sam_hq.SamHQMaskDecoder).replace(READS_INPUT, READS_OUTPUT)
    names = dict(vars(modeling_sam_hq))
    exec(source, names)
    return names["SamHQMaskDecoder"]


def transformers_decoder(decoder: HQMaskDecoder) -> torch.nn.Module:
    theirs = corrected()(
        SamHQMaskDecoderConfig(
            hidden_size=SMALL.prompt_dim,
            mlp_dim=SMALL.decoder_mlp_dim,
            num_attention_heads=SMALL.decoder_heads,
            iou_head_hidden_dim=SMALL.iou_head_hidden_dim,
            vit_dim=SMALL.encoder_dim,
            layer_norm_eps=1e-5,  # as segment-anything; transformers has 1e-6
        )
    ).eval()
    weights = {}
    for name, tensor in decoder.state_dict().items():
        for ours, hf in RENAMED.items():
            name = name.replace(ours, hf)
        if name.split(".")[-3:-1] != [] and any(
            part in name for part in ("hypernetworks_mlps", "iou_prediction_head", "hq_mask_mlp")
        ):
            name = name.replace("layers.0.", "proj_in.").replace("layers.2.", "proj_out.")
            name = name.replace("layers.1.", "layers.0.")
        weights[name] = tensor
    theirs.load_state_dict(weights)
    return theirs


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("mode", ["add", "only"])
def test_masks_and_ious_equal_transformers(mode, multimask):
    sam = with_token(mode)
    sam = sam.double()
    theirs = transformers_decoder(sam.mask_decoder).double()
    generator = torch.Generator().manual_seed(6)
    image = torch.randn(1, 3, 48, 48, generator=generator).double()
    points = torch.rand(3, 1, 2, generator=generator) * 48, torch.ones(3, 1)
    with torch.no_grad():
        embedding, image_pe = sam.image_encoder(image), sam.prompt_encoder.get_dense_pe()
        sparse, dense = sam.prompt_encoder(points, None, None)
        masks, ious = sam.mask_decoder(embedding, image_pe, sparse, dense, multimask)
        final, early = embedding.split([SMALL.prompt_dim, SMALL.encoder_dim], dim=1)
        their_masks, their_ious = theirs(
            final, image_pe, sparse[None], dense[:1], multimask, mode == "only", [early.permute(0, 2, 3, 1)]
        )
    order = ious.argsort(dim=1, descending=True)
    assert_close_beside_its_size(ious.gather(1, order), their_ious[0, :, : ious.shape[1]])
    assert_close_beside_its_size(masks.take_along_dim(order[..., None, None], 1), their_masks[0])


def assert_close_beside_its_size(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-7 * expected.abs().max()


@pytest.mark.parametrize("prompts", [1, 5])
@pytest.mark.parametrize("multimask", [True, False])
def test_off_it_is_sam_to_the_bit(prompts, multimask):
    plain, sam = small_sam(), with_token("off")
    with torch.no_grad():
        of_sam, found = outputs(plain, multimask, prompts), outputs(sam, multimask, prompts)
    assert torch.equal(found[0][:, :32], of_sam[0])
    assert torch.equal(found[1], of_sam[1]) and torch.equal(found[2], of_sam[2])


def test_the_token_is_trained_alone():
    sam = small_sam().train()
    names = add_hq_token(sam)
    outputs(sam)[1].square().mean().backward()
    with_gradient = [name for name, parameter in sam.named_parameters() if parameter.grad is not None]
    assert sorted(with_gradient) == sorted(names)
    assert {name.split(".")[1] for name in names} == {
        *("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
    }


@pytest.mark.parametrize(
    ("model", "count"), [("vit_b", 1_071_104), ("vit_l", 1_333_248), ("vit_h", 1_595_392), ("tiny", 114_240)]
)
def test_the_number_of_trained_parameters(model, count):
    with torch.device("meta"):
        sam = build_from_config(CONFIGS[model])
        add_hq_token(sam)
    assert sum(parameter.numel() for parameter in sam.parameters() if parameter.requires_grad) == count
    assert sam.image_encoder.block == CONFIGS[model].global_attn_indexes[0]


def test_every_feature_counts():
    sam = with_token("only")
    with torch.no_grad():
        whole = outputs(sam)[1]
        for name in ("compress_vit_feat", "embedding_encoder", "embedding_maskfeature"):
            last = sam.mask_decoder.get_submodule(name)[3]
            kept = last.weight.clone()
            last.weight.zero_()
            assert not torch.allclose(outputs(sam)[1], whole, atol=1e-4), name
            last.weight.copy_(kept)


@pytest.mark.parametrize("highest", [1, 2, 3])
def test_its_mask_alone_has_the_highest_of_the_predicted_ious(highest):
    sam = with_token("add")
    with torch.no_grad():
        sam.mask_decoder.iou_prediction_head.layers[-1].bias[highest] += 10
        of_sam = outputs(sam)[2]
        sam.mask_decoder.mode = "only"
        alone = outputs(sam)[2]
    assert alone.shape == (2, 1) and torch.equal(alone[:, 0], of_sam[:, highest - 1])


def test_predictor_and_generator_take_it():
    sam = with_token("add")
    image = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    masks, ious, low_res = predictor.predict(np.array([[10, 20]]), np.array([1]))
    assert masks.shape == (3, 40, 48) and ious.shape == (3,) and low_res.shape == (3, 24, 24)
    sam.mask_decoder.mode = "only"
    assert predictor.predict(np.array([[10, 20]]), np.array([1]))[0].shape == (1, 40, 48)
    generator = SamAutomaticMaskGenerator(
        sam, points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0
    )
    assert generator.generate(image)


def test_prompts_of_several_images_go_together():
    sam = with_token()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        embeddings = sam.image_encoder(torch.randn(2, 3, 48, 48, generator=generator))
        points = torch.rand(3, 1, 2, generator=generator) * 48, torch.ones(3, 1)
        (sparse, dense), image_pe = (
            sam.prompt_encoder(points, None, None),
            sam.prompt_encoder.get_dense_pe(),
        )
        index = torch.tensor([1, 0, 1])
        together = sam.mask_decoder(embeddings, image_pe, sparse, dense, True, index)
        for place, image in enumerate(index.tolist()):
            one = slice(place, place + 1)
            alone = sam.mask_decoder(embeddings[image : image + 1], image_pe, sparse[one], dense[one], True)
            torch.testing.assert_close(together[0][one], alone[0])
    with pytest.raises(ValueError, match="image_index"):
        sam.mask_decoder(embeddings, image_pe, sparse, dense, True)


def test_what_cannot_have_a_token():
    with pytest.raises(MinisamError, match="not 'both'"):
        add_hq_token(small_sam(), "both")
    sam = small_sam()
    del sam.image_encoder.blocks[1]
    with pytest.raises(MinisamError, match="has none"):
        add_hq_token(sam)


@torch.no_grad()
def test_early_tokens_keep_their_places():
    """After the embedding, channel by channel, rows down and columns across."""
    sam = small_sam()
    images = torch.randn(2, 3, *[sam.image_encoder.img_size] * 2, generator=torch.Generator().manual_seed(0))
    images[:, :, : images.shape[2] // 2] += 2
    plain = sam.image_encoder
    add_hq_token(sam)
    found = sam.image_encoder(images)
    embedding, (tokens,) = plain.forward_features(images, after=(sam.image_encoder.block,))
    torch.testing.assert_close(found[:, : embedding.shape[1]], embedding)
    early = found[:, embedding.shape[1] :]
    assert early.shape[1] == tokens.shape[3]
    for row in range(tokens.shape[1]):
        for column in range(tokens.shape[2]):
            torch.testing.assert_close(early[:, :, row, column], tokens[:, row, column])
