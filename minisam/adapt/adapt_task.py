"""Training an adapted Sam on the user's images, by simulated prompts, with early stopping on held-out ones.

    image -> image encoder (or its kept embedding) -> rounds of prompts -> loss of what the method trains

Frozen parts stay in evaluation mode.  The best state so far, by the mean IoU on the held-out images, is in
adapter.safetensors; training ends if it has not improved for `patience` measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn, optim

from minisam.adapt.choose import Settings
from minisam.adapt.files import save_adapter
from minisam.adapt.hq_token import HQMaskDecoder
from minisam.adapt.methods import Adaptation
from minisam.adapt.own_images import OwnImages
from minisam.adapt.places import set_training
from minisam.model import Sam
from minisam.seeds import hash_seed
from minisam.train.interactive import Rounds, interactive_rounds
from minisam.train.losses import SegmentationLoss, full_size_loss, segmentation_loss
from minisam.train.metrics import SAM_METRICS, Metrics, Row, describe_rounds
from minisam.train.optimizer import set_learning_rate
from minisam.train.prompts import first_prompts
from minisam.train.task import Task

Prompts = Literal["both", "box", "click"]
BOX_PROBABILITY: dict[Prompts, float] = {"both": 0.5, "box": 1.0, "click": 0.0}
ADAPTER = "adapter.safetensors"
WEIGHT_DECAY = 0.01
LATER = Rounds(2, 0)


@dataclass(frozen=True)
class Training:
    """How many images and prompts per step, which prompts, and when to stop."""

    settings: Settings
    prompts: Prompts = "both"
    batch_size: int = 4
    prompts_per_image: int = 6
    patience: int = 5
    seed: int = 0
    full_size: bool = False
    """Compare masks at the size of the network's input instead of the decoder's: better for thin objects, slower."""
    single_round_share: float = 0.5
    """The share of steps with only the first prompt; the others continue with `later`."""
    later: Rounds = LATER
    """The rounds after the first: two more clicks that correct its mask."""


class Adapting(nn.Module):
    """The adapted network as the training loop needs it: frozen parts stay in evaluation mode."""

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.sam = sam

    def train(self, mode: bool = True) -> Adapting:
        self.training = mode
        set_training(self.sam, mode)
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Only what is trained: the base network is in its own file."""
        return {name: value.detach() for name, value in self.sam.named_parameters() if value.requires_grad}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        parameters = dict(self.sam.named_parameters())
        with torch.no_grad():
            for name, value in state_dict.items():
                parameters[name].copy_(value)
        return [], []


