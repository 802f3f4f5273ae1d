"""Training an adapted network on a folder: what is trained, what is frozen, resuming, early stopping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import small_sam

from minisam.adapt.adapt_task import ADAPTER, AdaptTask, Training, is_added
from minisam.adapt.choose import FEW, MANY, SETTINGS, Settings, method_for
from minisam.adapt.files import load_adapter
from minisam.adapt.methods import METHODS, Method, adapt
from minisam.adapt.own_images import OwnImages
from minisam.data.segmentation_folder import open_folder
from minisam.errors import CheckpointError, DatasetError
from minisam.train.run import TrainingRun

QUICK = Training(Settings(lr=1e-3, added_lr=1e-2, steps=4), batch_size=2, prompts_per_image=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images of 40 x 48 pixels with two bright squares each; the seventh has an empty mask."""
    home = tmp_path_factory.mktemp("own")
    (home / "images").mkdir()
    (home / "masks").mkdir()
    random = np.random.default_rng(0)
    for number in range(7):
        image = random.integers(0, 80, (40, 48, 3), np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        for value in (1, 2) if number < 6 else ():
            x, y = 24 * (value - 1) + random.integers(0, 8), random.integers(0, 24)
            mask[y : y + 14, x : x + 14] = value
        image[mask > 0] += 120
        Image.fromarray(image).save(home / "images" / f"{number}.png")
        Image.fromarray(mask).save(home / "masks" / f"{number}.png")
    return home


def task_of(folder, name, how=QUICK, score=None, **settings):
    images = OwnImages(open_folder(folder), 48, 0.01, "cpu")
    numbers = images.usable(range(len(images.folder.names)))
    torch.manual_seed(0)
    return AdaptTask(adapt(small_sam(), Method(name, **settings)), images, numbers, how, score)


def weights(sam):
    return {name: value.detach().clone() for name, value in sam.state_dict().items()}


@pytest.mark.parametrize("name", METHODS)
def test_exactly_what_a_method_trains_changes(folder, name):
    task = task_of(folder, name)
    before = weights(task.sam)
    trained = {name for name, parameter in task.sam.named_parameters() if parameter.requires_grad}
    TrainingRun(task).run(progress_bar=False)
    changed = {name for name, value in weights(task.sam).items() if not torch.equal(value, before[name])}
    assert changed and changed <= trained
    if name in ("lora", "adapter", "hq"):
        assert any(is_added(one) for one in changed)
        added = {one for one in trained if is_added(one)}
        group = task.optimizers[0].param_groups[-1]
        assert len(group["params"]) == len(added) and group["base_lr"] == 1e-2


def test_a_frozen_encoder_sees_each_image_once(folder):
    task, seen = task_of(folder, "decoder"), []
    task.sam.image_encoder.register_forward_hook(lambda *_: seen.append(1))
    TrainingRun(task).run(progress_bar=False)
    assert len(seen) <= len(task.training)
    task, seen = task_of(folder, "full"), []
    task.sam.image_encoder.register_forward_hook(lambda *_: seen.append(1))
    TrainingRun(task).run(progress_bar=False)
    assert len(seen) == QUICK.settings.steps * QUICK.batch_size


def test_images_are_read_when_they_are_drawn_and_others_take_the_place_of_unusable_ones(folder, monkeypatch):
    images = OwnImages(open_folder(folder), 48, 0.01, "cpu")
    read = []
    monkeypatch.setattr(
        images.folder, "read", lambda i, real=images.folder.read: (read.append(i), real(i))[1]
    )
    everything = range(len(images.folder.names))
    assert images.usable(everything, 2) == [0, 1] and read == [0, 1]
    task = AdaptTask(adapt(small_sam(), Method("decoder")), images, everything, QUICK)
    drawn = [task.usable_image(torch.Generator().manual_seed(seed)) for seed in range(60)]
    assert set(drawn) == set(range(6)) and "images/6.png" in images.skipped
    assert sorted(read) == list(range(7))


def test_frozen_parts_stay_in_evaluation_mode(folder):
    task = task_of(folder, "decoder")
    task.modules["model"].train()
    assert not task.sam.image_encoder.training and task.sam.mask_decoder.training


@pytest.mark.parametrize("name", METHODS)
def test_an_adapted_network_stays_in_evaluation_mode(name):
    sam = adapt(small_sam().eval(), Method(name)).sam
    assert not any(part.training for part in sam.modules())


@pytest.mark.parametrize("name", ["decoder", "full"])
def test_every_mask_is_prompted_on_its_own_image(folder, name, monkeypatch):
    task = task_of(folder, name, replace(QUICK, batch_size=3))
    drawn, prompted = [], []
    draw, rounds = task.draw, task.rounds
    monkeypatch.setattr(task, "draw", lambda *given: drawn.append(draw(*given)) or drawn[-1])
    monkeypatch.setattr(task, "rounds", lambda *given: prompted.extend(given) or rounds(*given))
    task.loss(0, torch.Generator())
    embeddings, image_index, masks, *_ = prompted
    assert len(drawn) == 3 and image_index.tolist() == [0, 0, 1, 1, 2, 2]
    assert masks.equal(torch.cat([own for _, own in drawn]))
    assert embeddings.equal(torch.cat([embedding for embedding, _ in drawn]))


def test_a_run_resumes_bit_for_bit(folder, tmp_path):
    whole = TrainingRun(task_of(folder, "lora"), tmp_path / "whole").run(progress_bar=False)
    first = TrainingRun(task_of(folder, "lora"), tmp_path / "parts")
    first.folder.mkdir()
    for _ in range(2):
        first.train_step()
    first.save()
    second = TrainingRun(task_of(folder, "lora"), tmp_path / "parts").run(progress_bar=False)
    for name, value in weights(whole.sam).items():
        assert torch.equal(value, weights(second.sam)[name]), name
    trained = sum(value.numel() * 4 for value in whole.modules["model"].state_dict().values())
    whole_network = sum(value.numel() * 4 for value in weights(whole.sam).values())
    size = (tmp_path / "parts" / "state.pt").stat().st_size
    assert 3 * trained < size < 3 * trained + whole_network


def test_another_method_does_not_resume(folder, tmp_path):
    TrainingRun(task_of(folder, "lora"), tmp_path / "run").run(progress_bar=False)
    with pytest.raises(CheckpointError, match="other settings"):
        TrainingRun(task_of(folder, "lora", rank=2), tmp_path / "run").run(progress_bar=False)


def test_training_ends_without_improvement_and_keeps_the_best(folder, tmp_path):
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    kept = []

    def score(sam):
        kept.append(weights(sam))
        return {"iou": next(scores)}

    how = replace(QUICK, settings=replace(QUICK.settings, steps=50), patience=2)
    run = TrainingRun(task_of(folder, "decoder", how, score), tmp_path / "run", save_every=1)
    run.run(progress_bar=False)
    assert run.step == 4
    best = load_adapter(small_sam(), tmp_path / "run" / ADAPTER).sam
    for name, value in weights(best).items():
        assert torch.equal(value, kept[1][name])
    again = TrainingRun(task_of(folder, "decoder", how, score), tmp_path / "run", save_every=1)
    again.run(progress_bar=False)
    assert again.step == 4  # it had ended, and does not continue


def test_boxes_alone_and_clicks_alone(folder, monkeypatch):
    from minisam.adapt import adapt_task

    seen = []
    original = adapt_task.interactive_rounds

    def watched(sam, embeddings, index, masks, schedule, generator, first, **more):
        seen.append(first[1])
        return original(sam, embeddings, index, masks, schedule, generator, first, **more)

    monkeypatch.setattr(adapt_task, "interactive_rounds", watched)
    for prompts, labels in (("box", {2, 3}), ("click", {1, -1})):
        seen.clear()
        TrainingRun(task_of(folder, "decoder", replace(QUICK, prompts=prompts))).run(progress_bar=False)
        assert {int(label) for one in seen for label in one.flatten()} == labels


def test_a_folder_without_usable_masks_says_so(folder):
    images = OwnImages(open_folder(folder), 48, 0.01, "cpu")
    with pytest.raises(DatasetError, match=r"no image has a mask that can be used.*empty mask"):
        images.usable([6])
    assert images.usable([0, 6]) == [0]


def test_a_method_for_every_number_of_images():
    assert [method_for(count)[0] for count in (1, FEW - 1, FEW, MANY - 1, MANY)] == [
        "decoder",
        "decoder",
        "lora",
        "lora",
        "full",
    ]
    assert SETTINGS.keys() == set(METHODS)
    assert all(str(count) in method_for(count)[1] for count in (3, 300, 3000))
