"""The training loop: draw a batch, simulate prompts, step; killed at any moment, it goes on bit for bit.

Everything random in step t comes from (seed, t) alone, so a run that resumes needs only the weights, the
optimiser and t.  They are written together, atomically, every `save_every` steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from minisam.checkpoint import load_state_dict_into, save_checkpoint
from minisam.config import CONFIGS, build_from_config
from minisam.files import sha256_of
from minisam.locks import claimed
from minisam.model import Sam
from minisam.precision import computing_in
from minisam.pretrain.transfer import load_trunk
from minisam.seeds import hash_seed
from minisam.train.affinity import AffinityHead, affinity_loss
from minisam.train.average import WeightAverage
from minisam.train.figure import save_progress_figure
from minisam.train.initialise import initialise_
from minisam.train.interactive import interactive_rounds
from minisam.train.losses import SegmentationLoss
from minisam.train.metrics import describe_rounds, mean_of, read_rows, write_rows
from minisam.train.mixed import CutoutsOn, MixedSource
from minisam.train.optimizer import build_optimizers, parameters_of, set_learning_rate
from minisam.train.pictures import Repeats
from minisam.train.presets import Phase, Recipe
from minisam.train.sources import BatchSource, PartWorldSource, PictureSource
from minisam.train.state import read_state, write_state


@dataclass
class TrainingRun:
    """One run in a folder: metrics.csv, progress.png, state.pt to resume from, and model.safetensors at the end.

    With `validate` there is a validation.csv as well.
    """

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
    start_from_mae: Path | None = None
    """A masked autoencoder of the same preset, whose encoder the image encoder starts as."""
    data: Path | None = None
    """A folder of pictures with masks to train on, in place of PartWorld; minisam/data/segmentation_folder.py."""
    repeats: Repeats = ()
    """Folders of these pictures whose pictures are drawn more often than others; minisam/train/pictures.py."""
    cutouts: CutoutsOn | None = None
    """Cut-outs and backgrounds that the recipe's phases take their share of; minisam/data/cutouts."""
    distinct_batches: int | None = None
    """How many batches of PartWorld are drawn before the first comes again; None for ever new ones."""
    validation: float = 0.0
    """The share of those pictures that is held out."""
    validate: Callable[[Sam], dict[str, float]] | None = None
    """Measures the network, at the preset's image size, whenever the run is saved."""
    validation_rows: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        config = CONFIGS[self.preset]
        self.sam = build_from_config(config, self.recipe.drop_path, self.recipe.dropout)
        if self.start_from is None:
            initialise_(self.sam)
        else:
            load_state_dict_into(self.sam, self.start_from)
        if self.start_from_mae is not None:
            load_trunk(self.sam.image_encoder, self.start_from_mae)
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
        starts = {"start_from": self.start_from, "start_from_mae": self.start_from_mae}
        # Read once: whoever replaces such a file while the run goes on does not make it another run.
        self.started_from = {name: sha256_of(path) for name, path in starts.items() if path is not None}
        self.average = WeightAverage(self.sam, self.recipe.ema_decay) if self.recipe.ema_decay else None
        self.source = self.open_source()
        self.step = 0
        self.seconds = 0.0
        self.images = 0

    def run(self, progress_bar: bool | None = None) -> Sam:
        """Train to the last step and return the network, in evaluation mode.

        `progress_bar` None shows one on a terminal only.

        Raises MinisamError where another run is at work in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with claimed(self.folder):
                self.train(progress_bar)
        finally:
            self.source.close()
        return self.result()

    def train(self, progress_bar: bool | None) -> None:
        """Take up what is in the folder, and go on to the last step."""
        self.resume()
        rows = read_rows(self.folder / "metrics.csv", self.step)
        hidden = None if progress_bar is None else not progress_bar
        with tqdm(total=self.recipe.steps, initial=self.step, disable=hidden) as bar:
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

    def result(self) -> Sam:
        """The network as it is measured and written: the average where there is one, at the preset's image size.

        In evaluation mode.
        """
        sam = self.average.averaged(self.sam) if self.average else self.sam.eval()
        sam.set_image_size(CONFIGS[self.preset].image_size)
        return sam

    def open_source(self) -> BatchSource:
        """What `data` says, opened; raises DatasetError where that is nothing to train on."""
        if self.cutouts is not None:
            return MixedSource(self.cutouts, self.recipe, self.seed, self.device, self.draw_ahead)
        if self.data is None:
            return PartWorldSource(
                self.recipe, self.seed, self.device, self.draw_ahead, self.distinct_batches
            )
        return PictureSource(
            self.data,
            self.validation,
            self.recipe,
            self.seed,
            self.device,
            self.draw_ahead,
            self.repeats,
        )

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
        batch = self.source.batch(step, phase, generator)

        loss, rounds = torch.zeros((), device=self.device), []
        with computing_in(self.precision, self.device):
            images = torch.stack([self.sam.preprocess(image) for image in batch.images])
            embeddings = self.sam.image_encoder(images)
            if phase.prompts_per_image:
                rounds = self.prompt(batch.masks, embeddings, phase, generator)
                loss = loss + torch.stack([round.total for round in rounds]).mean()
            if phase.affinity:
                loss = loss + phase.affinity * affinity_loss(self.affinity(embeddings), batch.labels)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters_of(self.optimizers), self.recipe.clip_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()

        self.step += 1
        if self.average:
            self.average.update(self.sam, self.step)
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

    def prompt(
        self, masks: Tensor, embeddings: Tensor, phase: Phase, generator: torch.Generator
    ) -> list[SegmentationLoss]:
        """Train the rounds of this step on masks [B, M, S, S], embeddings [B, E, h, w]."""
        images, per_image = masks.shape[:2]
        image_index = torch.arange(images, device=self.device).repeat_interleave(per_image)
        single = torch.rand((), device=self.device, generator=generator).item() < phase.single_round_share
        order = torch.Generator().manual_seed(hash_seed(self.seed, self.step))
        schedule = [] if single else phase.rounds.schedule(order)
        mask_first = torch.rand((), generator=order).item() < phase.mask_first_share
        return interactive_rounds(
            self.sam,
            embeddings,
            image_index,
            masks.flatten(0, 1),
            schedule,
            generator,
            clear_prompts=phase.clear_prompts,
            mask_first=mask_first,
        )

    def save(self, rows: list[dict[str, float]]) -> None:
        """Write metrics, figure and state, each atomically; the state last, for it says which rows count.

        A run with an average of its weights also writes them, as they are by now, to latest.safetensors.
        """
        write_rows(self.folder / "metrics.csv", rows)
        save_progress_figure(self.folder / "progress.png", rows, self.preset)
        if self.validate is not None:
            self.validation_rows.append({"step": float(self.step), **self.validate(self.result())})
            self.sam.train()
            write_rows(self.folder / "validation.csv", self.validation_rows, list(self.validation_rows[0]))
        if self.average:
            save_checkpoint(self.result(), self.folder / "latest.safetensors", {"step": self.step}, "float16")
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "images": self.images,
            "model": self.sam.state_dict(),
            "affinity": self.affinity.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            **({"average": self.average.values} if self.average else {}),
        }
        write_state(self.folder / "state.pt", self.about(), state)

    def resume(self) -> None:
        """Take up the state in the folder, if there is one.

        Raises CheckpointError where it is damaged or belongs to a run with other settings.
        """
        state = read_state(self.folder / "state.pt", self.about(), self.device)
        if state is None:
            return
        self.sam.load_state_dict(state["model"])
        self.affinity.load_state_dict(state["affinity"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load(state["average"])
        self.step, self.seconds, self.images = state["step"], state["seconds"], state["images"]
        if self.validate is not None:
            rows = read_rows(self.folder / "validation.csv", self.step)
            self.validation_rows = [row for row in rows if row["step"] <= self.step]

    def about(self) -> dict[str, object]:
        """The settings that decide the result."""
        return {
            "preset": self.preset,
            "seed": self.seed,
            "precision": self.precision,
            "start_from": None,
            "recipe": asdict(self.recipe),
            "network": asdict(CONFIGS[self.preset]),
            **self.started_from,
            **self.source.about(),
        }
