"""A step of SAM's training by CLIP's embeddings: what is drawn from its seed, and what it is measured on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from minisam.data.partworld import render_scenes
from minisam.seeds import hash_seed
from minisam.text import text_sam_task
from minisam.text.clip_task import ClipRecipe, ClipTask
from minisam.text.crops import random_crops
from minisam.text.targets import draw_targets
from minisam.text.text_sam_task import TextRecipe, TextSamTask, centres, equal_in_half
from minisam.train.interactive import Rounds
from minisam.train.run import TrainingRun

RECIPE = TextRecipe(steps=100, scenes=1, per_scene=2, rounds=Rounds(3, 2))
UNSEEN = 2**31 + 910_000


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    TrainingRun(ClipTask(ClipRecipe(steps=1, scenes=1, per_scene=2)), folder).run(progress_bar=False)
    return folder / "clip.safetensors"


@pytest.fixture
def task(clip_file: Path) -> TextSamTask:
    return TextSamTask(clip_file, RECIPE, seed=5)


class Stopped(Exception):
    pass


def test_a_share_of_steps_has_the_token_alone_a_share_with_more_and_most_have_one_round(task, monkeypatch):
    asked = {}

    def rounds(sam, embeddings, image_index, masks, schedule, generator, first, external):
        asked.update(rounds=len(schedule), nothing=first is not None, token=external is not None)
        raise Stopped

    targets = task.draw(9)
    monkeypatch.setattr(task, "draw", lambda seed, unique: targets)
    monkeypatch.setattr(text_sam_task, "interactive_rounds", rounds)
    seen = set()
    run = TrainingRun(task)
    for run.step in range(12):
        seed = hash_seed(5, run.step)
        draw, single = torch.rand(2, generator=torch.Generator().manual_seed(seed)).tolist()
        with pytest.raises(Stopped):
            run.train_step()
        assert (asked["nothing"], asked["token"]) == (draw < 0.5, draw < 0.5 + 0.35)
        assert asked["rounds"] == (0 if single < 0.7 else 5)
        seen.add((asked["nothing"], asked["token"], asked["rounds"] > 0))
    assert len(seen) >= 4


def test_the_things_of_a_step_are_those_of_its_seed(task):
    wanted = draw_targets(render_scenes(9, 1, 128, object_scale=1.5), 64, 2, 9, 1 / 64)
    found = task.draw(9)
    assert found.masks.equal(wanted.masks) and found.captions == wanted.captions
    assert found.images.equal(wanted.images)


def test_it_is_measured_on_four_batches_that_no_training_sees(task, monkeypatch):
    drawn = []
    monkeypatch.setattr(task, "draw", lambda seed, unique: drawn.append((seed, unique)))
    monkeypatch.setattr(text_sam_task, "mean_ious", lambda model, batches: {"batches": len(list(batches))})
    assert task.validate() == {"batches": 4}
    assert drawn == [(UNSEEN + number, True) for number in range(4)]


def test_centres_are_the_means_of_crops_and_captions_of_eight_batches(task):
    clip = task.model.clip
    scenes = render_scenes(UNSEEN - 1, 8, 128, object_scale=1.5)
    targets = draw_targets(scenes, 128, 2, 0, 1 / 64)
    crops, inside = random_crops(
        targets.scenes, targets.image_index, targets.scene_masks, 48, torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        images, texts = clip.encode_crops(crops, inside), clip.encode_texts(targets.captions)
    torch.testing.assert_close(centres(clip, RECIPE), torch.stack([images.mean(0), texts.mean(0)]))
    assert task.model.external.centres.equal(centres(clip, RECIPE))


def test_numbers_are_equal_but_for_their_rounding_to_half():
    numbers = torch.tensor([1.0, 0.333333, 1234.567, 3e-5])
    assert equal_in_half(numbers.half().float(), numbers)
    assert not equal_in_half(numbers * (1 + 2**-9), numbers)
    assert not equal_in_half(numbers + 2**-12, numbers)
    assert not equal_in_half(numbers[:3], numbers)


def test_its_file_is_in_half_precision_and_clip_is_not_trained(task, tmp_path):
    assert not any(parameter.requires_grad for parameter in task.model.clip.parameters())
    task.finish(tmp_path)
    with safe_open(tmp_path / "text.safetensors", framework="pt") as file:
        assert file.get_tensor("sam.mask_decoder.iou_token.weight").dtype == torch.float16


def test_what_decides_the_result_is_in_its_state(task, clip_file: Path):
    about = task.about()
    assert (about["seed"], about["preset"]) == (5, "nano") and "captions" not in about
    other = TextSamTask(clip_file, replace(RECIPE, lr=1.0), captions=0.25).about()
    assert other["captions"] == 0.25 and other["clip"] == about["clip"] and other["recipe"] != about["recipe"]
