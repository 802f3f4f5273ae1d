import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from minisam.build import build_sam, sam_model_registry
from minisam.config import CONFIGS, build_from_config


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


@pytest.mark.parametrize(
    ("name", "encoder_parameters"), [("vit_b", 89_670_912), ("vit_l", 308_278_272), ("vit_h", 637_026_048)]
)
def test_published_parameter_counts(name, encoder_parameters):
    with torch.device("meta"):
        sam = sam_model_registry[name]()
    assert sum(p.numel() for p in sam.image_encoder.parameters()) == encoder_parameters
    assert sum(p.numel() for p in sam.prompt_encoder.parameters()) == 6_220
    assert sum(p.numel() for p in sam.mask_decoder.parameters()) == 4_058_340


def test_padding_has_the_mean_colour(nano):
    padded = nano.preprocess(torch.full((1, 3, 20, 30), 200.0))
    assert padded.shape == (1, 3, 64, 64)
    assert (
        (padded[..., 20:, :] == 0).all()
        and (padded[..., 30:] == 0).all()
        and (padded[..., :20, :30] > 0).all()
    )


def test_several_images_with_different_numbers_of_prompts(nano):
    def record(prompts, height, width, seed):
        generator = torch.Generator().manual_seed(seed)
        return {
            "image": torch.rand(3, height, width, generator=generator) * 255,
            "original_size": (2 * height, 2 * width),
            "point_coords": torch.rand(prompts, 2, 2, generator=generator) * 30,
            "point_labels": torch.tensor([[1, 0]]).expand(prompts, 2),
        }

    records = [record(1, 64, 40, 0), record(5, 30, 64, 1)]
    together = nano(records, multimask_output=True)
    for one, result in zip(records, together, strict=True):
        prompts = len(one["point_coords"])
        assert result["masks"].shape == (prompts, 3, *one["original_size"])
        assert result["iou_predictions"].shape == (prompts, 3)
        (alone,) = nano([one], multimask_output=True)
        torch.testing.assert_close(alone["low_res_logits"], result["low_res_logits"], rtol=1e-4, atol=1e-5)