class AdaptTask(Task):
    """Trains what the method of `adapted` does not freeze, on prompts for the masks of the user's images."""

    metrics = SAM_METRICS
    clip_norm = 1.0

    def __init__(
        self,
        adapted: Adaptation,
        images: OwnImages,
        training: Sequence[int],
        how: Training,
        score: Callable[[Sam], dict[str, float]] | None = None,
    ) -> None:
        """`training` are numbers of `images`, at least one of them usable; `score` measures on the held-out ones."""
        self.adapted, self.images, self.training, self.how = adapted, images, list(training), how
        self.sam, self.score, self.best = adapted.sam, score, -1.0
        self.device, self.seed, self.steps = images.device, how.seed, how.settings.steps
        self.modules = {"model": Adapting(self.sam)}
        self.optimizers = [optim.AdamW(self.groups(), betas=(0.9, 0.999))]
        self.encoder_is_frozen = not any(p.requires_grad for p in self.sam.image_encoder.parameters())
        self.improved, self.waited = False, 0

    def groups(self) -> list[dict[str, object]]:
        """SAM's own parameters and the added ones, each with its rate."""
        settings, own = self.how.settings, []
        added = []
        for name, parameter in self.sam.named_parameters():
            if parameter.requires_grad:
                (added if is_added(name) else own).append(parameter)
        groups = ((own, settings.lr, WEIGHT_DECAY), (added, settings.added_lr, 0.0))
        return [
            {"params": parameters, "lr": lr, "base_lr": lr, "weight_decay": decay}
            for parameters, lr, decay in groups
            if parameters
        ]

    def batch_size(self, step: int) -> int:
        return self.how.batch_size

    def set_learning_rate(self, step: int) -> float:
        steps = self.how.settings.steps
        warmup = min(50, steps // 10)
        return self.how.settings.lr * set_learning_rate(
            self.optimizers, step, steps, warmup, linear_decay=True
        )

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        order = torch.Generator().manual_seed(hash_seed(self.seed, step))
        pairs = [self.draw(self.usable_image(order), order) for _ in range(self.how.batch_size)]
        embeddings = torch.cat([embedding for embedding, _ in pairs])
        masks = torch.cat([masks for _, masks in pairs])
        image_index = torch.arange(len(pairs), device=self.device).repeat_interleave(
            self.how.prompts_per_image
        )
        is_single = torch.rand((), generator=order).item() < self.how.single_round_share
        rounds = self.rounds(
            embeddings, image_index, masks, [] if is_single else self.how.later.schedule(), generator
        )
        loss = torch.stack([one.total for one in rounds]).mean()
        return loss, {"loss": loss, **describe_rounds(rounds)}

    def rounds(
        self,
        embeddings: Tensor,
        image_index: Tensor,
        masks: Tensor,
        schedule: list[bool],
        generator: torch.Generator,
    ) -> list[SegmentationLoss]:
        """An HQ token is trained by its own mask alone (Ke et al. 2023); SAM's masks by the best of three."""
        first = first_prompts(masks, BOX_PROBABILITY[self.how.prompts], generator)
        decoder = self.sam.mask_decoder
        prompted = embeddings, image_index, masks, schedule, generator, first
        loss = full_size_loss if self.how.full_size else segmentation_loss
        compare = partial(interactive_rounds, loss=loss, full_size=self.how.full_size)
        if not isinstance(decoder, HQMaskDecoder):
            return compare(self.sam, *prompted, clear_prompts=True)
        shown, decoder.mode = decoder.mode, "only"
        try:
            return compare(self.sam, *prompted)
        finally:
            decoder.mode = shown

    def usable_image(self, order: torch.Generator) -> int:
        """A random training image; another one, if it cannot be used."""
        while True:
            index = self.training[int(torch.randint(len(self.training), (), generator=order))]
            if self.images.read(index) is not None:
                return index

    def draw(self, index: int, order: torch.Generator) -> tuple[Tensor, Tensor]:
        """The embedding [1, E, h, w] of an image, and masks [M, S, S] of it, repeated if it has fewer."""
        found = self.images.read(index)
        assert found is not None, "only usable images are trained on"
        image, masks = found[0].to(self.device), found[1].to(self.device)
        picked = torch.randperm(len(masks), generator=order)[
            torch.arange(self.how.prompts_per_image) % len(masks)
        ]
        masks = masks[picked.to(self.device)]
        if self.encoder_is_frozen:
            return self.images.embedding(index, self.sam), masks
        if torch.rand((), generator=order).item() < 0.5:  # mirrored; the padding stays at the right
            width = image.shape[-1]
            image = image.flip(-1)
            masks = torch.cat([masks[..., :width].flip(-1), masks[..., width:]], dim=-1)
        return self.sam.image_encoder(self.sam.preprocess(image)[None]), masks

    def validate(self) -> dict[str, float]:
        """Also decides whether training continues."""
        if self.score is None:
            return {}
        found = self.score(self.sam)
        self.note(sum(found.values()) / len(found))
        return found

    def resumed(self, validations: Sequence[Row]) -> None:
        for row in validations:
            scores = [value for name, value in row.items() if name != "step"]
            self.note(sum(scores) / len(scores))

    def note(self, mean: float) -> None:
        """Compare a measurement with the best so far, and end the training after `patience` without improvement."""
        self.improved = mean > self.best
        self.waited = 0 if self.improved else self.waited + 1
        self.best = max(self.best, mean)
        if self.waited >= self.how.patience:
            self.steps = 0

    def save(self, folder: Path, step: int, rows: list[Row]) -> None:
        if self.improved or self.score is None:
            save_adapter(self.adapted, folder / ADAPTER)

    def about(self) -> dict[str, object]:
        return {
            "method": asdict(self.adapted.method),
            "base": self.adapted.base,
            "training": asdict(self.how),
            "images": self.images.folder.fingerprint(),
            "numbers": self.training,
        }


def is_added(name: str) -> bool:
    """Whether a parameter belongs to what an adaptation adds, rather than to SAM."""
    added = (".lora_a", ".lora_b", ".adapter1.", ".adapter2.", ".hf_", ".compress_vit_feat.")
    return any(part in name for part in (*added, ".embedding_encoder.", ".embedding_maskfeature."))
