"""Training a detector on labelled images, as a task of the one training loop.

    AdamW, RATES for new layers, 1e-4 for SAM's; warm-up, then half a cosine; the norm of the gradient at most 0.1

At 1e-3 most units of a box head without norm, whose first layer has thousands of inputs, never fire again after 600
steps; the small sizes have a norm there.
The images of a step, how they are turned and which boxes are sampled follow from (seed, step) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minisam.adapt.rsprompter.examples import Example, input_batch, prepare_example
from minisam.adapt.rsprompter.labelled_images import LabelledImages
from minisam.adapt.rsprompter.measure import ap_of, measured_images
from minisam.adapt.rsprompter.prompter import Prompter
from minisam.adapt.rsprompter.prompter_file import save_prompter
from minisam.data.skipped import Skipped
from minisam.distributed import gathered, in_turn, own_items, own_rows
from minisam.errors import DatasetError, MinisamError
from minisam.seeds import hash_seed
from minisam.train.metrics import Metrics
from minisam.train.optimizer import has_weight_decay, warm_then_cosine
from minisam.train.task import Task

RATES = {"small": 1e-3, "published": 3e-4}
"""Of new layers, for the two sizes in config.py."""
FAILURES_IN_A_ROW = 200
MOST_MEASURED = 32


@dataclass(frozen=True)
class PrompterRecipe:
    """How a detector is trained."""

    steps: int = 1500
    images: int = 4
    lr: float = RATES["published"]
    sam_lr: float = 1e-4
    weight_decay: float = 0.05
    warmup: int = 50
    clip_norm: float = 0.1
    augment: bool = True


class PrompterTask(Task):
    """`training` are the numbers of the images to train on; the result is detector.safetensors."""

    def __init__(
        self,
        prompter: Prompter,
        images: LabelledImages,
        training: Sequence[int],
        recipe: PrompterRecipe,
        seed: int,
        base: str,
        device: str = "cpu",
        held_out: Sequence[int] = (),
    ) -> None:
        if not training:
            raise DatasetError("no images to train on")
        self.prompter, self.images, self.training = prompter.to(device), images, training
        self.recipe, self.seed, self.base, self.device = recipe, seed, base, device
        self.labels: dict[Any, int] = {
            id: prompter.config.classes.index(name)
            for id, name in images.categories.items()
            if name in prompter.config.classes
        }
        self.modules, self.steps, self.clip_norm = {"model": prompter}, recipe.steps, recipe.clip_norm
        self.metrics = ("loss", *prompter.loss_names)
        self.skipped, self.held_out = Skipped(), held_out[:MOST_MEASURED]
        self.optimizers = [torch.optim.AdamW(self.groups(), lr=recipe.lr)]

    def groups(self) -> list[dict[str, Any]]:
        """The trained parameters by rate and weight decay."""
        groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self.prompter.named_parameters():
            if parameter.requires_grad:
                place = name.startswith("sam."), has_weight_decay(name, parameter)
                groups.setdefault(place, []).append(parameter)
        recipe = self.recipe
        return [
            {
                "params": parameters,
                "base_lr": recipe.sam_lr if of_sam else recipe.lr,
                "weight_decay": recipe.weight_decay if decayed else 0.0,
            }
            for (of_sam, decayed), parameters in groups.items()
        ]

    def batch_size(self, step: int) -> int:
        return self.recipe.images

    def set_learning_rate(self, step: int) -> float:
        factor = max(1e-3, warm_then_cosine(step, self.steps, self.recipe.warmup))
        for group in self.optimizers[0].param_groups:
            group["lr"] = factor * group["base_lr"]
        return factor * self.recipe.lr

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        examples, seeds = self.batch(step)
        rows = own_rows(len(examples))
        inputs = input_batch(self.prompter.sam, [one.image for one in examples[rows]])
        targets = [one.targets for one in examples[rows]]
        targets = [type(one)(*(value.to(self.device) for value in one)) for one in targets]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[rows]]
        losses = self.prompter.loss(inputs, targets, generators)
        total = torch.stack(list(losses.values())).sum()
        return total, {"loss": total, **losses}

    def batch(self, step: int) -> tuple[list[Example], list[int]]:
        """The examples of a step, drawn with replacement, and a seed for each; damaged images are left out.

        Raises DatasetError if hardly any image can be used.
        """
        random = np.random.default_rng(hash_seed(self.seed, step))
        examples, failures = [], 0
        side = self.prompter.image_size
        while len(examples) < self.recipe.images:
            index = self.training[int(random.integers(len(self.training)))]
            try:
                picture = self.images.read(index)
            except (MinisamError, OSError) as error:
                self.skipped.add(self.images.names[index], error)
                failures += 1
                if failures == FAILURES_IN_A_ROW:
                    raise DatasetError(f"hardly any image can be used; {self.skipped.summary()}") from None
                continue
            augmented = random if self.recipe.augment else None
            examples.append(prepare_example(picture, self.labels, side, self.skipped, augmented))
        return examples, random.integers(2**31, size=len(examples)).tolist()

    def validate(self) -> dict[str, float]:
        """Box and mask AP on held-out images, shared between the processes."""
        if not self.held_out:
            return {}
        own = measured_images(self.prompter, self.images, own_items(self.held_out), self.labels, self.skipped)
        measured = in_turn(gathered(list(own)))
        box, mask = (ap_of(measured, kind, len(self.prompter.config.classes)) for kind in ("box", "mask"))
        return {
            "images": float(len(measured)),
            "box_ap": float(np.nanmean(box)) if box.size else 0.0,
            "mask_ap": float(np.nanmean(mask)) if mask.size else 0.0,
            "mask_ap50": float(np.nanmean(mask[:, 0])) if mask.size else 0.0,
        }

    def about(self) -> dict[str, object]:
        return {
            "detector": asdict(self.prompter.config),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "data": self.images.fingerprint(),
            "images": len(self.training),
            "base": self.base,
        }

    def finish(self, folder: Path) -> None:
        save_prompter(self.prompter, self.base, folder / "detector.safetensors")
