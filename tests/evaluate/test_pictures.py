"""Networks with known masks on images from files, and the same numbers as PartWorld's where they must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from toy_sam import ToySam, nested_scenes

from minisam.data.sa1b import annotate, write_record
from minisam.data.segmentation_folder import open_folder
from minisam.data.skipped import Skipped
from minisam.errors import MinisamError
from minisam.evaluate import evaluate_pictures, evaluate_world, pictures
from minisam.evaluate import world as world_module
from minisam.evaluate.pictures import baseline_targets, validation_metrics
from minisam.evaluate.valid_iou import valid_iou, valid_iou_of_masks


@pytest.fixture
def folder(tmp_path):
    scenes = nested_scenes(3)
    for place in range(3):
        masks = [scenes.labels[place, level].numpy() == level for level in range(3)]
        image = scenes.images[place].permute(1, 2, 0).contiguous().numpy()
        write_record(tmp_path, image, [annotate(mask, n) for n, mask in enumerate(masks)], place, ".png")
    return tmp_path


def whole_first(levels, click, first):
    return (levels, torch.tensor([0.9, 0.5, 0.1])) if first else (levels[[0]], torch.tensor([0.5]))


def test_the_metrics_are_those_of_the_same_scenes_in_partworld(folder, monkeypatch):
    monkeypatch.setattr(world_module, "evaluation_batches", lambda *_: [lambda: nested_scenes(3)])
    expected = evaluate_world(ToySam(whole_first), "toy", images=3, clicks=2)  # pyright: ignore
    done = []
    found, skipped = evaluate_pictures(
        ToySam(whole_first), open_folder(folder), range(3), clicks=2, on_batch=done.append
    )  # pyright: ignore
    assert not skipped and done == [1, 1, 1]
    assert (found.masks, found.images) == (9, 3)
    for name, estimate in expected.metrics.items():
        assert found.metrics[name].value == pytest.approx(estimate.value), name
    assert not expected.sizes and sum(size.masks for size in found.sizes) == 9
    assert sum(size.masks * size.metrics["top1"].value for size in found.sizes) == pytest.approx(
        9 * found.metrics["top1"].value
    )
    one = validation_metrics(ToySam(whole_first), open_folder(folder), [0, 2])  # pyright: ignore
    assert one["masks"] == 6 and one["oracle"] == 1
    assert one["top1"] == pytest.approx(expected.metrics["top1"].value)


@dataclass
class Measured:
    targets: torch.Tensor
    image_index: torch.Tensor | None = None
    share: torch.Tensor | None = None


@pytest.mark.parametrize("size", [(16, 32), (32, 16), (8, 16), (32, 32)])
def test_the_share_of_a_target_is_that_of_its_image_and_not_of_the_square_input(tmp_path, monkeypatch, size):
    masks = np.zeros((2, *size), bool)
    masks[0, : size[0] // 2], masks[1, :, : size[1] // 4] = True, True
    image = np.zeros((*size, 3), np.uint8)
    write_record(tmp_path, image, [annotate(mask, n) for n, mask in enumerate(masks)], 0, ".png")
    monkeypatch.setattr(pictures, "measure_masks", lambda prompted, targets, *_: Measured(targets))
    batches = pictures.measure_picture(ToySam(whole_first), open_folder(tmp_path), 0, 8, 0, 1, 1, Skipped())  # pyright: ignore
    assert sorted(float(batch.share) for batch in batches) == [0.25, 0.5]  # pyright: ignore
    assert all(batch.targets.shape == (1, 32, 32) for batch in batches)  # pyright: ignore
    assert all(batch.image_index.tolist() == [0] for batch in batches)  # pyright: ignore


def test_a_picture_with_a_speck_alone_is_not_measured(folder):
    speck = np.zeros((64, 64), bool)
    speck[:2, :2] = True
    image = np.zeros((64, 64, 3), np.uint8)
    write_record(folder, image, [annotate(speck, 1), annotate(np.ones((64, 64), bool), 2)], 7, ".png")
    found, skipped = evaluate_pictures(ToySam(whole_first), open_folder(folder), range(4), clicks=1)  # pyright: ignore
    assert (found.masks, found.images) == (9, 3)
    assert list(skipped) == ["sa_7.json"]


def test_damaged_pictures_are_named_and_the_rest_measured(folder):
    (folder / "sa_1.png").unlink()
    found, skipped = evaluate_pictures(ToySam(whole_first), open_folder(folder), range(3), clicks=1)  # pyright: ignore
    assert (found.masks, found.images) == (6, 2)
    assert list(skipped) == ["sa_1.json"]
    for path in folder.glob("*.png"):
        path.unlink()
    sam = ToySam(whole_first)
    with pytest.raises(MinisamError, match="no image with a mask"):
        evaluate_pictures(sam, open_folder(folder), range(3))  # pyright: ignore
    assert sam.training
    nothing = validation_metrics(sam, open_folder(folder), range(3))  # pyright: ignore
    assert nothing["masks"] == 0 and np.isnan(nothing["oracle"])


def test_in_place_of_an_unusable_picture_the_next_spare_one_is_measured(folder, monkeypatch):
    """Waves of images: 0 fails, then the first spare one does, and the second is measured, as it would be alone."""
    done, sam, opened = [], ToySam(whole_first), open_folder(folder)
    (folder / "sa_0.png").unlink()
    (folder / "sa_1.png").unlink()
    found, skipped = evaluate_pictures(sam, opened, [0], clicks=2, spare=[1, 2], on_batch=done.append)  # pyright: ignore
    alone, _ = evaluate_pictures(sam, opened, [2], clicks=2)  # pyright: ignore
    assert (found.images, found.masks, done) == (1, 3, [1]) and found.metrics == alone.metrics
    assert list(skipped) == ["sa_0.json", "sa_1.json"]
    given = list(baseline_targets(sam, opened, [0], 3, 0, [1, 2]))  # pyright: ignore
    expected = list(baseline_targets(sam, opened, [2], 3, 0))  # pyright: ignore
    assert len(given) == 1 and torch.equal(given[0].targets, expected[0].targets)
    assert np.array_equal(given[0].image, expected[0].image)

    read, as_before = [], opened.read
    monkeypatch.setattr(opened, "read", lambda index: read.append(index) or as_before(index))
    assert evaluate_pictures(sam, opened, [2], clicks=1, spare=[0, 1])[0].images == 1  # pyright: ignore
    assert len(list(baseline_targets(sam, opened, [2], 3, 0, [0, 1]))) == 1  # pyright: ignore
    assert set(read) == {2}  # no spare one is opened where none is needed


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_baselines_get_the_targets_that_the_network_is_measured_on(folder, targets, monkeypatch):
    measured, measure_masks = [], pictures.measure_masks

    def seen(prompted, masks, *others):
        measured.append(masks)
        return measure_masks(prompted, masks, *others)

    monkeypatch.setattr(pictures, "measure_masks", seen)
    (folder / "sa_1.png").unlink()
    sam, opened = ToySam(whole_first), open_folder(folder)
    evaluate_pictures(sam, opened, range(3), targets, seed=4, clicks=1)  # pyright: ignore
    given = list(baseline_targets(sam, opened, range(3), targets, 4))  # pyright: ignore
    assert [len(one.targets) for one in given] == [targets] * 2
    assert torch.equal(torch.cat([one.targets for one in given]), torch.cat(measured))
    images = [nested_scenes(3).images[place].permute(1, 2, 0).numpy() for place in (0, 2)]
    assert all(np.array_equal(one.image, image) for one, image in zip(given, images, strict=True))


def test_valid_iou_of_masks_is_that_of_label_maps():
    scenes = nested_scenes(1)
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(40, 32, 32, generator=generator) < 0.4
    clicks = torch.randint(32, (40, 2), generator=generator)
    objects = torch.stack([scenes.labels[0, level] == level for level in range(3)])
    expected = valid_iou(masks, scenes.labels.expand(40, -1, -1, -1), clicks)
    assert valid_iou_of_masks(masks, objects, clicks).equal(expected)
    assert (expected == 0).any() and (expected > 0).any()
