"""Training an adapted network on a folder: what is trained, what is frozen, resuming, early stopping."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import small_sam

from minisam.adapt import adapt_task
from minisam.adapt.adapt_run import with_steps
from minisam.adapt.adapt_task import ADAPTER, AdaptTask, Training, is_added
from minisam.adapt.choose import FEW, MANY, SETTINGS, Settings, method_for
from minisam.adapt.files import load_adapter
from minisam.adapt.lora import LAYERS
from minisam.adapt.methods import METHODS, Method, adapt
from minisam.adapt.own_images import OwnImages
from minisam.data.segmentation_folder import open_folder
from minisam.errors import CheckpointError, DatasetError
from minisam.train.interactive import Rounds
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


def test_the_iou_method_learns_to_rank_masks_that_stay_as_they_are(folder):
    how = replace(QUICK, settings=Settings(lr=1e-2, added_lr=1e-2, steps=60), single_round_share=1.0)
    task = task_of(folder, "iou", how)

    def measured():
        with torch.no_grad():
            drawn = [task.draw(index, torch.Generator().manual_seed(index)) for index in range(6)]
            embeddings, masks = (torch.cat(parts) for parts in zip(*drawn, strict=True))
            place = torch.arange(6).repeat_interleave(how.prompts_per_image)
            generator = torch.Generator().manual_seed(0)
            return task.rounds(embeddings, place, masks, [], generator)[0]

    before = measured()
    TrainingRun(task).run(progress_bar=False)
    task.sam.eval()
    after = measured()
    assert torch.equal(after.true_iou, before.true_iou) and after.focal == before.focal
    assert after.iou < before.iou / 2


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
    assert [method_for(count)[:2] for count in (1, FEW - 1, FEW, MANY - 1, MANY)] == [
        ("lora", False),
        ("lora", False),
        ("lora", True),
        ("lora", True),
        ("full", True),
    ]
    assert SETTINGS.keys() == set(METHODS)
    assert all(str(count) in method_for(count).reason for count in (3, 300, 3000))


@pytest.mark.parametrize("name", METHODS)
def test_what_is_added_is_what_the_network_did_not_have(name):
    of_sam = {parameter for parameter, _ in small_sam().named_parameters()}
    names = {parameter for parameter, _ in adapt(small_sam(), Method(name, on=LAYERS)).sam.named_parameters()}
    new = {parameter for parameter in names if parameter.replace(".base.", ".") not in of_sam}
    assert {parameter for parameter in names if is_added(parameter)} == new - {
        parameter for parameter in new if parameter.replace(".block.", ".") in of_sam
    }
    assert bool(new) == (name in ("lora", "adapter", "hq"))


def test_rates_and_decay_of_sams_parameters_and_of_the_added_ones(folder):
    how = replace(QUICK, settings=Settings(lr=1e-3, added_lr=1e-2, steps=40))
    task = task_of(folder, "lora", how)
    own, added = task.optimizers[0].param_groups
    names = {id(parameter): name for name, parameter in task.sam.named_parameters()}
    for group, wanted in ((own, False), (added, True)):
        assert {is_added(names[id(one)]) for one in group["params"]} == {wanted}
    assert (own["weight_decay"], added["weight_decay"]) == (0.01, 0.0)
    assert (own["betas"], own["lr"], added["lr"]) == ((0.9, 0.999), 1e-3, 1e-2)
    for step in (0, 1, 3, 4, 39):  # warm-up of a tenth of the steps
        factor = min(1, (step + 1) / 4) * (1 - step / 40)
        assert task.set_learning_rate(step) == pytest.approx(1e-3 * factor)
        assert (own["lr"], added["lr"]) == pytest.approx((1e-3 * factor, 1e-2 * factor))
    long = task_of(folder, "decoder", replace(QUICK, settings=Settings(1e-3, 1e-2, 5000)))
    assert long.set_learning_rate(24) == pytest.approx(1e-3 * 25 / 50 * (1 - 24 / 5000))


def test_a_step_is_the_mean_of_its_rounds_and_half_of_the_steps_have_one(folder, monkeypatch):
    task, given = task_of(folder, "decoder"), []
    rounds = task.rounds

    def watched(embeddings, image_index, masks, schedule, generator):
        found = rounds(embeddings, image_index, masks, schedule, generator)
        given.append((schedule, generator, torch.stack([one.total for one in found])))
        return found

    monkeypatch.setattr(task, "rounds", watched)
    single = 0
    for step in range(12):
        generator = torch.Generator().manual_seed(step)
        loss, metrics = task.loss(step, generator)
        schedule, own, totals = given[-1]
        assert schedule in ([], [True, True]) and own is generator
        torch.testing.assert_close(loss, totals.mean())
        assert metrics["loss"] is loss and metrics["rounds"] == len(totals) == 1 + len(schedule)
        single += not schedule
    assert 2 <= single <= 10
    again = task.loss(11, torch.Generator().manual_seed(11))[0]
    torch.testing.assert_close(again, loss)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 3), (1.0, 1)])
def test_the_rounds_after_the_first_are_those_that_are_asked_for(share, expected, folder):
    how = replace(QUICK, single_round_share=share, later=Rounds(1, 1))
    _, metrics = task_of(folder, "decoder", how).loss(0, torch.Generator().manual_seed(0))
    assert metrics["rounds"] == expected


@pytest.mark.parametrize("name", ["decoder", "hq"])
@pytest.mark.parametrize("full_size", [False, True])
def test_rounds_are_those_of_the_method(name, full_size, folder, monkeypatch):
    task, given = task_of(folder, name, replace(QUICK, full_size=full_size), mode="off"), []
    mode = lambda: getattr(task.sam.mask_decoder, "mode", None)  # noqa: E731
    monkeypatch.setattr(
        adapt_task, "interactive_rounds", lambda *args, **named: given.append((args, named, mode()))
    )
    monkeypatch.setattr(adapt_task, "first_prompts", lambda *args: args)
    generator = torch.Generator()
    assert task.rounds("embeddings", "index", "masks", [True], generator) is None
    (args, named, during), first = given[0], ("masks", 0.5, generator)
    assert args == (task.sam, "embeddings", "index", "masks", [True], generator, first)
    loss = adapt_task.full_size_loss if full_size else adapt_task.segmentation_loss
    clear = {"clear_prompts": True} if name == "decoder" else {}
    assert named == {"loss": loss, "full_size": full_size} | clear
    assert (during, mode()) == (("only", "off") if name == "hq" else (None, None))


def narrow_image():
    """An image of 48 x 30 pixels in an input of 48, with three masks."""
    pixels = torch.randint(256, (3, 48, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 48, 48, dtype=torch.bool)
    masks[0, :10, :7] = masks[1, 20:30, 5:29] = masks[2, 8:12, 3:4] = True
    return pixels, masks


def test_with_a_trained_encoder_half_of_the_images_are_mirrored_and_their_padding_stays(folder):
    task = task_of(folder, "full", replace(QUICK, prompts_per_image=2))
    pixels, masks = narrow_image()
    task.images = SimpleNamespace(read=lambda index: (pixels, masks))
    seen = {False: 0, True: 0}
    for seed in range(12):
        embedding, found = task.draw(0, torch.Generator().manual_seed(seed))
        order = torch.Generator().manual_seed(seed)
        wanted = masks[torch.randperm(3, generator=order)[:2]]
        mirrored = torch.rand((), generator=order).item() < 0.5
        image = pixels
        if mirrored:
            image, padding = pixels.flip(2), torch.zeros(2, 48, 18, dtype=torch.bool)
            wanted = torch.cat([wanted[:, :, :30].flip(2), padding], dim=2)
        assert found.equal(wanted)
        torch.testing.assert_close(embedding, task.sam.image_encoder(task.sam.preprocess(image)[None]))
        seen[mirrored] += 1
    assert min(seen.values()) > 2


def test_masks_are_repeated_if_an_image_has_too_few(folder):
    task = task_of(folder, "decoder", replace(QUICK, prompts_per_image=7))
    pixels, masks = narrow_image()
    task.images = SimpleNamespace(
        read=lambda index: (pixels, masks), embedding=lambda index, sam: (index, sam is task.sam)
    )
    embedding, found = task.draw(5, torch.Generator().manual_seed(1))
    assert embedding == (5, True) and found[3:6].equal(found[:3]) and found[6].equal(found[0])
    assert {mask.sum().item() for mask in found[:3]} == {mask.sum().item() for mask in masks}


def test_what_a_run_is_known_by(folder):
    task = task_of(folder, "late", late=1)
    about = task.about()
    assert about["method"]["late"] == 1 and about["training"]["settings"]["lr"] == 1e-3
    assert about["base"] == task.adapted.base and about["numbers"] == task.training == list(range(6))
    assert about["images"] == task.images.folder.fingerprint()


def test_an_equal_score_is_no_improvement_and_a_resumed_run_has_waited_as_long(folder, tmp_path):
    task = task_of(folder, "decoder", replace(QUICK, patience=3), score=lambda sam: {})
    for row, waited in (({"step": 9, "a": 0.25, "b": 0.5}, 0), ({"step": 99, "a": 0.375, "b": 0.375}, 1)):
        task.resumed([row])
        assert task.waited == waited and task.best == 0.375
    assert task.steps == 4
    task.save(tmp_path, 1, [])
    assert not (tmp_path / ADAPTER).exists()
    task.resumed([{"step": 1, "a": 0.1}, {"step": 2, "a": 0.1}])
    assert task.waited == 3 and task.steps == 0 and task.best == 0.375
    task.note(0.38)
    task.save(tmp_path, 1, [])
    assert task.waited == 0 and (tmp_path / ADAPTER).exists()


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_resumed_run_keeps_the_best_though_the_file_has_six_digits_or_is_lost(is_lost, folder, tmp_path):
    first = TrainingRun(task_of(folder, "decoder", score=lambda sam: {"iou": 0.1234564}), tmp_path)
    first.train_step()
    first.save()
    best = (tmp_path / ADAPTER).read_bytes()
    assert "0.123456\n" in (tmp_path / "validation.csv").read_text()
    if is_lost:
        (tmp_path / "validation.csv").unlink()
    worse = 0.1 if is_lost else 0.1234564
    second = TrainingRun(task_of(folder, "decoder", score=lambda sam: {"iou": worse}), tmp_path)
    second.run(progress_bar=False)
    assert second.step == 4 and (tmp_path / ADAPTER).read_bytes() == best
    assert len((tmp_path / "validation.csv").read_text().splitlines()) == 3


def test_the_mean_of_the_scores_decides(folder):
    task = task_of(folder, "decoder", score=lambda sam: {"a": 0.5, "b": 0.1})
    assert task.validate() == {"a": 0.5, "b": 0.1} and task.best == pytest.approx(0.3)
    assert task_of(folder, "decoder").validate() == {}


def test_other_steps_and_another_rate_keep_the_rest():
    other = with_steps(QUICK, 7, 1e-4)
    assert other == replace(QUICK, settings=Settings(lr=1e-4, added_lr=pytest.approx(1e-3), steps=7))
    assert with_steps(QUICK, None, None) == QUICK
