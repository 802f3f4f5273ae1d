"""Where the time of a training step goes, for each phase of a recipe.

    draw        the images and their targets, in this process
    encode      the image encoder, forward                 and its gradient
    prompt      all rounds of prompts, decoder and loss     and their gradient
    step        clipping and the optimisers

Steps are those that a run makes: the same images, prompts and rounds.  One round of every phase is measured in turn, so
that a busy machine slows all phases alike; the medians count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import torch
from torch import nn

from minisam.bench.measure import processor_name, versions
from minisam.distributed import own_rows
from minisam.precision import computing_in
from minisam.seeds import hash_seed
from minisam.train.affinity import affinity_loss
from minisam.train.optimizer import parameters_of
from minisam.train.presets import Recipe
from minisam.train.sam_run import sam_run
from minisam.train.sam_task import SamTask
from minisam.train.start import Start, random_weights

PARTS: tuple[str, ...] = ("draw", "encode", "prompt", "prompt gradient", "encode gradient", "step")
T = TypeVar("T")


@dataclass(frozen=True)
class PhaseTime:
    """Seconds of each part of a step (medians), and how much work a step is."""

    image_size: int
    images: int
    prompts: int
    seconds: dict[str, float]

    @property
    def images_per_second(self) -> float:
        return self.images / sum(self.seconds.values())


@dataclass(frozen=True)
class TrainingReport:
    model: str
    precision: str
    threads: int
    steps: int
    processor: str
    versions: dict[str, str]
    phases: list[PhaseTime]

    def to_dict(self) -> dict[str, object]:
        rates = [{"images_per_second": round(phase.images_per_second, 3)} for phase in self.phases]
        phases = [asdict(phase) | rate for phase, rate in zip(self.phases, rates, strict=True)]
        return {"benchmark": "training", **asdict(self), "phases": phases}

    def table(self) -> str:
        """A row for each phase."""
        head = f"{'image':>6} {'images':>6} {'prompts':>7} " + " ".join(f"{part:>15}" for part in PARTS)
        lines = [
            f"{self.model}, {self.precision}, {self.threads} threads, {self.processor}",
            head + "  images/s",
        ]
        for phase in self.phases:
            seconds = " ".join(f"{phase.seconds[part]:>13.3f} s" for part in PARTS)
            size = f"{phase.image_size:>6} {phase.images:>6} {phase.prompts:>7} "
            lines.append(f"{size}{seconds} {phase.images_per_second:>9.2f}")
        return "\n".join(lines)


class Stopwatch:
    """The seconds of each part of one step."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def time(self, part: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = work()
        self.seconds[part] += time.perf_counter() - started
        return result


def measure_training(
    model: str,
    recipe: Recipe,
    steps: int,
    threads: int,
    precision: str = "fp32",
    start: Start = random_weights,
    **source: Any,
) -> TrainingReport:
    """`steps` steps of each phase, after one that does not count; `source` are `sam_run`'s arguments for it."""
    torch.set_num_threads(threads)
    alone = [replace(recipe, phases=(replace(phase, start=0.0),)) for phase in recipe.phases]
    tasks = [sam_run(model, None, one, precision=precision, start=start, **source).task for one in alone]
    found: list[list[dict[str, float]]] = [[] for _ in tasks]
    for turn in range(steps + 1):
        for task, seconds in zip(tasks, found, strict=True):
            seconds.append(timed_step(task, turn))
    for task in tasks:
        task.close()
    phases = [
        PhaseTime(
            phase.image_size,
            phase.batch_size,
            phase.batch_size * phase.prompts_per_image,
            {part: statistics.median(each[part] for each in seconds[1:]) for part in PARTS},
        )
        for phase, seconds in zip(recipe.phases, found, strict=True)
    ]
    return TrainingReport(model, precision, threads, steps, processor_name(), versions(), phases)


def timed_step(task: SamTask, step: int) -> dict[str, float]:
    """One step as the training loop makes it, with the gradient of the encoder taken by itself."""
    watch, phase = Stopwatch(), task.recipe.phase_at(step)
    torch.manual_seed(hash_seed(task.seed, step) + 1)
    generator = torch.Generator(task.device).manual_seed(hash_seed(task.seed, step))
    task.sam.set_image_size(phase.image_size)
    batch, own = (
        watch.time("draw", lambda: task.source.batch(step, phase, generator)),
        own_rows(phase.batch_size),
    )
    with computing_in(task.precision, task.device):
        images = torch.stack([task.sam.preprocess(image) for image in batch.images[own]])
        embeddings = watch.time("encode", lambda: task.sam.image_encoder(images))
        seen = embeddings.detach().requires_grad_()

        def loss() -> torch.Tensor:
            total = torch.zeros((), device=task.device)
            if phase.prompts_per_image:
                rounds = task.prompt(batch.masks, own, seen, step, phase, generator)
                total = total + torch.stack([each.total for each in rounds]).mean()
            if phase.affinity:
                total = total + phase.affinity * affinity_loss(
                    task.affinity(seen), batch.labels, batch.labels
                )
            return total

        value = watch.time("prompt", loss)
    watch.time("prompt gradient", value.backward)
    watch.time("encode gradient", lambda: embeddings.backward(seen.grad))

    def update() -> None:
        nn.utils.clip_grad_norm_(parameters_of(task.optimizers), task.clip_norm)
        for optimizer in task.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if task.average is not None:
            task.average.update(task.sam, step + 1)

    watch.time("step", update)
    return watch.seconds
