"""All prompts for a target and the IoU of their masks: two click sessions and a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor

from minisam.data.partworld import SceneBatch
from minisam.evaluate.clicks import full_size_masks, simulate_clicks
from minisam.evaluate.targets import choose_targets
from minisam.evaluate.valid_iou import valid_iou
from minisam.masks.boxes import tight_boxes
from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou
from minisam.masks.sampling import sample_pixels
from minisam.model import Sam
from minisam.predict.prompted import Prompted


@dataclass(frozen=True)
class Measurements:
    """P targets.  `…_iou` and `…_predicted`: of the three masks of a first prompt, [P, 3]."""

    image_index: Tensor
    """[P], the image of each target."""
    share: Tensor
    """[P], the share of the image that each target covers."""
    centre_iou: Tensor
    centre_predicted: Tensor
    centre_shown: Tensor
    """[P, N]: IoU of the mask shown after each click, the first in the centre of the target."""
    random_iou: Tensor
    random_shown: Tensor
    """[P, N], the first click anywhere on the target."""
    box_iou: Tensor
    box_predicted: Tensor
    box_single: Tensor
    """[P], of mask 0 for the box: what `multimask_output=False` returns."""
    valid_iou: Tensor
    """[P], of the mask shown after a click in the centre."""

    @staticmethod
    def join(parts: list[Measurements]) -> Measurements:
        """All targets of `parts`, on the CPU; image indices are unchanged."""
        names = [field.name for field in fields(Measurements)]
        return Measurements(
            **{name: torch.cat([getattr(part, name) for part in parts]).cpu() for name in names}
        )


def measure_scenes(
    sam: Sam, scenes: SceneBatch, targets_per_image: int, clicks: int, seed: int, prompts_per_batch: int = 32
) -> list[Measurements]:
    """Measure `sam` on targets of `scenes`, which have its input's size; one element per batch of prompts."""
    device = scenes.images.device
    down, across = sam.prompt_encoder.image_embedding_size
    image_index, nodes = choose_targets(
        scenes, targets_per_image, torch.Generator().manual_seed(seed), min_area=1 / (down * across)
    )
    generator = torch.Generator(device).manual_seed(seed)
    embeddings = sam.image_encoder(sam.preprocess(scenes.images))
    batches = zip(image_index.split(prompts_per_batch), nodes.split(prompts_per_batch), strict=True)
    return [
        measure_targets(Prompted(sam, embeddings, images), scenes, batch, clicks, generator)
        for images, batch in batches
        if len(images)
    ]


def measure_targets(
    prompted: Prompted, scenes: SceneBatch, nodes: Tensor, clicks: int, generator: torch.Generator
) -> Measurements:
    """Prompt for each of `nodes` [P] by clicks in its centre, clicks at random and its box."""
    images = prompted.image_index
    levels = scenes.level[images, nodes].long()
    targets = scenes.labels[images, levels] == nodes[:, None, None]
    labels = scenes.labels[images]
    return measure_masks(prompted, targets, clicks, generator, partial(valid_iou, labels=labels))


def share_of_image(targets: Tensor, height: int, width: int) -> Tensor:
    """The share [P] of an image of this size that targets [P, S, S], padded below and on the right, cover."""
    return targets.flatten(1).sum(1, dtype=torch.float64) / (height * width)


def measure_masks(
    prompted: Prompted,
    targets: Tensor,
    clicks: int,
    generator: torch.Generator,
    any_thing: Callable[..., Tensor],
) -> Measurements:
    """The same for targets [P, S, S] bool; `any_thing(masks, clicks=…)` gives the IoU [P] for what a click means."""
    size, prompts = targets.shape[-1], torch.arange(len(targets), device=targets.device)
    centre = simulate_clicks(prompted, targets, interior_points(targets)[0], clicks)
    scattered = simulate_clicks(prompted, targets, sample_pixels(targets, generator), clicks)
    box_logits, box_predicted = prompted.predict_all(tight_boxes(targets))
    box_iou = mask_iou(full_size_masks(box_logits, size), targets[:, None])
    centre_mask = centre.first_masks[prompts, centre.first_predicted_iou.argmax(dim=1)]
    return Measurements(
        image_index=prompted.image_index,
        share=share_of_image(targets, size, size),
        centre_iou=centre.first_iou,
        centre_predicted=centre.first_predicted_iou,
        centre_shown=centre.shown_iou,
        random_iou=scattered.first_iou,
        random_shown=scattered.shown_iou,
        box_iou=box_iou[:, 1:],
        box_predicted=box_predicted[:, 1:],
        box_single=box_iou[:, 0],
        valid_iou=any_thing(centre_mask, clicks=centre.first_click),
    )
