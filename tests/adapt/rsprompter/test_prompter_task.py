"""Training a detector: examples, the optimiser's groups, resuming, and the file that it leaves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_prompters import DrawnImages, small_prompter

from minisam.adapt.rsprompter import prompter_task
from minisam.adapt.rsprompter.examples import input_batch, prepare_example, turned
from minisam.adapt.rsprompter.instances import Instances
from minisam.adapt.rsprompter.labelled_images import WorldImages
from minisam.adapt.rsprompter.measure import ap_of, detect_objects, overlaps_of
from minisam.adapt.rsprompter.prompter_file import load_prompter, save_prompter, trained_tensors
from minisam.adapt.rsprompter.prompter_task import PrompterRecipe, PrompterTask
from minisam.checkpoint.digest import weights_digest
from minisam.config import CONFIGS, build_from_config
from minisam.data.segmentation_folder import Picture
from minisam.data.skipped import Skipped
from minisam.errors import CheckpointError, ImageError, MinisamError
from minisam.seeds import hash_seed
from minisam.train.run import TrainingRun

SHORT = PrompterRecipe(steps=2, images=2, warmup=1)


def task(prompter=None, images=None, recipe=SHORT, seed=0):
    images = images or DrawnImages()
    prompter = prompter or small_prompter()
    return PrompterTask(prompter, images, range(len(images.names)), recipe, seed, "base", held_out=[0])


def weights_of(prompter):
    return {name: value.clone() for name, value in trained_tensors(prompter).items()}


@pytest.mark.parametrize("variant", ["anchor", "query"])
def test_a_run_follows_from_its_seed_and_resumes_with_the_same_result(variant, tmp_path):
    recipe = replace(SHORT, steps=3)
    whole = weights_of(
        TrainingRun(task(small_prompter(variant), recipe=recipe), tmp_path / "whole").run(False).prompter
    )
    stopped = TrainingRun(task(small_prompter(variant), recipe=recipe), tmp_path / "parts", save_every=1)
    (tmp_path / "parts").mkdir()
    stopped.train_step()
    stopped.save()
    again = TrainingRun(task(small_prompter(variant), recipe=recipe), tmp_path / "parts").run(False)
    for name, value in weights_of(again.prompter).items():
        torch.testing.assert_close(value, whole[name], msg=name)
    other = TrainingRun(task(small_prompter(variant), recipe=recipe, seed=1)).run(False)
    assert any(not value.equal(whole[name]) for name, value in weights_of(other.prompter).items())
    with pytest.raises(CheckpointError):
        TrainingRun(task(small_prompter(variant), recipe=recipe, seed=1), tmp_path / "parts").run(False)


def test_sam_learns_at_a_third_of_the_rate_and_frozen_parameters_are_in_no_group():
    one = task()
    one.set_learning_rate(1)
    rate = {id(p): group["lr"] for group in one.optimizers[0].param_groups for p in group["params"]}
    named = dict(one.prompter.named_parameters())
    assert set(rate) == {id(p) for p in named.values() if p.requires_grad}
    new = rate[id(named["aggregator.fuse.0.weight"])]
    assert rate[id(named["sam.mask_decoder.iou_token.weight"])] == pytest.approx(new / 3)
    assert one.set_learning_rate(10**6) == pytest.approx(1e-3 * 3e-4)


def test_training_reduces_the_loss_and_reports_held_out_ap(tmp_path):
    one = task(recipe=PrompterRecipe(steps=24, images=2, warmup=4, lr=1e-3, augment=False, clip_norm=1.0))
    run = TrainingRun(one, tmp_path)
    one_by_one = [run.train_step()[0].item() for _ in range(24)]
    assert np.mean(one_by_one[-6:]) < 0.75 * np.mean(one_by_one[:4])
    measured = one.validate()
    assert measured["images"] == 1 and 0 <= measured["mask_ap"] <= measured["mask_ap50"] <= 1


def test_examples_are_turned_with_their_masks():
    picture = DrawnImages((2,), (40, 64)).read(0)
    plain = prepare_example(picture, {7: 0, 9: 1}, 64, Skipped())
    assert plain.sizes.scaled == (40, 64) and plain.sizes.original == (40, 64)
    turned_one = prepare_example(picture, {7: 0, 9: 1}, 64, Skipped(), np.random.default_rng(1))
    assert turned_one.sizes.scaled in ((40, 64), (64, 40))
    for example in (plain, turned_one):
        height, width = example.sizes.scaled
        red = torch.nn.functional.pad(example.image, (0, 64 - width, 0, 64 - height))[0] > 150
        assert red.equal(example.targets.masks.any(dim=0))
    corner = np.arange(6).reshape(2, 3)
    assert turned(corner, True, 1, (0, 1)).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_all_eight_orientations_are_drawn_equally_often():
    picture = DrawnImages((2,), (64, 64)).read(0)
    plain = prepare_example(picture, {7: 0, 9: 1}, 64, Skipped()).image
    flipped = (plain, plain.flip(2))
    orientations = [one.rot90(quarters, (1, 2)) for one in flipped for quarters in range(4)]
    counts = [0] * 8
    for seed in range(160):
        generator = np.random.default_rng(seed)
        image = prepare_example(picture, {7: 0, 9: 1}, 64, Skipped(), generator).image
        counts[next(n for n, one in enumerate(orientations) if one.equal(image))] += 1
    assert min(counts) >= 8 and max(counts) <= 36  # four standard deviations from 20


def test_crowds_other_categories_and_damaged_masks_are_left_out():
    picture = DrawnImages((3,)).read(0)
    first, second, third = picture.segments
    changed = Picture(
        "x", picture.image, [replace(first, crowd=True), second, replace(third, segmentation={"size": 3})]
    )
    skipped = Skipped()
    example = prepare_example(changed, {7: 0}, 64, skipped)
    assert len(example.targets.labels) == 0 and list(skipped) == [second.name, third.name]
    assert skipped[second.name] == f"there is no category {second.category!r}"


class Damaged(DrawnImages):
    def read(self, index):
        if index == 0:
            raise ImageError("drawn 0: damaged")
        return super().read(index)


def test_damaged_images_are_recorded_and_if_all_are_that_is_said():
    one = task(images=Damaged((1, 1)))
    examples, seeds = one.batch(0)
    assert len(examples) == len(seeds) == 2
    one.held_out = [0, 1]
    assert one.validate()["images"] == 2 and "drawn 0" in one.skipped
    with pytest.raises(MinisamError, match="hardly any image"):
        task(images=Damaged((1,))).batch(0)
    with pytest.raises(MinisamError, match="no images"):
        PrompterTask(small_prompter(), DrawnImages(()), [], SHORT, 0, "base")


@pytest.mark.parametrize("variant", ["anchor", "query", "seg", "det"])
def test_a_detector_survives_its_file(variant, tmp_path):
    torch.manual_seed(0)
    base = build_from_config(CONFIGS["nano"])
    digest = weights_digest(base)
    prompter = small_prompter(variant, norm="batch").train()
    TrainingRun(PrompterTask(prompter, DrawnImages(), [0, 1], SHORT, 0, digest), tmp_path).run(False)
    again = load_prompter(base, tmp_path / "detector.safetensors")
    image = DrawnImages().read(0).image
    for one, two in zip(detect_objects(prompter, image), detect_objects(again, image), strict=True):
        assert one.equal(two)
    assert again.config == prompter.config and not again.training


def test_files_that_are_no_detector_of_this_network_are_refused_in_one_line(tmp_path):
    path = tmp_path / "d.safetensors"
    prompter = small_prompter()
    torch.manual_seed(5)
    other = build_from_config(CONFIGS["nano"])
    save_prompter(prompter, "0" * 64, path)
    with pytest.raises(CheckpointError, match="stands on other weights"):
        load_prompter(other, path)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"d\.safetensors"):
        load_prompter(other, path)
    with torch.no_grad():
        prompter.aggregator.fuse[0].bias[0] = math.nan
    with pytest.raises(CheckpointError, match="not finite"):
        save_prompter(prompter, "0" * 64, tmp_path / "nan.safetensors")
    assert not (tmp_path / "nan.safetensors").exists()


def test_ap_by_hand():
    picture = DrawnImages((2,)).read(0)
    masks = torch.from_numpy(np.stack([segment.mask() for segment in picture.segments]))
    boxes = torch.tensor([[0.0, 0, 3, 3], [0, 0, 3, 3]])
    found = Instances(boxes, torch.tensor([0, 1]), torch.tensor([0.9, 0.8]), masks)
    overlaps = [overlaps_of(found, picture, {7: 0, 9: 1}, 2)]
    assert ap_of(overlaps, "mask", 2).mean() == pytest.approx(1) and ap_of(overlaps, "box", 2).mean() == 0
    assert ap_of([{}], "mask", 2).shape == (0, 10)


def test_crowds_and_other_categories_in_measuring():
    picture = DrawnImages((2,)).read(0)
    disc, square = picture.segments
    picture = Picture("x", picture.image, [replace(disc, crowd=True), square])
    nothing = Instances(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), torch.zeros(0, 64, 64, dtype=bool))
    found = overlaps_of(nothing, picture, {7: 0}, 1)
    assert found.keys() == {("box", 0), ("mask", 0)}
    assert all(one.crowd.tolist() == [True] for one in found.values())
    assert found["mask", 0].target_areas == [disc.mask().sum()]


def test_the_numbers_of_a_validation(monkeypatch):
    falling = np.linspace(0.9, 0.0, 10)
    found = {"box": np.array([falling, falling / 2]), "mask": np.array([falling / 3])}
    monkeypatch.setattr(prompter_task, "measured_images", lambda *arguments: iter([{}]))
    monkeypatch.setattr(prompter_task, "ap_of", lambda images, kind, classes: found[kind])
    expected = {"images": 1, "box_ap": 0.3375, "mask_ap": 0.15, "mask_ap50": 0.3}
    assert task().validate() == pytest.approx(expected)
    absent = np.full(10, np.nan)  # a class without targets in the held-out images
    found |= {"box": np.array([absent, falling]), "mask": np.array([falling / 3, absent])}
    assert task().validate() == pytest.approx(expected | {"box_ap": 0.45})
    found |= {"box": np.array([falling, falling / 2]), "mask": np.zeros((0, 10))}
    assert task().validate() == pytest.approx(expected | {"mask_ap": 0, "mask_ap50": 0})


@pytest.mark.parametrize("variant", ["anchor", "query"])
def test_of_sam_only_what_is_trained_is_in_the_file(variant):
    prompter = small_prompter(variant, norm="batch")
    trained = {name for name, value in prompter.named_parameters() if value.requires_grad}
    buffers = {name for name, _ in prompter.named_buffers() if not name.startswith("sam.")}
    kept = {name for name in buffers if not name.endswith("num_batches_tracked")}
    assert trained_tensors(prompter).keys() == trained | kept and kept < buffers


def test_the_world_has_its_templates_as_categories_and_evaluation_is_other_scenes():
    train, test = WorldImages("aerial", 3, 64), WorldImages("aerial", 3, 64, evaluation=True)
    assert list(train.categories.values()) == ["building", "field", "hangar", "vehicle", "grove", "road"]
    assert len(train.names) == 3 and not (train.read(0).image == test.read(0).image).all()
    for picture in train.pictures:
        for segment in picture.segments:
            assert segment.category in train.categories and segment.mask().sum() >= 64 * 64 / 1024


def test_a_category_is_the_longest_name_that_ends_a_caption():
    images = WorldImages("micro", 2, 64)
    names = {images.categories[one.category] for picture in images.pictures for one in picture.segments}
    assert {"cell", "dividing cell"} <= names <= {"cell", "nucleus", "dividing cell", "fibre"}


def test_matrices_have_weight_decay_and_vectors_tokens_and_tables_have_none():
    one = task(recipe=PrompterRecipe(lr=3e-3, sam_lr=1e-3, weight_decay=0.25))
    found = {
        id(p): (group["base_lr"], group["weight_decay"])
        for group in one.optimizers[0].param_groups
        for p in group["params"]
    }
    named = {name: p for name, p in one.prompter.named_parameters() if p.requires_grad}
    assert len(found) == len(named)
    for name, parameter in named.items():
        decayed = parameter.dim() > 1 and not name.endswith(("iou_token.weight", "mask_tokens.weight"))
        wanted = (1e-3 if name.startswith("sam.") else 3e-3, 0.25 if decayed else 0.0)
        assert found[id(parameter)] == wanted, name


def test_the_images_of_a_step_how_they_are_turned_and_its_loss_follow_from_seed_and_step():
    one = task(images=DrawnImages((2, 1, 3)), recipe=replace(SHORT, images=3), seed=5)
    one.training = [2, 0]
    examples, seeds = one.batch(4)
    random = np.random.default_rng(hash_seed(5, 4))
    for example in examples:
        picture = one.images.read(one.training[int(random.integers(2))])
        wanted = prepare_example(picture, one.labels, 64, Skipped(), random)
        assert example.image.equal(wanted.image) and example.targets.masks.equal(wanted.targets.masks)
    assert seeds == random.integers(2**31, size=3).tolist()
    plain = replace(one.recipe, augment=False)
    one.recipe, random = plain, np.random.default_rng(hash_seed(5, 4))
    for example in one.batch(4)[0]:
        picture = one.images.read(one.training[int(random.integers(2))])
        assert example.image.equal(prepare_example(picture, one.labels, 64, Skipped()).image)
    examples, seeds = one.batch(4)
    inputs = input_batch(one.prompter.sam, [example.image for example in examples])
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    one.prompter.eval()
    wanted = one.prompter.loss(inputs, [example.targets for example in examples], generators)
    total, metrics = one.loss(4, torch.Generator())
    torch.testing.assert_close(total, sum(wanted.values()))
    assert tuple(metrics) == one.metrics and metrics["loss"] is total
    for name, value in wanted.items():
        torch.testing.assert_close(metrics[name], value)


def test_what_a_run_is_known_by_and_how_much_is_measured():
    one = PrompterTask(
        small_prompter(), DrawnImages((1,) * 40), range(7), SHORT, 3, "the base", held_out=range(40)
    )
    about = one.about()
    assert (about["seed"], about["data"], about["images"], about["base"]) == (3, "drawn", 7, "the base")
    assert about["detector"]["variant"] == "anchor" and about["recipe"]["steps"] == 2
    assert list(one.held_out) == list(range(32)) and one.labels == {7: 0, 9: 1}
    other = PrompterTask(small_prompter(classes=("square",)), DrawnImages(), [0], SHORT, 0, "base")
    assert other.labels == {9: 0} and other.validate() == {}


def test_the_rate_warms_up_and_falls_by_half_a_cosine_to_a_thousandth():
    one = task(recipe=PrompterRecipe(steps=100, warmup=10, lr=1e-2, sam_lr=1e-3))
    for step in (0, 4, 10, 55, 99, 100):
        cosine = 0.5 * (1 + math.cos(math.pi * (step - 10) / 90))
        factor = max(1e-3, (step + 1) / 10 if step < 10 else cosine)
        assert one.set_learning_rate(step) == pytest.approx(1e-2 * factor)
        for group in one.optimizers[0].param_groups:
            assert group["lr"] == pytest.approx(factor * group["base_lr"])


def test_an_object_is_detected_in_an_image_of_any_shape(monkeypatch):
    prompter, given = small_prompter(), []
    monkeypatch.setattr(prompter, "detect", lambda inputs, sizes: given.append((inputs, sizes)) or ["found"])
    image = np.random.default_rng(0).integers(0, 256, (50, 200, 3)).astype(np.uint8)
    assert detect_objects(prompter, image) == "found"
    ((inputs, (sizes,)),) = given
    assert sizes == ((16, 64), (50, 200)) and inputs.shape == (1, 3, 64, 64)
    assert not inputs[0, :, 16:].any() and inputs[0, :, :16].any()


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (1, 1)])
@pytest.mark.parametrize("turns", range(4))
def test_an_image_one_pixel_wide_is_turned(shape, turns):
    values = np.arange(math.prod(shape)).reshape(shape)
    expected = np.rot90(np.flip(values, 1), turns)
    assert torch.from_numpy(turned(values, True, turns, (0, 1))).tolist() == expected.tolist()
