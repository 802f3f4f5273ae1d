"""Pre-training by reconstruction: draw scenes, hide most patches, step; killed at any moment, it goes on bit for bit.

Everything random in step t comes from (seed, t) alone, as in minisam/train/trainer.py.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import first_not_finite
from minisam.config import CONFIGS
from minisam.data.partworld import render_scenes
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.locks import claimed
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.precision import computing_in
from minisam.pretrain.figure import reconstructions, save_reconstructions
from minisam.pretrain.masked_autoencoder import MaskedAutoencoder, build_mae
from minisam.pretrain.recipes import PretrainingRecipe
from minisam.pretrain.reconstruction_loss import reconstruction_loss
from minisam.seeds import hash_seed
from minisam.train.metrics import mean_of, read_rows, write_rows
from minisam.train.optimizer import has_weight_decay, parameters_of
from minisam.train.scenes import SceneSource
from minisam.train.state import read_state, write_state

COLUMNS = ("step", "seconds", "images", "lr", "loss")


@dataclass
class PretrainingRun:
    """One run in a folder: metrics.csv, reconstructions.png, state.pt, and mae.safetensors at the end."""

    preset: str
    folder: Path
    recipe: PretrainingRecipe
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    save_every: int = 200
    draw_ahead: bool = False

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.mae = build_mae(CONFIGS[self.preset], self.recipe.image_size).to(self.device)
        named = list(self.mae.named_parameters())
        groups = [
            {"params": [p for name, p in named if has_weight_decay(name, p) == decays], "weight_decay": decay}
            for decays, decay in ((True, self.recipe.weight_decay), (False, 0.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.recipe.lr, betas=self.recipe.betas)
        self.scenes = SceneSource(self.scene_arguments, self.draw_ahead)
        self.step, self.seconds = 0, 0.0

    def run(self, progress_bar: bool | None = None) -> MaskedAutoencoder:
        """Pre-train to the last step and write the autoencoder; `progress_bar` None shows one on a terminal only.

        Raises CheckpointError where it diverged, MinisamError where another run is at work in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with claimed(self.folder):
                self.train(progress_bar)
                self.finish()
        finally:
            self.scenes.close()
        return self.mae.eval()

    def train(self, progress_bar: bool | None) -> None:
        """Take up what is in the folder, and go on to the last step."""
        self.resume()
        rows = read_rows(self.folder / "metrics.csv", self.step)
        hidden_bar = None if progress_bar is None else not progress_bar
        with tqdm(total=self.recipe.steps, initial=self.step, disable=hidden_bar) as bar:
            while self.step < self.recipe.steps:
                rows.append(self.train_step())
                bar.update()
                if self.step % 20 == 0:
                    bar.set_postfix_str(f"loss {mean_of(rows[-20:], 'loss'):.4f}")
                if self.step % self.save_every == 0 or self.step == self.recipe.steps:
                    self.save(rows)

    def finish(self) -> None:
        """Write the autoencoder."""
        tensors = {key: t.cpu().contiguous() for key, t in self.mae.state_dict().items()}
        if key := first_not_finite(tensors):
            raise CheckpointError(f"{key} holds values that are not finite: it diverged; nothing was written")
        content = to_safetensors(tensors)
        write_atomically(self.folder / "mae.safetensors", lambda file: file.write(content))

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns its row of the metrics."""
        started = time.perf_counter()
        generator = torch.Generator(self.device).manual_seed(hash_seed(self.seed, self.step))
        rate = self.recipe.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images = normalise(self.scenes[self.step].images)
        with computing_in(self.precision, self.device):
            prediction, masking = self.mae(images, self.recipe.mask_ratio, generator)
        loss = reconstruction_loss(prediction, images, masking.hidden, self.mae.patch_size)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters_of([self.optimizer]), self.recipe.clip_norm)
        self.optimizer.step()

        self.step += 1
        self.seconds += time.perf_counter() - started
        images_so_far = float(self.step * self.recipe.batch_size)
        values = (float(self.step), self.seconds, images_so_far, rate, loss.item())
        return dict(zip(COLUMNS, values, strict=True))

    def scene_arguments(self, step: int) -> dict[str, Any]:
        """What `render_scenes` is asked for at a step."""
        return {
            "seed": hash_seed(self.seed, step),
            "batch_size": self.recipe.batch_size,
            "image_size": self.recipe.image_size,
            "device": self.device,
        }

    def save(self, rows: list[dict[str, float]]) -> None:
        """Write metrics, figure and state, each atomically; the state last, for it says which rows count."""
        write_rows(self.folder / "metrics.csv", rows, COLUMNS)
        held_out = render_scenes(0, 4, self.recipe.image_size, world="heldout", device=self.device)
        pictures = reconstructions(self.mae.eval(), normalise(held_out.images), self.recipe.mask_ratio)
        save_reconstructions(self.folder / "reconstructions.png", pictures)
        self.mae.train()
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.mae.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(self.folder / "state.pt", self.about(), state)

    def resume(self) -> None:
        """Take up the state in the folder, if there is one.

        Raises CheckpointError where it is damaged or belongs to a run with other settings.
        """
        state = read_state(self.folder / "state.pt", self.about(), self.device)
        if state is not None:
            self.mae.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]

    def about(self) -> dict[str, object]:
        """The settings that decide the result."""
        return {
            "preset": self.preset,
            "seed": self.seed,
            "precision": self.precision,
            "recipe": asdict(self.recipe),
            "network": asdict(CONFIGS[self.preset]),
        }


def normalise(images: Tensor) -> Tensor:
    """uint8 [B, 3, S, S] -> float, each channel with the mean 0 and the variance 1 of photographs."""
    mean, std = (
        images.new_tensor(values, dtype=torch.float32).view(3, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (images - mean) / std
