"""The plain mask decoder: which prompt sees which image, whose predict_masks is called, and who takes a fast path."""

from __future__ import annotations

import pytest
import torch
from strategies import normal

from minisam.bench.twins import randomise
from minisam.model import MaskDecoder, TwoWayTransformer, mask_decoder
from minisam.model.fast.fast_paths import FAST_PATHS

E, GRID, PROMPTS = 32, (16, 17), 4  # large enough for a fast path
NAMES = ("image_embeddings", "image_pe", "sparse_prompt_embeddings", "dense_prompt_embeddings")


def build(kind: type[MaskDecoder] = MaskDecoder) -> MaskDecoder:
    decoder = kind(transformer_dim=E, transformer=TwoWayTransformer(2, E, 4, 24), iou_head_hidden_dim=16)
    randomise(decoder, seed=0)
    return decoder.eval()


def draw(images: int = 1) -> dict[str, torch.Tensor]:
    shapes = (images, E, *GRID), (1, E, *GRID), (PROMPTS, 2, E), (PROMPTS, E, *GRID)
    return {
        name: torch.tensor(normal(i, *shape), dtype=torch.float32)
        for i, (name, shape) in enumerate(zip(NAMES, shapes, strict=True))
    }


@pytest.fixture
def asked(monkeypatch) -> list[MaskDecoder]:
    """The decoders that requested a fast path."""
    found, faster = [], FAST_PATHS[MaskDecoder]
    monkeypatch.setitem(FAST_PATHS, MaskDecoder, lambda self, *a: found.append(self) or faster(self, *a))
    return found


@torch.no_grad()
def test_a_subclass_runs_the_plain_code(asked):
    class Named(MaskDecoder):
        """Changes nothing."""

    other, decoder = build(Named), build()
    found, expected = (each(**draw(), multimask_output=True) for each in (other, decoder))
    assert asked == [decoder]
    for ours, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


class Opposite(MaskDecoder):
    def predict_masks(self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings):
        """With segment-anything's arguments."""
        return opposite(self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)


def opposite(decoder, *prompts):
    masks, ious = mask_decoder.PREDICT_MASKS(decoder, *prompts)
    return -masks, ious


@torch.no_grad()
@pytest.mark.parametrize("place", ["subclass", "instance", "class"])
@pytest.mark.parametrize("multimask_output", [True, False])
def test_another_predict_masks_predicts_all_masks_and_is_given_the_prompts_alone(
    place, multimask_output, monkeypatch
):
    expected, expected_ious = build()(**draw(), multimask_output=multimask_output)
    decoder = build(Opposite if place == "subclass" else MaskDecoder)
    if place == "instance":
        decoder.predict_masks = lambda *prompts: opposite(decoder, *prompts)
    if place == "class":
        monkeypatch.setattr(MaskDecoder, "predict_masks", Opposite.predict_masks)
    found, ious = decoder(**draw(), multimask_output=multimask_output)
    torch.testing.assert_close(found, -expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ious, expected_ious, rtol=1e-4, atol=1e-5)


class WithIndex(MaskDecoder):
    def predict_masks(self, *prompts, image_index):
        """Takes the image of each prompt too."""
        masks, ious = mask_decoder.PREDICT_MASKS(self, *prompts, image_index=image_index)
        return -masks, ious


@torch.no_grad()
@pytest.mark.parametrize("images", [3, PROMPTS])
def test_another_predict_masks_is_told_which_prompt_has_which_image(images):
    """As many images as prompts could be taken for one each."""
    index = torch.tensor([2, 0, 2, 1])
    expected, expected_ious = build()(**draw(images), multimask_output=True, image_index=index)
    found, ious = build(WithIndex)(**draw(images), multimask_output=True, image_index=index)
    torch.testing.assert_close(found, -expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ious, expected_ious, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("index", [None, [2, 0, 2, 1]])
@torch.no_grad()
def test_every_prompt_sees_its_image(index, training):
    decoder, arguments = build().train(training), draw(images=PROMPTS if index is None else 3)
    which = None if index is None else torch.tensor(index)
    together = decoder(**arguments, multimask_output=False, image_index=which)
    for prompt, image in enumerate(index or range(PROMPTS)):
        one = {name: x if len(x) == 1 else x[prompt : prompt + 1] for name, x in arguments.items()}
        one["image_embeddings"] = arguments["image_embeddings"][image : image + 1]
        alone = decoder(**one, multimask_output=False)
        for ours, wanted in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[prompt : prompt + 1], wanted, rtol=1e-4, atol=1e-5)


def test_it_must_be_clear_which_prompt_has_which_image():
    with pytest.raises(ValueError, match="4 prompts on 3 images: image_index must say"):
        build()(**draw(images=3), multimask_output=True)