def test_prompts_of_many_images_in_one_decoder_call(nano):
    embeddings = torch.randn(3, nano.prompt_encoder.embed_dim, 8, 8)
    index = torch.tensor([2, 0, 2, 1])
    coords, labels = torch.rand(4, 1, 2) * 64, torch.ones(4, 1)
    sparse, dense = nano.prompt_encoder((coords, labels), None, None)
    pe = nano.prompt_encoder.get_dense_pe()
    masks, iou = nano.mask_decoder(embeddings, pe, sparse, dense, True, image_index=index)
    for prompt, image in enumerate(index):
        one = slice(prompt, prompt + 1)
        alone, alone_iou = nano.mask_decoder(embeddings[image][None], pe, sparse[one], dense[one], True)
        torch.testing.assert_close(masks[one], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(iou[one], alone_iou, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="image_index"):
        nano.mask_decoder(embeddings, pe, sparse, dense, True)


def test_another_image_size_keeps_the_weights_and_grows_the_masks(nano):
    before = {name: value.clone() for name, value in nano.state_dict().items()}
    nano.set_image_size(96)
    try:
        image = torch.rand(3, 96, 50) * 255
        record = {"image": image, "original_size": (96, 50), "boxes": torch.tensor([[5.0, 5.0, 40.0, 60.0]])}
        (result,) = nano([record], multimask_output=False)
        assert result["low_res_logits"].shape == (1, 1, 48, 48)
        assert all(value.equal(before[name]) for name, value in nano.state_dict().items())
        with pytest.raises(ValueError, match="multiple of 8"):
            nano.set_image_size(100)
    finally:
        nano.set_image_size(64)


def test_decoder_dropout_only_acts_in_training():
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"], dropout=0.5)
    sparse, dense = sam.prompt_encoder((torch.rand(1, 1, 2), torch.ones(1, 1)), None, None)
    arguments = (
        torch.randn(1, sam.prompt_encoder.embed_dim, 8, 8),
        sam.prompt_encoder.get_dense_pe(),
        sparse,
        dense,
        True,
    )
    assert sam.mask_decoder(*arguments)[0].equal(sam.mask_decoder(*arguments)[0])
    sam.train()
    assert not sam.mask_decoder(*arguments)[0].equal(sam.mask_decoder(*arguments)[0])


def test_weights_that_do_not_ship_are_named():
    with pytest.raises(ValueError, match=r"vit_b.*load_checkpoint"):
        build_sam("vit_b")


def test_another_image_size_gives_the_prompts_of_a_network_built_for_it():
    larger = build_from_config(replace(CONFIGS["nano"], image_size=96))
    sam = build_from_config(CONFIGS["nano"])
    sam.prompt_encoder.load_state_dict(larger.prompt_encoder.state_dict())
    sam.set_image_size(96)
    points = torch.tensor([[[90.0, 10.0], [3.0, 70.0]]]), torch.tensor([[1, 0]])
    boxes, masks = torch.tensor([[5.0, 6.0, 80.0, 90.0]]), torch.randn(1, 1, 48, 48)
    for prompts in ((points, boxes, None), (points, None, masks), (None, None, None)):
        pairs = zip(sam.prompt_encoder(*prompts), larger.prompt_encoder(*prompts), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    assert torch.equal(sam.prompt_encoder.get_dense_pe(), larger.prompt_encoder.get_dense_pe())


@pytest.mark.parametrize("size", [np.int64(96), 96.0, torch.tensor(96)])
def test_an_image_size_of_any_type_of_number_is_an_integer(size):
    sam = build_from_config(CONFIGS["nano"])
    sam.set_image_size(size)
    assert (type(sam.image_encoder.img_size), sam.image_encoder.img_size) == (int, 96)


@pytest.mark.parametrize("size", [0, -64, 100, 96.5, "96", None, True, (96, 96), 10**9])
def test_what_is_no_image_size_changes_nothing(nano, size):
    with pytest.raises(ValueError, match="the image size must be a multiple of 8 and at most 8192"):
        nano.set_image_size(size)
    assert nano.image_encoder.img_size == 64


IMAGE = torch.full((3, 40, 64), 100.0)
POINTS, LABELS = torch.ones(2, 1, 2), torch.ones(2, 1)
BAD_RECORDS = [
    ({"image": torch.zeros(3, 40, 65)}, "an image of 40 x 65 is larger than the network's 64: scale it"),
    ({"image": torch.zeros(40, 64, 3)}, r"image must have the shape \(3, H, W\), got \(40, 64, 3\)"),
    ({"image": torch.full((3, 40, 64), torch.nan)}, "image has values that are not finite"),
    ({"image": np.zeros((3, 40, 64))}, "image must be a tensor, got a ndarray"),
    ({"boxes": np.zeros((1, 4))}, "boxes must be a tensor, got a ndarray"),
    ({"box": torch.ones(1, 4)}, "a record's boxes are called boxes, not box"),
    ({"mask_input": torch.ones(1, 1, 32, 32)}, "are called mask_inputs"),
    ({"point_coords": POINTS}, "give both"),
    ({"point_labels": LABELS}, "give both"),
    ({"point_coords": POINTS[0], "point_labels": LABELS[0]}, "point_coords must have the shape"),
    (
        {"point_coords": POINTS, "point_labels": LABELS, "boxes": torch.ones(3, 4)},
        "numbers of prompts differ",
    ),
    ({"point_coords": POINTS * torch.nan, "point_labels": LABELS}, "not finite"),
    ({"point_coords": POINTS, "point_labels": 9 * LABELS}, "point_labels must be 1"),
    ({"mask_inputs": torch.ones(1, 1, 8, 8)}, "mask_input must have the shape"),
    ({"original_size": (40.0, 64.0)}, r"two whole numbers above 0, got \(40.0, 64.0\)"),
    ({"original_size": (0, 64)}, "two whole numbers above 0"),
    ({"original_size": 40}, "two whole numbers above 0"),
]


@pytest.mark.parametrize(("change", "words"), BAD_RECORDS)
def test_a_record_that_cannot_be_used_is_named(nano, change, words):
    with pytest.raises(ValueError, match=words) as caught:
        nano([{"image": IMAGE, "original_size": (40, 64), **change}], True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_image_of_any_type_is_that_of_the_network(nano, network, kind):
    image = torch.randint(256, (3, 40, 64), generator=torch.Generator().manual_seed(0))
    cast = copy.deepcopy(nano).to(network)
    expected, found = (
        cast([{"image": one, "original_size": (40, 64)}], True)[0]["low_res_logits"]
        for one in (image.to(network), image.to(kind))
    )
    assert found.dtype == network
    assert torch.equal(found, expected)


def test_records_are_taken_from_an_iterator_too(nano):
    record = {"image": IMAGE, "original_size": torch.tensor([40, 64])}
    found = nano(iter([record, record]), True)
    assert [one["masks"].shape for one in found] == [(1, 3, 40, 64)] * 2


def test_a_record_that_lacks_something_and_no_record(nano):
    with pytest.raises(ValueError, match="a record needs original_size"):
        nano([{"image": IMAGE}], True)
    with pytest.raises(ValueError, match="a record is a dictionary"):
        nano({"image": IMAGE, "original_size": (40, 64)}, True)
    assert nano([], True) == []


def test_boolean_masks_are_confident_logits(nano):
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[..., 8:20, 8:20] = True

    def logits(masks: torch.Tensor) -> torch.Tensor:
        return nano([{"image": IMAGE, "original_size": (40, 64), "mask_inputs": masks}], True)[0][
            "low_res_logits"
        ]

    assert logits(mask).equal(logits(20.0 * mask - 10)) and not logits(mask).equal(logits(mask.float()))
    assert logits(mask[0]).equal(logits(mask))


@pytest.mark.parametrize("tokens", [1, 1024])
def test_the_smallest_and_the_largest_image_size(tokens):
    with torch.device("meta"):
        sam = build_from_config(CONFIGS["nano"])
    patch = sam.image_encoder.patch_size
    sam.set_image_size(tokens * patch)
    assert sam.image_encoder.img_size == tokens * patch
    assert sam.prompt_encoder.image_embedding_size == (tokens, tokens)
    with pytest.raises(ValueError, match="at most"):
        sam.set_image_size((tokens + (1 if tokens > 1 else -1)) * patch)


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.7])
def test_masks_are_what_is_above_the_networks_own_threshold(nano, monkeypatch, threshold):
    """With logits that are exactly the threshold in some places: these are outside."""
    monkeypatch.setattr(nano, "mask_threshold", threshold)
    logits = torch.full((1, 3, 40, 50), threshold)
    logits[:, :, :20] += 0.25
    logits[:, :, :, :10] -= 1
    monkeypatch.setattr(nano, "postprocess_masks", lambda *_: logits)
    record = {"image": torch.zeros(3, 40, 50), "original_size": (40, 50)}
    (found,) = nano([record], multimask_output=True)
    expected = torch.zeros(40, 50, dtype=torch.bool)
    expected[:20, 10:] = True
    assert found["masks"].equal(expected.expand(1, 3, 40, 50))


@pytest.mark.parametrize("size", [(65, 10), (10, 65), (65, 65)])
def test_an_image_that_is_too_high_or_too_wide_is_refused(nano, size):
    with pytest.raises(ValueError, match=f"{size[0]} x {size[1]} is larger than the network's 64"):
        nano.preprocess(torch.zeros(3, *size))
    assert nano.preprocess(torch.zeros(3, 64, 64)).shape == (3, 64, 64)


@pytest.mark.parametrize("size", [(40, 64), (64, 24), (17, 31), (64, 64)])
def test_padding_is_cut_off_below_and_on_the_right(nano, size):
    """Without a change of size, what is left is the enlarged logits' own corner."""
    low_res = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    enlarged = torch.nn.functional.interpolate(low_res, (64, 64), mode="bilinear", align_corners=False)
    found = nano.postprocess_masks(low_res, size, size)
    torch.testing.assert_close(found, enlarged[..., : size[0], : size[1]])
    assert nano.postprocess_masks(low_res, size, (90, 70)).shape == (2, 3, 90, 70)


@pytest.mark.parametrize("size", [(40, 64), (64, 24), (17, 31), (64, 64)])
def test_masks_of_a_record_are_the_images_own_part_of_the_input(nano, size):
    """At the size of the input, they are a corner of the enlarged logits; padding is not squeezed into them."""
    generator = torch.Generator().manual_seed(0)
    record = {
        "image": 255 * torch.rand(3, *size, generator=generator),
        "original_size": size,
        "boxes": torch.tensor([[2.0, 3.0, 12.0, 14.0]]),
    }
    (found,) = nano([record], multimask_output=True)
    enlarged = torch.nn.functional.interpolate(
        found["low_res_logits"], (64, 64), mode="bilinear", align_corners=False
    )
    expected = enlarged[..., : size[0], : size[1]] > nano.mask_threshold
    assert 0 < expected.float().mean() < 1
    assert found["masks"].equal(expected)
