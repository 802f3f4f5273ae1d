"""The mask decoder's two ways give the same masks; masks that are not requested are not computed."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from strategies import normal

from minisam.bench.twins import randomise
from minisam.model import MaskDecoder, PromptEncoder, TwoWayTransformer
from minisam.model.fast import absorbed_mask_decoder, absorbed_two_way_transformer, dispatcher

E, GRID = 32, (6, 5)


@pytest.fixture(autouse=True)
def blocks_of_two(monkeypatch):
    """Several blocks, although these images are small."""
    for file in (absorbed_mask_decoder, absorbed_two_way_transformer):
        monkeypatch.setattr(file, "prompts_per_block", lambda images: 2)


def build(dtype=torch.float64):
    decoder = MaskDecoder(
        transformer_dim=E, transformer=TwoWayTransformer(2, E, 4, 24), iou_head_hidden_dim=16
    )
    randomise(decoder, seed=0)
    return decoder.eval().to(dtype)


@contextmanager
def way(absorbed: bool):
    """Independent of the rule's choice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher, "absorbing_wins", lambda *arguments: absorbed)
        yield


def draw(images, prompts, mask_prompts, dtype=torch.float64, tokens=2):
    dense = torch.tensor(normal(4, prompts if mask_prompts else 1, E, *GRID), dtype=dtype)
    return {
        "image_embeddings": torch.tensor(normal(1, images, E, *GRID), dtype=dtype),
        "image_pe": torch.tensor(normal(2, 1, E, *GRID), dtype=dtype),
        "sparse_prompt_embeddings": torch.tensor(normal(3, prompts, tokens, E), dtype=dtype),
        "dense_prompt_embeddings": dense.expand(prompts, -1, -1, -1),
    }


def both_ways(decoder, call):
    results = []
    for absorbed in (False, True):
        with way(absorbed):
            results.append(call(decoder))
    return results


CASES = [
    pytest.param(1, 1, None, id="one prompt"),
    pytest.param(1, 7, None, id="one image"),
    pytest.param(5, 5, None, id="an image a prompt"),
    pytest.param(3, 7, [2, 0, 2, 2, 1, 0, 2], id="some prompts an image"),
    pytest.param(3, 4, [2, 2, 0, 2], id="an image without prompts"),
]


@pytest.mark.parametrize("mask_prompts", [False, True])
@pytest.mark.parametrize(("images", "prompts", "index"), CASES)
def test_both_ways_agree(images, prompts, index, mask_prompts):
    index = None if index is None else torch.tensor(index)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        arguments = draw(images, prompts, mask_prompts, dtype)
        plain, absorbed = both_ways(
            build(dtype), lambda d, a=arguments: d.predict_masks(**a, image_index=index)
        )
        for ours, wanted in zip(absorbed, plain, strict=True):
            assert ours.shape == wanted.shape and ours.dtype == dtype
            assert (ours - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("absorbed", [False, True])
def test_only_the_masks_asked_for(absorbed):
    decoder, arguments = build(), draw(1, 4, False)
    made = []
    for m, head in enumerate(decoder.output_hypernetworks_mlps):
        head.register_forward_hook(lambda *_, m=m: made.append(m))
    with way(absorbed):
        every_mask, every_iou = decoder.predict_masks(**arguments)
        for multimask_output, chosen in ((True, [1, 2, 3]), (False, [0])):
            made.clear()
            masks, iou = decoder(**arguments, multimask_output=multimask_output)
            assert set(made) == set(chosen)
            torch.testing.assert_close(masks, every_mask[:, chosen], rtol=1e-12, atol=1e-12)
            assert iou.equal(every_iou[:, chosen])


@pytest.mark.parametrize("of_dense", [False, True])
@pytest.mark.parametrize("mask_prompts", [False, True])
def test_gradients_agree(mask_prompts, of_dense):
    decoder, arguments = build(), draw(2, 5, mask_prompts)
    index, upstream = torch.tensor([1, 0, 1, 1, 0]), torch.tensor(normal(5, 5, 4, 24, 20))
    for name, tensor in arguments.items():
        tensor.requires_grad_(of_dense or name != "dense_prompt_embeddings")
    sources = [*(tensor for tensor in arguments.values() if tensor.requires_grad), *decoder.parameters()]

    def gradients(decoder):
        masks, iou = decoder.predict_masks(**arguments, image_index=index)
        return torch.autograd.grad((masks * upstream).sum() + (iou**2).sum(), sources, materialize_grads=True)

    plain, absorbed = both_ways(decoder, gradients)
    for ours, wanted in zip(absorbed, plain, strict=True):
        assert (ours - wanted).abs().max() <= 1e-10 * max(1.0, wanted.abs().max().item())


def test_prompts_without_a_mask_see_one_image_and_others_a_few_at_a_time():
    encoder = PromptEncoder(E, GRID, (48, 40), 16)
    images, index = torch.randn(3, E, *GRID), torch.tensor([2, 0, 2, 2, 2, 2])
    points = torch.rand(6, 1, 2), torch.ones(6, 1)
    with torch.no_grad():
        _, dense = encoder(points, None, None)
        shared = list(absorbed_mask_decoder.prompts_by_image(images, dense, index))
        _, dense = encoder(points, None, torch.randn(6, 1, 24, 20))
        apart = list(absorbed_mask_decoder.prompts_by_image(images, dense, index))
    assert [(prompts.tolist(), len(src)) for prompts, src in shared] == [([1], 1), ([0, 2, 3, 4, 5], 1)]
    assert [(prompts.tolist(), len(src)) for prompts, src in apart] == [([0, 1], 2), ([2, 3], 2), ([4, 5], 2)]


def test_a_watched_upscaling_is_not_gone_round():
    decoder, arguments, seen = build(), draw(1, 4, False), []
    decoder.output_upscaling.register_forward_hook(lambda *_: seen.append(1))
    with way(True):
        decoder(**arguments, multimask_output=True)
    assert seen


def test_no_prompts():
    masks, iou = build()(**draw(1, 0, True), multimask_output=True)
    assert masks.shape == (0, 3, 24, 20) and iou.shape == (0, 3)


def test_the_rule_chooses(monkeypatch):
    """Large enough images take the absorbed way by themselves, and nothing but the way changes."""
    decoder = build()
    arguments = draw(1, 3, False)
    large = {
        name: torch.randn(*tensor.shape[:-2], 16, 16).double() if "image" in name else tensor
        for name, tensor in arguments.items()
    }
    large["dense_prompt_embeddings"] = torch.randn(1, E, 1, 1).double().expand(3, E, 16, 16)
    taken = []
    monkeypatch.setattr(
        dispatcher, "absorbed_masks", lambda *_: taken.append(1) or (torch.ones(1), torch.ones(1))
    )
    decoder(**arguments, multimask_output=True)
    assert not taken
    decoder(**large, multimask_output=True)
    assert taken


def test_shapes_can_be_asked_for_without_memory():
    """On torch's meta device, which has no autocast and no kernels."""
    from minisam.config import CONFIGS, build_from_config

    with torch.device("meta"):
        sam = build_from_config(CONFIGS["vit_b"])
        sparse, dense = torch.empty(5, 2, 256), torch.empty(5, 256, 64, 64)
        embedding, positions = torch.empty(1, 256, 64, 64), torch.empty(1, 256, 64, 64)
    with torch.inference_mode():
        masks, iou = sam.mask_decoder(embedding, positions, sparse, dense, multimask_output=True)
    assert masks.shape == (5, 3, 256, 256) and iou.shape == (5, 3)
