import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.export.check import kinds_of_prompt
from minisam.export.parts import part_of
from minisam.export.sam_onnx_model import SamOnnxModel


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


def test_the_decoder_has_segment_anythings_inputs_and_outputs(sam):
    part = part_of(sam, "decoder")
    assert part.inputs == (
        "image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"
    )  # fmt: skip
    assert part.outputs == ("masks", "iou_predictions", "low_res_masks")
    masks, iou, low_res = part.module(*part.example)
    height, width = part.example[-1].int().tolist()
    assert masks.shape == (1, 4, height, width) and iou.shape == (1, 4) and low_res.shape[:2] == (1, 4)
    assert part_of(sam, "decoder", return_single_mask=True).module(*part.example)[0].shape[1] == 1


def test_a_decoder_has_no_weights_of_the_encoder_and_shares_the_others(sam):
    weights = part_of(sam, "decoder").module.state_dict()
    assert weights and not [name for name in weights if "image_encoder" in name]
    assert sam.image_encoder.state_dict()
    own = sam.mask_decoder.iou_token.weight
    assert weights["mask_decoder.iou_token.weight"].data_ptr() == own.data_ptr()


def test_both_is_the_encoder_and_then_the_decoder(sam):
    part, encoder = part_of(sam, "both"), part_of(sam, "encoder")
    images = torch.rand(part.example[0].shape)
    decoder = SamOnnxModel(sam, return_single_mask=False)
    with torch.no_grad():
        wanted = decoder(encoder.module(images), *part.example[1:])
        given = part.module(images, *part.example[1:])
    assert part.inputs == ("images", *part_of(sam, "decoder").inputs[1:])
    for one, other in zip(given, wanted, strict=True):
        assert torch.equal(one, other)


def test_the_check_has_every_kind_of_prompt(sam):
    prompts = list(kinds_of_prompt(sam, torch.Generator()))
    labels = {tuple(labels[0].int().tolist()) for _, labels, *_ in prompts}
    assert {(1, -1), (1, 0, -1), (2, 3), (2, 3, 1)} <= labels
    assert max(len(values) for values in labels) > 26  # the limit before any number of points was possible
    assert {has_mask.item() for *_, has_mask, _ in prompts} == {0.0, 1.0}
    for coords, labels, mask, has_mask, size in prompts:
        assert bool(mask.any()) == bool(has_mask) and (size > 0).all()
        if labels[0, 0] == 2:
            assert (coords[0, 0] < coords[0, 1]).all()
