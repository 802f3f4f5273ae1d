"""A training step on the kernels and on torch; the timer is a stand-in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minisam.bench import kernel_training
from minisam.bench.agreement import TORCH
from minisam.bench.kernel_training import measure_training_steps
from minisam.train.presets import RECIPES
from minisam_kernels.lab.results import OURS

NANO = RECIPES["nano"]
TINY = replace(NANO.phases[-1], image_size=32, batch_size=1, prompts_per_image=1)


def run_once(call) -> float:
    call()
    return 4.0


def measured(backend: str, monkeypatch) -> kernel_training.TrainingSteps:
    """Our contestant under that backend."""
    monkeypatch.setattr(kernel_training, "BACKENDS", {OURS: backend, TORCH: "torch"})
    return measure_training_steps("nano", NANO, TINY, "cpu", "fp32", run_once)


@pytest.mark.ci
def test_a_step_on_the_kernels_has_the_gradient_of_torch(monkeypatch):
    result = measured("triton", monkeypatch)
    assert result.failed == {} and result.milliseconds == {OURS: 4.0, TORCH: 4.0}
    assert 0 < result.gradient_error[OURS] < 1e-5 and result.gradient_error[TORCH] == 0
    assert result.loss[OURS] == pytest.approx(result.loss[TORCH], rel=1e-5) and result.loss[TORCH] > 0
    assert result.to_dict()["torch_over_ours"] == 1.0


@pytest.mark.parametrize("fault", [lambda x: 0 * x, lambda x: 1.01 * x, lambda x: x.flip(0)])
def test_a_wrong_gradient_is_reported(monkeypatch, fault):
    real, made = kernel_training.step_of, []

    def step_of(task):
        step = real(task)
        made.append(step)
        ours = len(made) == 2  # the first is the right one, the third torch's
        return lambda: (step()[0], fault(step()[1]) if ours else step()[1])

    monkeypatch.setattr(kernel_training, "step_of", step_of)
    result = measured("torch", monkeypatch)
    assert result.failed[OURS].startswith("wrong: ") and TORCH not in result.failed


def test_every_contestant_has_the_same_images_and_prompts(monkeypatch):
    result = measured("torch", monkeypatch)
    assert result.failed == {} and result.gradient_error == {OURS: 0.0, TORCH: 0.0}
    assert (result.images, result.prompts, result.image_size) == (1, 1, 32)
    assert torch.isfinite(torch.tensor(list(result.loss.values()))).all()
