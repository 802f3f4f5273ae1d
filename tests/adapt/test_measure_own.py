"""What is measured on the user's images and on PartWorld, and how both networks are compared."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from small_networks import small_sam

from minisam.adapt import measure_own as module
from minisam.adapt.measure_own import TARGETS, changes, measure_own, measure_partworld, scores
from minisam.evaluate.bootstrap import estimate, image_weights
from minisam.evaluate.measure import Measurements, measure_masks
from minisam.evaluate.valid_iou import valid_iou_of_masks
from minisam.predict.prompted import Prompted


def drawn_images():
    """Two images, the first with more objects than are measured."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(TARGETS + 2, 48, 48, dtype=torch.bool)
    for number, mask in enumerate(masks):
        mask[4 * number : 4 * number + 14, 5:30] = True
    pixels = torch.randint(256, (2, 3, 48, 48), dtype=torch.uint8, generator=generator)
    read = [(pixels[0], masks), (pixels[1], masks[:2])]

    def encode(index, sam):
        return sam.image_encoder(sam.preprocess(pixels[index])[None])

    return SimpleNamespace(device="cpu", read=lambda index: read[index], encode=encode)


def test_every_image_is_measured_alone_with_clicks_of_its_own_number():
    sam, images = small_sam().eval(), drawn_images()
    found = measure_own(sam, images, [1, 0], keep_embeddings=False, clicks=2)
    assert found.image_index.tolist() == [1] * 2 + [0] * TARGETS
    parts = []
    with torch.inference_mode():
        for index in (1, 0):
            masks = images.read(index)[1][:TARGETS]
            prompted = Prompted(sam, images.encode(index, sam), torch.zeros(len(masks), dtype=torch.long))
            of_any = partial(valid_iou_of_masks, objects=masks)
            parts.append(measure_masks(prompted, masks, 2, torch.Generator().manual_seed(index), of_any))
    for name in (field.name for field in fields(Measurements)):
        if name != "image_index":
            torch.testing.assert_close(
                getattr(found, name), torch.cat([getattr(part, name) for part in parts])
            )


def test_known_embeddings_are_used_only_if_they_may_be_kept():
    sam, images, asked = small_sam().eval(), drawn_images(), []
    images.embedding = lambda index, network: asked.append(index) or images.encode(index, network)
    measure_own(sam, images, [0, 1], keep_embeddings=False, clicks=1)
    assert asked == []
    measure_own(sam, images, [0, 1], keep_embeddings=True, clicks=1)
    assert asked == [0, 1]


@pytest.mark.parametrize(
    ("size", "images"), [(64, 32), (256, 32), (257, 16), (512, 16), (1024, 4), (1025, 2)]
)
def test_partworld_has_fewer_images_for_larger_inputs(size, images, monkeypatch):
    monkeypatch.setattr(module, "measure_world", lambda *given, **named: (given, named))
    sam = SimpleNamespace(image_encoder=SimpleNamespace(img_size=size))
    assert measure_partworld(sam) == ((sam, "train", images, 6, (0,)), {"clicks": 1})
    assert measure_partworld(sam, seed=7)[0][4] == (7,)


def measurements(clicks: int, seed: int) -> Measurements:
    generator = torch.Generator().manual_seed(seed)
    found = {field.name: torch.rand(6, 3, generator=generator) for field in fields(Measurements)}
    found["centre_shown"] = torch.rand(6, clicks, generator=generator)
    found["box_single"] = torch.rand(6, generator=generator)
    return Measurements(**found | {"image_index": torch.tensor([0, 0, 1, 1, 1, 2])})


def test_scores_are_what_the_user_gets():
    one = measurements(5, 0)
    found = scores(one)
    ranked = [iou[predicted.argmax()] for iou, predicted in zip(one.box_iou, one.box_predicted, strict=True)]
    wanted = {
        "one click, best of three": one.centre_iou.max(dim=1).values,
        "one click, ranked first": one.centre_shown[:, 0],
        "box, best of three": one.box_iou.max(dim=1).values,
        "box, ranked first": torch.stack(ranked),
        "box, single mask": one.box_single,
        "5 clicks": one.centre_shown[:, 4],
    }
    assert list(found) == list(wanted)
    assert all(found[name].equal(values) for name, values in wanted.items())
    assert "1 clicks" not in scores(measurements(1, 0)) and len(scores(measurements(1, 0))) == 5
    assert scores(measurements(2, 0))["2 clicks"].equal(measurements(2, 0).centre_shown[:, 1])


def test_changes_are_after_minus_before_of_the_same_masks():
    before, after = measurements(5, 0), measurements(5, 1)
    weights = image_weights(before.image_index)
    found = changes(before, after)
    assert [one.name for one in found] == list(scores(before))
    for one in found:
        old, new = (scores(of)[one.name].double() for of in (before, after))
        assert one.before == pytest.approx(old.mean().item()) and one.after == pytest.approx(
            new.mean().item()
        )
        assert one.change.value == pytest.approx(one.after - one.before)
        spread = estimate(lambda w, d=new - old: (w * d).sum(dim=1) / w.sum(dim=1), weights)
        assert (one.change.low, one.change.high) == pytest.approx((spread.low, spread.high))
        assert one.change.low < one.change.value < one.change.high
