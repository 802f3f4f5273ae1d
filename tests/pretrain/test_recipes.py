"""The learning rate of pre-training: a straight line up, half a cosine down to almost nothing."""

from __future__ import annotations

import math

import pytest

from minisam.pretrain.recipes import PretrainingRecipe


def test_the_rate_by_hand():
    recipe = PretrainingRecipe(steps=100, batch_size=1, image_size=32, lr=0.2, warmup_share=0.1)
    assert [recipe.rate(step) / 0.2 for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1, 1])
    for step, angle in ((25, 15), (40, 30), (55, 45), (70, 60), (85, 75)):  # 90 steps for half a turn
        assert recipe.rate(step) == pytest.approx(0.1 * (1 + math.cos(2 * math.radians(angle))))
    assert recipe.rate(99) == pytest.approx(0.1 * (1 - math.cos(math.pi / 90)))


def test_a_run_of_one_step_is_at_full_rate():
    assert PretrainingRecipe(steps=1, batch_size=1, image_size=32).rate(0) == 1e-3


def test_what_the_paper_says():
    recipe = PretrainingRecipe(steps=1, batch_size=1, image_size=32)
    assert (recipe.mask_ratio, recipe.betas, recipe.weight_decay) == (0.75, (0.9, 0.95), 0.05)
    assert recipe.warmup_share == 40 / 800
