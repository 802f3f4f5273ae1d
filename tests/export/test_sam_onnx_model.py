"""The decoder for ONNX follows its network; what the exporter makes of it is in tests/compatibility."""

import numpy as np
import pytest
import torch

from minisam import SamPredictor
from minisam.config import CONFIGS, build_from_config
from minisam.export.sam_onnx_model import SamOnnxModel
from minisam.predict import ResizeLongestSide


def test_an_image_size_that_is_set_later_counts():
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    model = SamOnnxModel(sam, return_single_mask=False)
    sam.set_image_size(128)
    assert model.img_size == 128
    predictor, size = SamPredictor(sam), (90, 128)
    predictor.set_image(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    point = predictor.transform.apply_coords([[60, 40]], size)
    coords = torch.tensor(np.concatenate([point, [[0, 0]]])[None], dtype=torch.float32)
    no_mask = torch.zeros(1, 1, *sam.prompt_encoder.mask_input_size), torch.zeros(1)
    assert predictor.features is not None
    masks = model(
        predictor.features, coords, torch.tensor([[1.0, -1.0]]), *no_mask, torch.tensor(size).float()
    )[0]
    wanted = predictor.predict(np.array([[60, 40]]), np.array([1]), return_logits=True)[0]
    np.testing.assert_allclose(masks[0, 1:].numpy(), wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("size", [(1, 3), (37, 1000), (30, 64), (333, 500), (1200, 1803), (64, 64), (999, 7)])
def test_the_side_of_an_image_is_rounded_as_by_the_predictor(size):
    for longest in (64, 1024):
        found = SamOnnxModel.resize_longest_image_size(torch.tensor(size), longest).tolist()
        assert tuple(found) == ResizeLongestSide.get_preprocess_shape(*size, longest)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_scores_may_be_stabilities_with_the_offset_of_segment_anything(threshold):
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    sam.mask_threshold = threshold
    for head in sam.mask_decoder.output_hypernetworks_mlps:
        torch.nn.init.normal_(head.layers[-1].weight)  # logits of several units
    model = SamOnnxModel(sam, return_single_mask=False, use_stability_score=True, return_extra_metrics=True)
    embedding = torch.randn(1, 96, 8, 8, generator=torch.Generator().manual_seed(0))
    no_mask = torch.zeros(1, 1, *sam.prompt_encoder.mask_input_size), torch.zeros(1)
    point = torch.tensor([[[30.0, 20.0], [0.0, 0.0]]]), torch.tensor([[1.0, -1.0]])
    masks, scores, stability, areas, low_res = model(embedding, *point, *no_mask, torch.tensor([48.0, 64.0]))
    assert masks.shape == (1, 4, 48, 64) and areas.equal((masks > threshold).sum(dim=(2, 3)))
    for found, logits in ((scores, low_res), (stability, masks)):
        inner, outer = ((logits > threshold + offset).sum(dim=(2, 3)) for offset in (1, -1))
        torch.testing.assert_close(found, inner / outer)
        assert ((found > 0) & (found < 1)).any()
