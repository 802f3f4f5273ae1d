"""Pre-training by reconstruction: draw scenes, hide most patches, reconstruct the hidden ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import first_not_finite
from minisam.config import CONFIGS
from minisam.data.partworld import render_scenes
from minisam.distributed import own_rows
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.precision import computing_in
from minisam.pretrain.figure import reconstructions, save_reconstructions
from minisam.pretrain.masked_autoencoder import build_mae
from minisam.pretrain.recipes import PretrainingRecipe
from minisam.pretrain.reconstruction_loss import reconstruction_loss
from minisam.seeds import OwnRows, hash_seed
from minisam.train.metrics import Metrics, Row
from minisam.train.optimizer import has_weight_decay
from minisam.train.run import TrainingRun
from minisam.train.scenes import SceneSource
from minisam.train.task import Task


class MaeTask(Task):
    """Writes reconstructions.png, and mae.safetensors at the end."""

    metrics = ("loss",)

    def __init__(
        self,
        model: str,
        recipe: PretrainingRecipe,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        draw_ahead: bool = False,
    ) -> None:
        """The autoencoder of the image encoder of CONFIGS[model], with random weights."""
        self.model, self.recipe, self.seed = model, recipe, seed
        self.device, self.precision = device, precision
        self.steps, self.clip_norm = recipe.steps, recipe.clip_norm
        torch.manual_seed(seed)
        self.mae = build_mae(CONFIGS[model], recipe.image_size).to(device)
        self.modules = {"model": self.mae}
        named = list(self.mae.named_parameters())
        groups = [
            {"params": [p for name, p in named if has_weight_decay(name, p) == decays], "weight_decay": decay}
            for decays, decay in ((True, recipe.weight_decay), (False, 0.0))
        ]
        self.optimizers = [torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas)]
        self.scenes = SceneSource(self.scene_arguments, draw_ahead)

    def batch_size(self, step: int) -> int:
        return self.recipe.batch_size

    def set_learning_rate(self, step: int) -> float:
        rate = self.recipe.rate(step)
        for group in self.optimizers[0].param_groups:
            group["lr"] = rate
        return rate

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        own, count = own_rows(self.recipe.batch_size), self.recipe.batch_size
        images = normalise(self.scenes[step].images[own])
        with computing_in(self.precision, self.device):
            randomness = OwnRows(generator, own, count)
            prediction, masking = self.mae(images, self.recipe.mask_ratio, randomness)
        loss = reconstruction_loss(prediction, images, masking.hidden, self.mae.patch_size)
        loss = loss * (len(images) / count)
        return loss, {"loss": loss}

    def scene_arguments(self, step: int) -> dict[str, Any]:
        """The arguments of `render_scenes` for a step."""
        return {
            "seed": hash_seed(self.seed, step),
            "batch_size": self.recipe.batch_size,
            "image_size": self.recipe.image_size,
            "device": self.device,
        }

    def save(self, folder: Path, step: int, rows: list[Row]) -> None:
        held_out = render_scenes(0, 4, self.recipe.image_size, world="heldout", device=self.device)
        pictures = reconstructions(self.mae.eval(), normalise(held_out.images), self.recipe.mask_ratio)
        save_reconstructions(folder / "reconstructions.png", pictures)
        self.mae.train()

    def finish(self, folder: Path) -> None:
        """Write the autoencoder.  Raises CheckpointError if training diverged."""
        tensors = {key: t.cpu().contiguous() for key, t in self.mae.state_dict().items()}
        if key := first_not_finite(tensors):
            raise CheckpointError(f"{key} holds values that are not finite: it diverged; nothing was written")
        content = to_safetensors(tensors)
        write_atomically(folder / "mae.safetensors", lambda file: file.write(content))

    def about(self) -> dict[str, object]:
        return {
            "preset": self.model,
            "seed": self.seed,
            "precision": self.precision,
            "recipe": asdict(self.recipe),
            "network": asdict(CONFIGS[self.model]),
        }

    def close(self) -> None:
        self.scenes.close()


def mae_run(
    model: str,
    folder: Path,
    recipe: PretrainingRecipe,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "fp32",
    save_every: int = 200,
    draw_ahead: bool = False,
) -> TrainingRun[MaeTask]:
    """`draw_ahead` draws scenes in a second process; useful on a CPU with two cores or more."""
    return TrainingRun(MaeTask(model, recipe, seed, device, precision, draw_ahead), folder, save_every)


def normalise(images: Tensor) -> Tensor:
    """uint8 [B, 3, S, S] -> float, each channel normalised by the mean and variance of photographs."""
    mean, std = (
        images.new_tensor(values, dtype=torch.float32).view(3, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (images - mean) / std
