"""Distilling the image encoder: a small one learns the embeddings of a large one (MobileSAM; Zhang et al. 2023).

    loss = mean (student(image) - teacher(image))²        over [B, E, h, w]

Prompts are not needed: prompt encoder and mask decoder are the teacher's, unchanged, and the student's embeddings fit
them.  Training through the decoder as well ("coupled") is slower and, in the paper, worse.

A teacher's embeddings vary around a mean that does not depend on the image; a student that only learns this mean has
a small loss already.  The second metric is therefore the share of the variance that the student explains:

    explained = 1 - loss / variance of the teacher's embeddings around the mean of each position and channel
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.checkpoint.digest import weights_digest
from minisam.checkpoint.geometry import config_of, shapes_of
from minisam.checkpoint.identify import identify
from minisam.config import SamConfig, build_from_config
from minisam.distributed import own_rows
from minisam.errors import MinisamError
from minisam.model import Sam
from minisam.seeds import hash_seed
from minisam.train.metrics import Metrics
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.scenes import SceneSource
from minisam.train.task import Task

WORLDS = ("train", "cartoon", "train", "faint", "train", "wiry", "train", "xray")


@dataclass(frozen=True)
class DistilRecipe:
    """The rate falls linearly to 0."""

    steps: int = 4000
    batch_size: int = 8
    lr: float = 1e-3
    muon_lr: float | None = 2e-3
    weight_decay: float = 0.05
    warmup: int = 100
    worlds: tuple[str, ...] = WORLDS


def student_of(teacher: Sam, encoder: SamConfig) -> Sam:
    """The teacher with a new image encoder, with random weights and the width and depth of `encoder`.

    Its grid, neck, prompt encoder and mask decoder are the teacher's; these weights are copied, and only the encoder
    is trained.  Raises MinisamError if windows of `encoder` are larger than the teacher's grid.
    """
    config = config_of(teacher, identify(shapes_of(teacher)))
    grid = config.image_size // config.patch_size
    if encoder.window_size > grid:
        raise MinisamError(f"windows of {encoder.window_size} tokens do not fit the teacher's grid of {grid}")
    student = build_from_config(
        replace(
            config,
            encoder_dim=encoder.encoder_dim,
            encoder_depth=encoder.encoder_depth,
            encoder_heads=encoder.encoder_heads,
            global_attn_indexes=encoder.global_attn_indexes,
            window_size=encoder.window_size,
        )
    )
    student.prompt_encoder.load_state_dict(teacher.prompt_encoder.state_dict())
    student.mask_decoder.load_state_dict(teacher.mask_decoder.state_dict())
    student.pixel_mean, student.pixel_std = teacher.pixel_mean.clone(), teacher.pixel_std.clone()
    student.requires_grad_(False)
    student.image_encoder.requires_grad_(True)
    return student


class DistilTask(Task):
    """Trains `student.image_encoder` on scenes of PartWorld, in place."""

    metrics = ("loss", "explained")
    clip_norm = 1.0

    def __init__(
        self,
        student: Sam,
        teacher: Sam,
        recipe: DistilRecipe | None = None,
        seed: int = 0,
        device: str = "cpu",
        draw_ahead: bool = False,
    ) -> None:
        self.recipe = recipe or DistilRecipe()
        self.student, self.teacher = student.to(device), teacher.to(device).eval()
        self.seed, self.device, self.steps = seed, device, self.recipe.steps
        self.modules = {"model": self.student.image_encoder}
        depth = len(student.image_encoder.blocks)
        self.optimizers = build_optimizers(
            student, self.recipe.lr, self.recipe.weight_decay, 1.0, depth, self.recipe.muon_lr
        )
        self.scenes = SceneSource(self.scene_arguments, draw_ahead)

    def batch_size(self, step: int) -> int:
        return self.recipe.batch_size

    def set_learning_rate(self, step: int) -> float:
        recipe = self.recipe
        return recipe.lr * set_learning_rate(
            self.optimizers, step, recipe.steps, recipe.warmup, linear_decay=True
        )

    def scene_arguments(self, step: int) -> dict[str, Any]:
        """The arguments of `render_scenes` for a step."""
        return {
            "seed": hash_seed(self.seed, step),
            "batch_size": self.recipe.batch_size,
            "image_size": self.teacher.image_encoder.img_size,
            "device": self.device,
            "world": self.recipe.worlds[step % len(self.recipe.worlds)],
        }

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        images = self.scenes[step].images
        with torch.no_grad():
            wanted = self.teacher.image_encoder(self.teacher.preprocess(images))
        own = own_rows(len(images))
        found = self.student.image_encoder(self.student.preprocess(images[own]))
        share = len(found) / len(images)
        loss = share * F.mse_loss(found, wanted[own])
        around_mean = (wanted - wanted.mean(dim=0)).square().mean() * len(images) / max(1, len(images) - 1)
        return loss, {"loss": loss, "explained": share - loss.detach() / around_mean}

    def about(self) -> dict[str, object]:
        return {"recipe": asdict(self.recipe), "teacher": weights_digest(self.teacher), "seed": self.seed}

    def close(self) -> None:
        self.scenes.close()


@torch.no_grad()
def explained_variance(student: Sam, teacher: Sam, images: Sequence[Tensor]) -> float:
    """The share of the variance of the teacher's embeddings, of images uint8 [3, S, S], that the student explains."""
    batch = torch.stack([teacher.preprocess(image) for image in images])
    wanted, found = teacher.image_encoder(batch), student.image_encoder(batch)
    return float(1 - (found - wanted).square().mean() / wanted.var(dim=0).mean())
