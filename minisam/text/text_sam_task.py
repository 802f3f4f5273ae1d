"""Training SAM with CLIP's embeddings as prompts (SAM section D.5): the prompt is the embedding of a crop.

    crop of the target -> CLIP, looking inside the mask -> external token ┐
    image -> encoder -> image embedding                                   ├-> three masks, then points as usual
                                                                          ┘
Training needs no text, because CLIP embeds texts in the same space.  CLIP itself is not trained.  Some steps combine
the token with a point or a box, some use only one of them: all kinds of prompts keep working.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from minisam.build import WEIGHTS, build_sam
from minisam.config import CONFIGS
from minisam.data.partworld import render_scenes
from minisam.distributed import own_rows
from minisam.errors import CheckpointError
from minisam.evaluate.targets import FIRST_SEED
from minisam.files import sha256_of
from minisam.precision import computing_in
from minisam.seeds import OwnRows, hash_seed
from minisam.text.clip import Clip
from minisam.text.crops import random_crops
from minisam.text.files import read_clip
from minisam.text.measure import mean_ious
from minisam.text.targets import Targets, draw_targets, scene_size
from minisam.text.text_sam import TextSam, load_text_sam, save_text_sam
from minisam.train.interactive import Rounds, interactive_rounds, no_points
from minisam.train.metrics import Metrics
from minisam.train.optimizer import build_optimizers, set_learning_rate
from minisam.train.task import Task

VALIDATION_SEED = FIRST_SEED + 910_000
VALIDATION_BATCHES = 4
CENTRE_BATCHES = 8


@dataclass(frozen=True)
class TextRecipe:
    """All settings of a run except seed, precision and CLIP."""

    steps: int = 4000
    scenes: int = 8
    per_scene: int = 8
    min_area: float = 1 / 64
    object_scale: float = 1.5
    token_alone: float = 0.5
    """The share of steps whose first prompt is only the external token."""
    token_and_more: float = 0.35
    """The share of steps with the token and a point or a box; the others have only the point or box."""
    single_round_share: float = 0.7
    rounds: Rounds = field(default_factory=lambda: Rounds(2, 1))
    lr: float = 5e-4
    muon_lr: float = 1e-3
    external_lr: float = 2e-3
    weight_decay: float = 0.05
    layer_decay: float = 0.9
    warmup: int = 100
    clip_norm: float = 1.0


class TextSamTask(Task):
    """Writes text.safetensors: SAM, CLIP and the layer between them."""

    metrics = ("loss", "top1", "oracle", "alone")

    def __init__(
        self,
        clip_file: Path,
        recipe: TextRecipe,
        preset: str = "nano",
        seed: int = 0,
        precision: str = "fp32",
        start_from: Path | None = None,
        captions: float = 0.0,
        frozen_encoder: bool = False,
    ) -> None:
        """`start_from`: a text.safetensors with the same CLIP, to continue training from.

        `frozen_encoder`: leave the image encoder as it is, for quicker steps.

        `captions`: the share of tokens that come from captions instead of crops (none in the paper); their targets
        are then objects whose caption is unique in the image.
        """
        self.recipe, self.preset, self.seed, self.precision = recipe, preset, seed, precision
        self.steps, self.clip_norm = recipe.steps, recipe.clip_norm
        torch.manual_seed(seed)
        self.model = TextSam(preset, build_sam(preset), read_clip(clip_file))
        self.model.clip.requires_grad_(False)
        self.model.sam.image_encoder.requires_grad_(not frozen_encoder)
        self.size = CONFIGS[preset].image_size
        self.model.external.centres.copy_(centres(self.model.clip, recipe))
        trained = nn.ModuleDict({"sam": self.model.sam, "external": self.model.external})
        self.modules = {"modules": trained.train()}
        self.optimizers = build_optimizers(
            self.model.sam, recipe.lr, recipe.weight_decay, recipe.layer_decay, CONFIGS[preset].encoder_depth,
            recipe.muon_lr,
        )  # fmt: skip
        external = {"params": list(self.model.external.parameters()), "base_lr": recipe.external_lr}
        self.optimizers[0].add_param_group({**external, "weight_decay": 0.0})
        self.started_from: dict[str, object] = {
            "clip": sha256_of(clip_file),
            "sam": sha256_of(WEIGHTS / f"{preset}.safetensors"),
        }
        if frozen_encoder:
            self.started_from["frozen encoder"] = True
        self.captions = captions
        if captions:
            self.started_from["captions"] = captions
        if start_from is not None:
            start = load_text_sam(start_from)
            check_same_networks(start, self.model, start_from)
            self.model.sam.load_state_dict(start.sam.state_dict())
            self.model.external.load_state_dict(start.external.state_dict())
            self.started_from["start"] = sha256_of(start_from)

    def batch_size(self, step: int) -> int:
        return self.recipe.scenes

    def set_learning_rate(self, step: int) -> float:
        factor = set_learning_rate(self.optimizers, step, self.steps, self.recipe.warmup, linear_decay=True)
        return self.recipe.lr * factor

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        seed = hash_seed(self.seed, step)
        targets = self.draw(seed, unique=self.captions > 0)
        draw, single = torch.rand(2, generator=generator).tolist()
        order = torch.Generator().manual_seed(seed)
        schedule = [] if single < self.recipe.single_round_share else self.recipe.rounds.schedule(order)
        alone, count = draw < self.recipe.token_alone, len(targets.masks)
        images = own_rows(self.recipe.scenes)
        own = rows_of_images(targets.image_index, images)
        masks, image_index = targets.masks[own], targets.image_index[own] - images.start
        sam, token = self.model.sam, None
        with computing_in(self.precision, "cpu"):
            if draw < self.recipe.token_alone + self.recipe.token_and_more:
                token = self.tokens(targets, generator)[own]
            embeddings = sam.image_encoder(sam.preprocess(targets.images[images]))
            if not len(masks):
                loss = 0 * (embeddings.sum() + self.model.external.type_embed.sum())
                return loss, dict.fromkeys(self.metrics, 0.0)
            rounds = interactive_rounds(
                sam, embeddings, image_index, masks, schedule, OwnRows(generator, own, count),
                first=no_points(len(masks), masks.device) if alone else None, external=token,
            )  # fmt: skip
            share = len(masks) / count
            loss = share * torch.stack([one.total for one in rounds]).mean()
        return loss, {
            "loss": loss,
            "top1": share * rounds[0].shown_iou.mean(),
            "oracle": share * rounds[0].true_iou.amax(dim=1).mean(),
            "alone": share * alone,
        }

    def draw(self, seed: int, unique: bool = False) -> Targets:
        recipe = self.recipe
        scenes = render_scenes(seed, recipe.scenes, scene_size(self.size), object_scale=recipe.object_scale)
        return draw_targets(scenes, self.size, recipe.per_scene, seed, recipe.min_area, unique)

    def tokens(self, targets: Targets, generator: torch.Generator) -> Tensor:
        """The external token of each target, [P, 1, E]: its crop's, or its caption's for a share of them."""
        tokens = self.model.external(self.crop_embeddings(targets, generator), "image")
        if not self.captions:
            return tokens
        with torch.no_grad():
            texts = self.model.clip.encode_texts(targets.captions)
        in_words = torch.rand(len(tokens), 1, 1, generator=generator) < self.captions
        return torch.where(in_words, self.model.external(texts, "text"), tokens)

    @torch.no_grad()
    def crop_embeddings(self, targets: Targets, generator: torch.Generator) -> Tensor:
        size = self.model.clip.config.crop_size
        crops, inside = random_crops(
            targets.scenes, targets.image_index, targets.scene_masks, size, generator
        )
        return self.model.clip.encode_crops(crops, inside)

    def validate(self) -> dict[str, float]:
        batches = (self.draw(VALIDATION_SEED + batch, unique=True) for batch in range(VALIDATION_BATCHES))
        return mean_ious(self.model, batches)

    def finish(self, folder: Path) -> None:
        save_text_sam(folder / "text.safetensors", self.model, "float16")

    def about(self) -> dict[str, object]:
        return {
            "preset": self.preset,
            "seed": self.seed,
            "precision": self.precision,
            "recipe": asdict(self.recipe),
            **self.started_from,
        }


def rows_of_images(image_index: Tensor, images: slice) -> slice:
    """Where in a rising list of image numbers [P] those of some images are."""
    first, end = torch.searchsorted(image_index, torch.tensor([images.start, images.stop])).tolist()
    return slice(first, end)


def check_same_networks(start: TextSam, model: TextSam, path: Path) -> None:
    """Raises CheckpointError if the two differ in their preset or their CLIP."""
    if start.preset != model.preset:
        raise CheckpointError(f"{path}: holds a {start.preset} network; give --preset {start.preset}")
    theirs, ours = start.clip.state_dict(), model.clip.state_dict()
    if theirs.keys() != ours.keys() or any(not equal_in_half(theirs[key], ours[key]) for key in ours):
        raise CheckpointError(
            f"{path}: was trained with another CLIP; pass --clip the one that it started with"
        )


def equal_in_half(stored: Tensor, original: Tensor) -> bool:
    """Whether the numbers are the same, after one of them was stored in float16."""
    return stored.shape == original.shape and torch.allclose(stored, original, rtol=2**-10, atol=2**-14)


@torch.no_grad()
def centres(clip: Clip, recipe: TextRecipe) -> Tensor:
    """The mean embedding of crops and that of captions, [2, C], over some scenes of the training world."""
    scenes = render_scenes(
        VALIDATION_SEED - 1, CENTRE_BATCHES * recipe.scenes, scene_size(1), object_scale=recipe.object_scale
    )
    targets = draw_targets(scenes, scene_size(1), recipe.per_scene, 0, recipe.min_area)
    generator = torch.Generator().manual_seed(0)
    crops, inside = random_crops(
        targets.scenes, targets.image_index, targets.scene_masks, clip.config.crop_size, generator
    )
    images, texts = clip.encode_crops(crops, inside), clip.encode_texts(targets.captions)
    return torch.stack([images.mean(dim=0), texts.mean(dim=0)])
