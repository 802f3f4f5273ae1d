"""A step of training by hand: what is drawn from its seed, what is weighted, and what a resumed run knows."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minisam.seeds import hash_seed
from minisam.train import sam_task
from minisam.train.interactive import Rounds
from minisam.train.presets import Phase, Recipe
from minisam.train.sam_run import sam_run

PHASE = Phase(
    0.0,
    64,
    2,
    2,
    Rounds(3, 2),
    single_round_share=0.6,
    affinity=0.5,
    clear_prompts=True,
    mask_first_share=0.4,
)
RECIPE = Recipe(steps=100, phases=(PHASE,), lr=2e-3)


class Stopped(Exception):
    pass


def task_with_one_batch(monkeypatch, recipe: Recipe):
    task = sam_run("nano", None, recipe, seed=5).task
    batch = task.source.batch(0, recipe.phases[0], torch.Generator())
    monkeypatch.setattr(task.source, "batch", lambda *_: batch)
    return task


def test_shares_of_the_steps_have_one_round_and_begin_with_a_mask(monkeypatch):
    task, asked = task_with_one_batch(monkeypatch, RECIPE), {}

    def rounds(sam, embeddings, image_index, masks, schedule, generator, clear_prompts, mask_first):
        asked.update(schedule=schedule, clear=clear_prompts, mask=mask_first, images=image_index.tolist())
        raise Stopped

    monkeypatch.setattr(sam_task, "interactive_rounds", rounds)
    monkeypatch.setattr(task.sam.image_encoder, "forward", lambda images: images.new_zeros(2, 96, 8, 8))
    seen = set()
    for step in range(10):
        seed = hash_seed(5, step)
        single = torch.rand((), generator=torch.Generator().manual_seed(seed)).item() < 0.6
        order = torch.Generator().manual_seed(seed)
        schedule = [] if single else PHASE.rounds.schedule(order)
        mask_first = torch.rand((), generator=order).item() < 0.4
        with pytest.raises(Stopped):
            task.loss(step, torch.Generator().manual_seed(seed))
        assert (asked["schedule"], asked["mask"], asked["clear"]) == (schedule, mask_first, True)
        assert asked["images"] == [0, 0, 1, 1]
        seen.add((single, mask_first))
    assert len(seen) >= 3


def test_the_encoders_own_loss_has_its_weight(monkeypatch):
    recipe = Recipe(steps=1, phases=(Phase(0.0, 64, 2, 0, affinity=0.5),))
    task = task_with_one_batch(monkeypatch, recipe)
    monkeypatch.setattr(sam_task, "affinity_loss", lambda *_: torch.tensor(3.0))
    loss, metrics = task.loss(0, torch.Generator())
    assert loss.item() == metrics["loss"].item() == 1.5


def test_the_affinity_head_is_trained_at_the_recipes_rate_and_does_not_decay():
    task = sam_run("nano", None, RECIPE).task
    head = task.optimizers[0].param_groups[-1]
    assert {id(p) for p in head["params"]} == {id(p) for p in task.affinity.parameters()}
    assert (head["base_lr"], head["weight_decay"]) == (2e-3, 0.0)
    assert task.set_learning_rate(0) == pytest.approx(head["lr"])


def test_a_resumed_run_knows_how_many_images_it_has_seen(tmp_path: Path):
    recipe = Recipe(steps=4, phases=(Phase(0.0, 32, 2, 1), Phase(0.5, 32, 4, 1)))
    run = sam_run("nano", tmp_path, recipe)
    for _ in range(3):
        run.train_step()
    assert run.images == 2 + 2 + 4
    run.save()
    resumed = sam_run("nano", tmp_path, recipe)
    resumed.resume()
    assert (resumed.step, resumed.images) == (3, 8)


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_result_has_the_size_of_its_model_after_any_last_phase(ema_decay):
    """Training continues at the size of the phase; with an average, the result is another network."""
    task = sam_run("nano", None, replace(RECIPE, ema_decay=ema_decay), seed=5).task
    task.sam.train().set_image_size(128)
    result = task.result()
    assert result.image_encoder.img_size == 64 and not result.training
    assert result.prompt_encoder.input_image_size == (64, 64)
    assert result.prompt_encoder.image_embedding_size == (8, 8)
    assert (result is task.sam) == (ema_decay == 0)
    if ema_decay:
        assert task.sam.image_encoder.img_size == 128 and task.sam.training
