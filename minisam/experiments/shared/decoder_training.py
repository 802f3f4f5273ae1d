"""Decoders that an experiment trains on a trained image encoder, one for each arm and seed.

    nano's weights  ->  `change` makes the arm's network from them  ->  train prompt encoder and mask decoder

The encoder is frozen and runs without gradient; almost all of the time of a step is spent on the decoder's rounds.
Arms with the same seed have the same scenes, targets and random numbers, and also the same new weights if `change`
draws the same layers in the same order.  Arms are trained and measured with the same code as all other networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from minisam.build import WEIGHTS, build_sam
from minisam.config import CONFIGS, build_from_config
from minisam.data.partworld import render_scenes
from minisam.distributed import own_rows
from minisam.experiments.experiment import Settings
from minisam.files import sha256_of
from minisam.model import Sam
from minisam.seeds import OwnRows, hash_seed
from minisam.train.initialise import PROMPT_STD
from minisam.train.interactive import Loss, Rounds, interactive_rounds
from minisam.train.losses import segmentation_loss
from minisam.train.metrics import SAM_METRICS, Metrics, describe_rounds
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.run import TrainingRun
from minisam.train.state import read_state, write_state
from minisam.train.targets import node_masks, sample_nodes
from minisam.train.task import Task

NETWORK = "nano"
FIVE_ROUNDS = Rounds(corrective=3, mask_only=1)
MIN_AREA = 1 / 64  # one token of nano's grid


@dataclass(frozen=True)
class DecoderRecipe:
    """The recipe, equal for all arms except for the compared property; the rate falls linearly to 0."""

    steps: int
    rounds: Rounds = FIVE_ROUNDS
    images: int = 8
    prompts_per_image: int = 4
    lr: float = 1e-3
    muon_lr: float = 1e-3
    warmup: int = 20
    object_scale: float = 1.25

    def shortened(self, settings: Settings) -> DecoderRecipe:
        """Itself, or one step with two images if `settings` are quick."""
        short = DecoderRecipe(steps=1, rounds=self.rounds, images=2, prompts_per_image=2)
        return short if settings.quick else self


def trained_decoder(
    settings: Settings,
    arm: str,
    change: Callable[[Sam], None],
    recipe: DecoderRecipe,
    seed: int,
    loss: Loss = segmentation_loss,
) -> Sam:
    """The network of an arm, in evaluation mode; one that is finished in `settings.work / "decoders"` is only read.

    `change` gets nano and draws from torch's random numbers.  `arm` is a name for `change` and `loss`.  Raises
    CheckpointError if the file is damaged or of another recipe.
    """
    torch.manual_seed(hash_seed(seed, 0))
    sam = build_sam(NETWORK)
    change(sam)
    sam.image_encoder.requires_grad_(False)
    path = settings.work / "decoders" / f"{arm}-{seed}.pt"
    about = {"arm": arm, "seed": seed, "start": sha256_of(WEIGHTS / f"{NETWORK}.safetensors")} | asdict(
        recipe
    )
    finished = read_state(path, about, "cpu")
    if finished is not None:
        sam.load_state_dict(finished["model"])
        return sam.eval()
    train_decoder_(sam, recipe, seed, loss)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_state(path, about, {"model": sam.state_dict()})
    return sam.eval()


class DecoderTask(Task):
    """All of `sam` that has a gradient, trained in place."""

    metrics = SAM_METRICS

    def __init__(self, sam: Sam, recipe: DecoderRecipe, seed: int, loss: Loss = segmentation_loss) -> None:
        self.sam, self.recipe, self.seed, self.loss_of_round = sam.train(), recipe, seed, loss
        self.modules, self.steps, self.clip_norm = {"model": sam}, recipe.steps, 1.0
        depth = CONFIGS[NETWORK].encoder_depth
        self.optimizers = build_optimizers(sam, recipe.lr, 0.05, 1.0, depth, recipe.muon_lr)

    def batch_size(self, step: int) -> int:
        return self.recipe.images

    def set_learning_rate(self, step: int) -> float:
        recipe = self.recipe
        factor = set_learning_rate(self.optimizers, step, recipe.steps, recipe.warmup, linear_decay=True)
        return recipe.lr * factor

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        embeddings, image_index, masks = batch(self.sam, self.recipe, self.seed, step, generator)
        schedule = self.recipe.rounds.schedule(torch.Generator().manual_seed(hash_seed(self.seed, step)))
        own = own_rows(len(masks))
        share = len(masks[own]) / len(masks)
        rounds = interactive_rounds(
            self.sam,
            embeddings,
            image_index[own],
            masks[own],
            schedule,
            OwnRows(generator, own, len(masks)),
            loss=self.loss_of_round,
        )
        loss = share * torch.stack([round.total for round in rounds]).mean()
        return loss, {
            "loss": loss,
            **{name: share * value for name, value in describe_rounds(rounds).items()},
        }


def train_decoder_(sam: Sam, recipe: DecoderRecipe, seed: int, loss: Loss = segmentation_loss) -> None:
    """Train all of `sam` that has a gradient, in place."""
    TrainingRun(DecoderTask(sam, recipe, seed, loss)).run()


@torch.no_grad()
def batch(
    sam: Sam, recipe: DecoderRecipe, seed: int, step: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Image embeddings [I, E, h, w] of a step, the image of each prompt [P] and the mask to find [P, S, S] bool."""
    scenes = render_scenes(
        hash_seed(seed, step),
        recipe.images,
        sam.image_encoder.img_size,
        object_scale=recipe.object_scale,
    )
    masks = node_masks(scenes, sample_nodes(scenes, recipe.prompts_per_image, generator, MIN_AREA))
    image_index = torch.arange(recipe.images).repeat_interleave(recipe.prompts_per_image)
    return sam.image_encoder(sam.preprocess(scenes.images)), image_index, masks.flatten(0, 1)


def renew_mask_prompt_(sam: Sam) -> None:
    """Draw the weights of the mask prompt's embedding again, and the embedding for no mask."""
    sam.prompt_encoder.mask_downscaling = build_from_config(CONFIGS[NETWORK]).prompt_encoder.mask_downscaling
    nn.init.normal_(sam.prompt_encoder.no_mask_embed.weight, std=PROMPT_STD)
