"""The training loop: render scenes, simulate prompts, step; killed at any moment, it goes on bit for bit.

Everything random in step t comes from (seed, t) alone, so a run that resumes needs only the weights, the
optimiser and t.  They are written together, atomically, every `save_every` steps.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from minisam.build import CONFIGS, build_from_config
from minisam.checkpoint import load_state_dict_into
from minisam.data.partworld import SceneBatch
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.model import Sam
from minisam.train.affinity import AffinityHead, affinity_loss
from minisam.train.figure import save_progress_figure
from minisam.train.initialise import initialise_
from minisam.train.interactive import interactive_rounds
from minisam.train.losses import SegmentationLoss
from minisam.train.metrics import describe_rounds, mean_of, read_rows, write_rows
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.presets import Phase, Recipe
from minisam.train.scenes import SceneSource
from minisam.train.targets import node_masks, sample_nodes

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class TrainingRun:
    """One run in a folder: metrics.csv, progress.png, state.pt to resume from, and model.safetensors at the end."""

    preset: str
    folder: Path
    recipe: Recipe
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    save_every: int = 200
    draw_ahead: bool = False
    """Draw scenes in a second process; worth it on a CPU with two cores or more."""
    start_from: Path | None = None
    """A checkpoint of the same network to start from, in place of random weights."""

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        config = CONFIGS[self.preset]
        self.sam = build_from_config(config, self.recipe.drop_path, self.recipe.dropout)
        if self.start_from is None:
            initialise_(self.sam)
        else:
            load_state_dict_into(self.sam, self.start_from)
        self.sam.to(self.device).train()
        self.affinity = AffinityHead(config.prompt_dim).to(self.device)
        self.optimizers = build_optimizers(
            self.sam,
            self.recipe.lr,
            self.recipe.weight_decay,
            self.recipe.layer_decay,
            config.encoder_depth,
            self.recipe.muon_lr,
        )
        head = {"params": list(self.affinity.parameters()), "base_lr": self.recipe.lr, "weight_decay": 0.0}
        self.optimizers[0].add_param_group(head)
        self.scaler = torch.amp.GradScaler(torch.device(self.device).type, enabled=self.precision == "fp16")  # pyright: ignore
        self.scenes = SceneSource(self.scene_arguments, self.draw_ahead)
        self.step = 0
        self.seconds = 0.0
        self.images = 0

    def run(self, progress_bar: bool | None = None) -> Sam:
        """Train to the last step and return the network, in evaluation mode.

        `progress_bar` None shows one on a terminal only.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.resume()
        rows = read_rows(self.folder / "metrics.csv", self.step)
        bar = tqdm(
            total=self.recipe.steps,
            initial=self.step,
            disable=None if progress_bar is None else not progress_bar,
        )
        try:
            while self.step < self.recipe.steps:
                rows.append(self.train_step())
                bar.update()
                if self.step % 20 == 0:
                    recent = rows[-20:]
                    bar.set_postfix_str(
                        f"loss {mean_of(recent, 'loss'):.3f} IoU {mean_of(recent, 'oracle'):.3f} "
                        f"{self.images / self.seconds:.1f} img/s"
                    )
                if self.step % self.save_every == 0 or self.step == self.recipe.steps:
                    self.save(rows)
        finally:
            bar.close()
            self.scenes.close()
        self.sam.set_image_size(CONFIGS[self.preset].image_size)
        return self.sam.eval()

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns its row of the metrics."""
        started = time.perf_counter()
        step, phase = self.step, self.recipe.phase_at(self.step)
        generator = torch.Generator(self.device).manual_seed(hash_seed(self.seed, step))
        torch.manual_seed(hash_seed(self.seed, step) + 1)
        factor = set_learning_rate(
            self.optimizers,
            step,
            self.recipe.steps,
            self.recipe.warmup,
            self.recipe.milestones,
            self.recipe.linear_decay,
        )
        self.sam.set_image_size(phase.image_size)
        scenes = self.scenes[step]

        dtype = AUTOCAST[self.precision]
        autocast = torch.autocast(torch.device(self.device).type, dtype) if dtype else nullcontext()
        loss, rounds = torch.zeros((), device=self.device), []
        with autocast, attention_backend(self.device, dtype):
            embeddings = self.sam.image_encoder(self.sam.preprocess(scenes.images))
            if phase.prompts_per_image:
                rounds = self.prompt(scenes, embeddings, phase, generator)
                loss = loss + torch.stack([round.total for round in rounds]).mean()
            if phase.affinity:
                loss = loss + phase.affinity * affinity_loss(self.affinity(embeddings), scenes.labels)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(self.sam.parameters(), self.recipe.clip_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()

        self.step += 1
        self.images += phase.batch_size
        row = {
            "step": float(self.step),
            "images": float(self.images),
            "lr": self.recipe.lr * factor,
            "loss": loss.item(),
            **describe_rounds(rounds),
        }
        self.seconds += time.perf_counter() - started
        return {"seconds": self.seconds, **row}

    def scene_arguments(self, step: int) -> dict[str, Any]:
        """What `render_scenes` is asked for at a step."""
        phase = self.recipe.phase_at(step)
        return {
            "seed": hash_seed(self.seed, step),
            "batch_size": phase.batch_size,
            "image_size": phase.image_size,
            "device": self.device,
            "object_scale": phase.object_scale,
            "richness": phase.richness,
        }

    def prompt(
        self, scenes: SceneBatch, embeddings: Tensor, phase: Phase, generator: torch.Generator
    ) -> list[SegmentationLoss]:
        """Choose targets in every scene and train the rounds of this step on them."""
        nodes = sample_nodes(scenes, phase.prompts_per_image, generator, phase.min_area)
        masks = node_masks(scenes, nodes).flatten(0, 1)
        images = torch.arange(phase.batch_size, device=self.device)
        image_index = images.repeat_interleave(phase.prompts_per_image)
        single = torch.rand((), device=self.device, generator=generator).item() < phase.single_round_share
        order = torch.Generator().manual_seed(hash_seed(self.seed, self.step))
        schedule = [] if single else phase.rounds.schedule(order)
        return interactive_rounds(self.sam, embeddings, image_index, masks, schedule, generator)

    def save(self, rows: list[dict[str, float]]) -> None:
        """Write metrics, figure and state, each atomically; the state last, for it says which rows count."""
        write_rows(self.folder / "metrics.csv", rows)
        save_progress_figure(self.folder / "progress.png", rows, self.preset)
        state = {
            "about": json.dumps(self.about()),
            "step": self.step,
            "seconds": self.seconds,
            "images": self.images,
            "model": self.sam.state_dict(),
            "affinity": self.affinity.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
        }
        write_atomically(self.folder / "state.pt", lambda file: torch.save(state, file))

    def resume(self) -> None:
        """Take up the state in the folder, if there is one.

        Raises CheckpointError where it is damaged or belongs to a run with other settings.
        """
        path = self.folder / "state.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            about = json.loads(state["about"])
        except Exception as error:
            raise CheckpointError(f"{path} cannot be read; delete it to train from the start") from error
        if about != json.loads(json.dumps(self.about())):
            raise CheckpointError(
                f"{path} is from a run with other settings; choose another --out or delete it"
            )
        self.sam.load_state_dict(state["model"])
        self.affinity.load_state_dict(state["affinity"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.images = state["step"], state["seconds"], state["images"]

    def about(self) -> dict[str, object]:
        """The settings that decide the result."""
        return {
            "preset": self.preset,
            "seed": self.seed,
            "precision": self.precision,
            "start_from": self.start_from and sha256(self.start_from),
            "recipe": asdict(self.recipe),
            "network": asdict(CONFIGS[self.preset]),
        }


def attention_backend(device: str, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """On a CPU in half precision: plain matrix products, since torch's fused backward is slow for few tokens there."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" and dtype is not None else nullcontext()


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_seed(seed: int, step: int) -> int:
    """One number for (seed, step), far from those of other seeds."""
    return (seed * 1_000_003 + step * 7919 + 1) % (2**31 - 1)
