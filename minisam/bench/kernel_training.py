"""A training step on our kernels, compared with the same step on torch: time, loss and gradients.

    step = forward, loss of the first prompt of each object, backward; the images are drawn before, and the same

Corrections are left out: clicks follow the predicted masks, and a rounding could move one.  The gradient of all
parameters is compared with that of torch in float32, as in agreement.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from minisam.backend import use_backend
from minisam.bench.agreement import TORCH, Agreement, complaint, exactly
from minisam.bench.kernel_encoder import caught
from minisam.train.presets import FIRST_PROMPT_ONLY, Phase, Recipe
from minisam.train.sam_run import sam_run
from minisam.train.sam_task import SamTask
from minisam.train.sources import BatchSource, TrainingBatch
from minisam_kernels.lab.bench import Timer
from minisam_kernels.lab.results import OURS

BACKENDS = {OURS: "triton", TORCH: "torch"}
EXACT = 1e-5
"""The error of a gradient in float32, whose sums pass through the whole network in another order."""


@dataclass
class TrainingSteps:
    """Milliseconds of a step by contestant, the error of its gradient, and why a contestant failed."""

    model: str
    precision: str
    image_size: int
    images: int
    prompts: int
    milliseconds: dict[str, float] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    gradient_error: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        ours, torchs = self.milliseconds.get(OURS), self.milliseconds.get(TORCH)
        return {**asdict(self), "torch_over_ours": torchs / ours if ours and torchs else None}


class SameBatch:
    """A source's first batch, drawn once."""

    def __init__(self, source: BatchSource, phase: Phase, generator: torch.Generator) -> None:
        self.skipped, self.about, self.close = source.skipped, source.about, source.close
        self.drawn = source.batch(0, phase, generator)

    def batch(self, step: int, phase: Phase, generator: torch.Generator) -> TrainingBatch:
        return self.drawn


def measure_training_steps(
    model: str, recipe: Recipe, phase: Phase, device: str, precision: str, timer: Timer
) -> TrainingSteps:
    """One phase's step. The phase has prompts; of its rounds, the first is trained."""
    phase = replace(phase, start=0.0, rounds=FIRST_PROMPT_ONLY, mask_first_share=0.0)
    recipe = replace(recipe, phases=(phase,), drop_path=0.0, dropout=0.0, ema_decay=0.0)
    task = sam_run(model, None, recipe, device=device, precision=precision).task
    task.source = SameBatch(task.source, phase, torch.Generator(device).manual_seed(0))
    prompts = phase.batch_size * phase.prompts_per_image
    result = TrainingSteps(model, precision, phase.image_size, phase.batch_size, prompts)
    task.precision = "fp32"
    with exactly():
        _, right = step_of(task)()
    task.precision, agreements = precision, dict[str, Agreement]()
    for name, backend in BACKENDS.items():
        with caught(name, result.failed), use_backend(backend):
            step = step_of(task)
            result.milliseconds[name] = timer(step)
            result.loss[name], gradient = step()
            agreements[name] = Agreement.of(gradient, right)
            result.gradient_error[name] = agreements[name].error
    if wrong := complaint(agreements, EXACT):
        result.failed[OURS] = wrong
    return result


def step_of(task: SamTask) -> Callable[[], tuple[float, Tensor]]:
    """A step without the update of the weights: its loss, and the gradient of all parameters as one vector."""
    parameters = [one for one in task.sam.parameters() if one.requires_grad]

    def step() -> tuple[float, Tensor]:
        torch.manual_seed(1)
        loss, _ = task.loss(0, torch.Generator(task.device).manual_seed(1))
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        return float(loss.detach()), torch.cat([one.flatten().float() for one in gradients])

    return step
