"""Training CLIP on PartWorld: draw scenes, cut out objects, pair each with a text, step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn, optim

from minisam.data.partworld import SceneBatch, render_scenes
from minisam.distributed import all_rows, is_first, own_rows, world_size
from minisam.evaluate.targets import FIRST_SEED
from minisam.precision import computing_in
from minisam.seeds import hash_seed
from minisam.text.clip import Clip
from minisam.text.contrastive_loss import contrastive_loss, same_caption
from minisam.text.crops import masked_crops, random_crops
from minisam.text.files import write_clip
from minisam.text.pairs import SCENE_SIZE, Pairs, draw_pairs
from minisam.train.metrics import Metrics
from minisam.train.muon import Muon
from minisam.train.optimizer import warm_then_cosine
from minisam.train.task import Task

VALIDATION_SEED = FIRST_SEED + 900_000
"""A seed for scenes that are used in no training and no experiment."""
WITHOUT_MASK = 0.2
"""The share of crops whose output token attends everywhere, as for a crop without a mask."""


@dataclass(frozen=True)
class ClipRecipe:
    """All settings of a run except seed and precision; `scenes` · `per_scene` pairs make a batch."""

    steps: int = 4500
    scenes: int = 32
    per_scene: int = 8
    min_area: float = 1 / 200
    object_scale: float = 1.5
    lr: float = 1e-3
    muon_lr: float = 2e-3
    """Rate of Muon for the blocks' matrices; AdamW, as in the paper, trains the rest."""
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = 100
    clip_norm: float = 1.0


class ClipTask(Task):
    """Writes clip.safetensors."""

    metrics = ("loss", "found", "temperature")

    def __init__(self, recipe: ClipRecipe, seed: int = 0, precision: str = "fp32") -> None:
        self.recipe, self.seed, self.precision = recipe, seed, precision
        self.steps, self.clip_norm = recipe.steps, recipe.clip_norm
        torch.manual_seed(seed)
        self.clip = Clip()
        self.modules = {"modules": nn.ModuleDict({"clip": self.clip}).train()}
        self.optimizers = build_optimizers(self.clip, recipe)

    def batch_size(self, step: int) -> int:
        return self.recipe.scenes

    def set_learning_rate(self, step: int) -> float:
        factor = warm_then_cosine(step, self.steps, self.recipe.warmup)
        for optimizer, rate in zip(self.optimizers, (self.recipe.lr, self.recipe.muon_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        return self.recipe.lr * factor

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Every process embeds its own pairs and has the loss of all of them, whose gradient it passes to its own."""
        scenes, pairs = self.draw(hash_seed(self.seed, step))
        own, count = own_rows(len(pairs.masks)), len(pairs.masks)
        size = self.clip.config.crop_size
        crops, inside = random_crops(scenes.images, pairs.image_index, pairs.masks, size, generator)
        unmasked = torch.rand(len(crops), generator=generator) < WITHOUT_MASK
        inside = inside | unmasked[:, None, None]
        with computing_in(self.precision, "cpu"):
            images, texts = (
                self.clip.encode_crops(crops[own], inside[own]),
                self.clip.encode_texts(pairs.texts[own]),
            )
        scale = self.clip.logit_scale if is_first() else self.clip.logit_scale.detach()
        images, texts = all_rows(images, own, count), all_rows(texts, own, count)
        loss, found = contrastive_loss(images, texts, scale, same_caption(pairs.texts))
        measured = {"loss": loss, "found": found, "temperature": 1 / scale.detach().exp()}
        return loss, {name: value / world_size() for name, value in measured.items()}

    def draw(self, seed: int, whole_caption: float = 0.5) -> tuple[SceneBatch, Pairs]:
        scenes = render_scenes(seed, self.recipe.scenes, SCENE_SIZE, object_scale=self.recipe.object_scale)
        return scenes, draw_pairs(scenes, self.recipe.per_scene, seed, self.recipe.min_area, whole_caption)

    def validate(self) -> dict[str, float]:
        """On one new batch with whole captions and crops of mean size: see `agreement`."""
        scenes, pairs = self.draw(VALIDATION_SEED, whole_caption=1.0)
        zero = torch.zeros(len(pairs.masks), dtype=torch.bool)
        size = self.clip.config.crop_size
        crops, inside = masked_crops(scenes.images, pairs.image_index, pairs.masks, 1.5, zero, size)
        images, texts = self.clip.encode_crops(crops, inside), self.clip.encode_texts(pairs.captions)
        return agreement(images, texts, same_caption(pairs.captions))

    def finish(self, folder: Path) -> None:
        write_clip(folder / "clip.safetensors", self.clip)

    def about(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "precision": self.precision,
            "recipe": asdict(self.recipe),
            "network": asdict(self.clip.config),
        }


def build_optimizers(clip: Clip, recipe: ClipRecipe) -> list[optim.Optimizer]:
    """AdamW and Muon; vectors and the tables of tokens and positions do not decay."""
    matrices, decayed, others = [], [], []
    for name, parameter in clip.named_parameters():
        if "resblocks" in name and parameter.dim() == 2:
            matrices.append(parameter)
        elif name.endswith(("proj", "conv1.weight", "text_projection")):
            decayed.append(parameter)
        else:
            others.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    muon = Muon(matrices, lr=recipe.muon_lr, weight_decay=recipe.weight_decay)
    return [optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas), muon]


def agreement(images: Tensor, texts: Tensor, same: Tensor) -> dict[str, float]:
    """How well crops and captions [B, E] find each other, and the distance of the two kinds (modality gap)."""
    one = torch.zeros(())
    return {
        "found": contrastive_loss(images, texts, one, same)[1].item(),
        "pairs": float(len(images)),
        "cosine_of_pairs": (images * texts).sum(dim=1).mean().item(),
        "cosine_of_others": (images @ texts.T)[~same].mean().item(),
        "gap": (images.mean(dim=0) - texts.mean(dim=0)).norm().item(),
    }
