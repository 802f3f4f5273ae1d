"""A step of CLIP's training by hand, which of its weights decay, and how it is measured."""

import pytest
import torch

from minisam.data.partworld import render_scenes
from minisam.text.clip import Clip
from minisam.text.clip_task import ClipRecipe, ClipTask, agreement, build_optimizers
from minisam.text.contrastive_loss import contrastive_loss, same_caption
from minisam.text.crops import random_crops
from minisam.text.pairs import draw_pairs
from minisam.train.run import TrainingRun


def test_a_step_is_that_of_its_own_seed_at_the_rate_of_the_step():
    recipe = ClipRecipe(steps=40, scenes=2, per_scene=3, warmup=10, clip_norm=0.01)
    run = TrainingRun(ClipTask(recipe, seed=5))
    run.step, seed = 4, 5 * 1_000_003 + 4 * 7919 + 1
    scenes = render_scenes(seed, 2, 128, object_scale=1.5)
    pairs = draw_pairs(scenes, 3, seed, 1 / 200)
    generator = torch.Generator().manual_seed(seed)
    crops, inside = random_crops(scenes.images, pairs.image_index, pairs.masks, 48, generator)
    anywhere = torch.rand(len(crops), generator=generator) < 0.2
    assert anywhere.any() and not anywhere.all()
    images = run.task.clip.encode_crops(crops, inside | anywhere[:, None, None])
    texts = run.task.clip.encode_texts(pairs.texts)
    loss, found = contrastive_loss(images, texts, run.task.clip.logit_scale, same_caption(pairs.texts))

    row = dict(zip(run.task.metrics, run.train_step().tolist(), strict=True))
    assert (row["loss"], row["found"]) == (pytest.approx(loss.item(), rel=1e-4), pytest.approx(found.item()))
    assert row["temperature"] == pytest.approx(0.07, rel=0.01)
    assert run.lr == pytest.approx(0.5e-3)  # 5 of 10 steps of the warm-up
    adam, muon = run.task.optimizers
    assert {group["lr"] for group in adam.param_groups} == {0.5e-3}
    assert {group["lr"] for group in muon.param_groups} == {1e-3}
    gradients = torch.cat([parameter.grad.flatten() for parameter in run.task.clip.parameters()])
    assert gradients.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_muon_has_the_blocks_matrices_and_tables_and_vectors_do_not_decay():
    clip = Clip()
    names = {id(parameter): name for name, parameter in clip.named_parameters()}
    adam, muon = build_optimizers(clip, ClipRecipe())
    decayed, others = adam.param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert decayed["betas"] == others["betas"] == (0.9, 0.98)
    assert {names[id(parameter)] for parameter in decayed["params"]} == {
        "visual.conv1.weight",
        "visual.proj",
        "text.text_projection",
    }
    matrices = [names[id(parameter)] for group in muon.param_groups for parameter in group["params"]]
    assert len(matrices) == 4 * (4 + 3) and all(".resblocks." in name for name in matrices)
    assert muon.param_groups[0]["weight_decay"] == 0.1
    assert len(matrices) + len(decayed["params"]) + len(others["params"]) == len(names)


def test_agreement_by_hand():
    images, texts = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert agreement(images, texts, torch.eye(2, dtype=torch.bool)) == {
        "found": 1.0,
        "pairs": 2.0,
        "cosine_of_pairs": pytest.approx((1 + 0.8) / 2),
        "cosine_of_others": pytest.approx((0.6 + 0) / 2),
        "gap": pytest.approx((0.3**2 + 0.1**2) ** 0.5),
    }
