"""Training a Sam: draw images with masks, simulate an annotator who prompts for them, and score the masks.

images -> image encoder -> image embedding -> rounds of prompts (minisam/train/interactive.py) -> their mean loss
                                          └-> affinity head -> which tokens belong together, in some phases
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from minisam.checkpoint import save_checkpoint
from minisam.config import CONFIGS
from minisam.distributed import own_rows
from minisam.model import Sam
from minisam.precision import computing_in
from minisam.seeds import OwnRows, hash_seed
from minisam.train.affinity import AffinityHead, affinity_loss
from minisam.train.average import WeightAverage
from minisam.train.figure import save_progress_figure
from minisam.train.interactive import interactive_rounds
from minisam.train.losses import SegmentationLoss
from minisam.train.metrics import SAM_METRICS, Metrics, Row, describe_rounds
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.presets import Phase, Recipe
from minisam.train.sources import BatchSource
from minisam.train.task import Task

Validation = Callable[[Sam], Mapping[str, float]]


class SamTask(Task):
    """Writes progress.png and, with an average of the weights, latest.safetensors with the current weights."""

    metrics = SAM_METRICS

    def __init__(
        self,
        sam: Sam,
        model: str,
        recipe: Recipe,
        source: BatchSource,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        started_from: Mapping[str, str] | None = None,
        validation: Validation | None = None,
    ) -> None:
        """`sam` has the geometry CONFIGS[model]; the affinity head is drawn from torch's random numbers.

        `started_from` gives the files of its initial weights, with their hashes.  `validation` measures the network,
        at the image size of `model`, at every save.
        """
        self.model, self.recipe, self.source, self.seed = model, recipe, source, seed
        self.device, self.precision, self.validation = device, precision, validation
        self.steps, self.clip_norm = recipe.steps, recipe.clip_norm
        self.started_from = dict(started_from or {})
        config = CONFIGS[model]
        self.sam = sam.to(device).train()
        self.affinity = AffinityHead(config.prompt_dim).to(device)
        self.modules = {"model": self.sam, "affinity": self.affinity}
        self.optimizers = build_optimizers(
            self.sam,
            recipe.lr,
            recipe.weight_decay,
            recipe.layer_decay,
            config.encoder_depth,
            recipe.muon_lr,
        )
        head = {"params": list(self.affinity.parameters()), "base_lr": recipe.lr, "weight_decay": 0.0}
        self.optimizers[0].add_param_group(head)
        self.average = WeightAverage(self.sam, recipe.ema_decay) if recipe.ema_decay else None

    def batch_size(self, step: int) -> int:
        return self.recipe.phase_at(step).batch_size

    def set_learning_rate(self, step: int) -> float:
        recipe = self.recipe
        return recipe.lr * set_learning_rate(
            self.optimizers, step, recipe.steps, recipe.warmup, recipe.milestones, recipe.linear_decay
        )

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        phase = self.recipe.phase_at(step)
        self.sam.set_image_size(phase.image_size)
        batch, own = self.source.batch(step, phase, generator), own_rows(phase.batch_size)
        images, labels = batch.images[own], batch.labels[own]
        share = len(images) / phase.batch_size
        loss, rounds = torch.zeros((), device=self.device), []
        with computing_in(self.precision, self.device):
            embeddings = self.sam.image_encoder(torch.stack([self.sam.preprocess(image) for image in images]))
            if phase.prompts_per_image:
                rounds = self.prompt(batch.masks, own, embeddings, step, phase, generator)
                loss = loss + share * torch.stack([round.total for round in rounds]).mean()
            if phase.affinity:
                own_part = affinity_loss(self.affinity(embeddings), labels, batch.labels)
                loss = loss + phase.affinity * own_part
        return loss, {
            "loss": loss,
            **{name: share * value for name, value in describe_rounds(rounds).items()},
        }

    def prompt(
        self,
        masks: Tensor,
        own: slice,
        embeddings: Tensor,
        step: int,
        phase: Phase,
        generator: torch.Generator,
    ) -> list[SegmentationLoss]:
        """Train the rounds of this step on the images `own` of masks [B, M, S, S]; embeddings [own, E, h, w]."""
        images, per_image = len(embeddings), masks.shape[1]
        image_index = torch.arange(images, device=self.device).repeat_interleave(per_image)
        single = torch.rand((), device=self.device, generator=generator).item() < phase.single_round_share
        order = torch.Generator().manual_seed(hash_seed(self.seed, step))
        schedule = [] if single else phase.rounds.schedule(order)
        mask_first = torch.rand((), generator=order).item() < phase.mask_first_share
        prompts = slice(own.start * per_image, own.stop * per_image)
        return interactive_rounds(
            self.sam,
            embeddings,
            image_index,
            masks[own].flatten(0, 1),
            schedule,
            OwnRows(generator, prompts, masks.shape[0] * per_image),
            clear_prompts=phase.clear_prompts,
            mask_first=mask_first,
        )

    def result(self) -> Sam:
        """The network for evaluation and saving: the average if there is one, at the size of its model.

        In evaluation mode.
        """
        sam = self.average.averaged(self.sam) if self.average else self.sam.eval()
        sam.set_image_size(CONFIGS[self.model].image_size)
        return sam

    def validate(self) -> dict[str, float]:
        return {} if self.validation is None else dict(self.validation(self.result()))

    def save(self, folder: Path, step: int, rows: list[Row]) -> None:
        if rows:
            save_progress_figure(folder / "progress.png", rows, self.model)
        if self.average:
            save_checkpoint(self.result(), folder / "latest.safetensors", {"step": step}, "float16")

    def about(self) -> dict[str, object]:
        return {
            "preset": self.model,
            "seed": self.seed,
            "precision": self.precision,
            "start_from": None,
            "recipe": asdict(self.recipe),
            "network": asdict(CONFIGS[self.model]),
            **self.started_from,
            **self.source.about(),
        }

    def close(self) -> None:
        self.source.close()
