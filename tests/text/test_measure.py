"""Captions of other objects, the mask that is shown for a prompt, what each kind of prompt is, and their mean."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from minisam.build import build_sam
from minisam.predict import SamPredictor
from minisam.text import measure
from minisam.text.crops import masked_crops
from minisam.text.measure import Measured, captions_of_others, crop_embeddings, mean_ious, prompts
from minisam.text.targets import Targets


def others(image_index: list[int], seed: int) -> list[int]:
    """For each object the number of the one whose caption it gets."""
    captions = [str(number) for number in range(len(image_index))]
    targets = SimpleNamespace(image_index=torch.tensor(image_index), captions=captions)
    return [int(caption) for caption in captions_of_others(targets, seed)]  # pyright: ignore[reportArgumentType]


def test_a_caption_is_of_another_image_and_of_any_of_its_objects():
    images = [0, 0, 0, 1, 1, 2]
    drawn = [others(images, seed) for seed in range(40)]
    for given in drawn:
        assert all(images[other] != own for other, own in zip(given, images, strict=True))
    for place, own in enumerate(images):
        assert {given[place] for given in drawn} == {n for n, image in enumerate(images) if image != own}
    assert others(images, 7) == drawn[7]


def test_of_a_single_image_it_is_any_of_its_captions():
    assert set(others([4, 4, 4], 0)) <= {0, 1, 2}


def three_targets() -> Targets:
    """Two on the first of two images of 64 pixels, one on the second, which are drawn at 128."""
    generator = torch.Generator().manual_seed(0)
    scenes = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8, generator=generator)
    large = torch.zeros(3, 128, 128, dtype=torch.bool)
    large[0, 8:60, 10:100] = large[1, 70:120, 30:60] = large[2, 20:80, 40:120] = True
    captions = ["red plain ball", "blue checked wheel of the car", "green plain car"]
    return Targets(
        scenes[..., ::2, ::2], scenes, large[:, ::2, ::2], large, torch.tensor([0, 0, 1]), captions
    )


@pytest.mark.parametrize(("with_token", "with_point"), [(True, False), (False, True), (True, True)])
@torch.no_grad()
def test_the_mask_shown_is_the_predictors_best_of_three(with_token, with_point):
    sam, targets = build_sam("nano"), three_targets()
    token = torch.randn(3, 1, sam.prompt_encoder.embed_dim, generator=torch.Generator().manual_seed(1))
    measured = Measured(sam, targets)
    shown = measured.masks(token if with_token else None, point=with_point)
    points = measured.points
    assert all(mask[int(y), int(x)] for mask, ((x, y),) in zip(targets.masks, points.tolist(), strict=True))
    best = []
    for place, image in enumerate(targets.image_index.tolist()):
        predictor, one = SamPredictor(sam), slice(place, place + 1)
        predictor.set_torch_image(targets.images[image][None], (64, 64))
        masks, predicted, _ = predictor.predict_torch(
            points[one] if with_point else None,
            torch.ones(1, 1) if with_point else None,
            external=token[one] if with_token else None,
        )
        best.append(int(predicted.argmax()))
        torch.testing.assert_close(shown[place], masks[0, best[-1]])
        mask = targets.masks[place]
        overlap, union = (shown[place] & mask).sum(), (shown[place] | mask).sum()
        found = measured.ious(token if with_token else None, point=with_point)[place]
        torch.testing.assert_close(found, overlap / union)
    assert set(best) != {0}, "the best mask is the first one of every target: this shows nothing"


class Told:
    """A stand-in for CLIP, whose embeddings say what was embedded."""

    config = SimpleNamespace(crop_size=12)

    def encode_texts(self, texts):
        return tuple(texts)

    def encode_crops(self, crops, inside=None):
        return crops, inside


def test_every_kind_of_prompt_is_what_its_name_says():
    targets = three_targets()
    model = SimpleNamespace(clip=Told(), external=lambda embedding, kind: (kind, embedding))
    asked = SimpleNamespace(ious=lambda token=None, point=False: (token, point))
    found = {name: answer(asked) for name, answer in prompts(model, targets).items()}  # pyright: ignore[reportArgumentType]
    captions = tuple(targets.captions)
    assert found["caption"] == (("text", captions), False)
    assert found["caption + point"] == (("text", captions), True)
    assert found["caption uncentred"] == (("image", captions), False)
    assert found["random caption"] == (("text", tuple(captions_of_others(targets))), False)
    assert found["short caption"] == (("text", ("red ball", "blue wheel", "green car")), False)
    assert found["point"] == (None, True)
    for name, point, zeroed, inside in (
        ("image", False, False, True),
        ("image + point", True, False, True),
        ("image zeroed", False, True, True),
        ("image unmasked", False, False, False),
    ):
        (kind, (crops, looked_at)), with_point = found[name]
        zero = torch.full((3,), zeroed)
        expected, mask = masked_crops(targets.scenes, targets.image_index, targets.scene_masks, 1.5, zero, 12)
        assert kind == "image" and with_point is point and crops.equal(expected)
        assert looked_at.equal(mask) if inside else looked_at is None
    assert len(found) == 10


def test_crops_for_evaluation_are_not_zeroed_and_are_seen_through_their_mask():
    targets = three_targets()
    crops, inside = crop_embeddings(SimpleNamespace(clip=Told()), targets)  # pyright: ignore[reportArgumentType]
    assert crops[~inside[:, None].expand_as(crops)].ne(0).any() and inside.any() and not inside.all()


def test_the_mean_is_over_targets_and_not_over_batches(monkeypatch):
    monkeypatch.setattr(measure, "Measured", lambda sam, targets: targets)
    answers = {"a": torch.tensor, "b": lambda ious: torch.zeros(len(ious))}
    monkeypatch.setattr(measure, "prompts", lambda model, targets: answers)
    found = mean_ious(SimpleNamespace(sam=None), [[1.0, 1.0, 1.0], [0.0]])  # pyright: ignore[reportArgumentType]
    assert found == {"a": 0.75, "b": 0.0}
