"""One world, one network: how good its masks are, with 95 % intervals.

    oracle       IoU of the best of the three masks of one click in the centre of the target
    top1         IoU of the one with the highest predicted IoU, which a user would see
    valid_iou    IoU of that one with the whole, part or subpart under the click that it fits best
    box_…        the same for the target's box as prompt; box_single of mask 0, with `multimask_output=False`
    centre_N     IoU of the mask shown after N clicks, the first in the centre; random_N, the first anywhere

and how well the three predicted IoUs of a click in the centre rank its masks:

    spearman            rank correlation of predicted and true IoU over all masks of all prompts
    rank_agreement      share of pairs of masks of one prompt in the correct order (chance: 0.5)
    top1_gain           IoU of the mask ranked first minus the mean of the three
    calibration_error   mean |predicted − true IoU|, after averaging each in ten bins of the predicted one

Targets cover between one token of the network's grid and 90 % of the image.  A mean over masks gives every mask the
same weight (SAM section 7.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from minisam.distributed import gathered, in_turn, own_items
from minisam.errors import MinisamError
from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.measure import Measurements, measure_scenes
from minisam.evaluate.sizes import SizeResult
from minisam.evaluate.statistics import (
    calibration_bins,
    expected_calibration_error,
    pair_agreement,
    top_ranked,
    weighted_mean,
    weighted_spearman,
)
from minisam.evaluate.targets import SCENES_PER_BATCH, DrawScenes, evaluation_batches
from minisam.model import Sam

CLICK_COUNTS = (1, 2, 3, 5, 9)


@dataclass(frozen=True)
class WorldResult:
    """The results on one world.

    `reliability` has a point for each tenth of predicted IoU that occurs: mean predicted, mean true, masks; `sizes` are
    measured on the user's images alone.
    """

    world: str
    images: int
    masks: int
    metrics: dict[str, Estimate]
    reliability: list[tuple[float, float, int]]
    sizes: list[SizeResult] = field(default_factory=list)


def evaluate_world(
    sam: Sam,
    world: str,
    images: int = 64,
    targets_per_image: int = 8,
    seed: int = 0,
    clicks: int = 9,
    prompts_per_batch: int = 32,
    on_batch: Callable[[int], object] | None = None,
) -> WorldResult:
    """Measure `sam`, at its present input size and on its device, on `images` scenes of a world.

    `clicks` 1 to 9; fewer are faster.  `on_batch` is called with the number of images just processed.  The network's
    training mode is restored.

    Raises MinisamError if no scene has an object large enough to be a target.
    """
    measured = measure_world(
        sam, world, images, targets_per_image, (seed,), clicks, prompts_per_batch, on_batch
    )
    return summarise(world, images, measured)


@torch.inference_mode()
def measure_world(
    sam: Sam,
    world: str,
    images: int,
    targets_per_image: int = 8,
    seeds: tuple[int, ...] = (0,),
    clicks: int = 9,
    prompts_per_batch: int = 32,
    on_batch: Callable[[int], object] | None = None,
    knobs: Mapping[str, float] | None = None,
) -> Measurements:
    """The results for `evaluate_world`, target by target, for `images` scenes per seed; `knobs` change the world."""
    parts: list[Measurements] = []
    for number, seed in enumerate(seeds):
        batches = evaluation_batches(
            world, images, sam.image_encoder.img_size, seed, sam.device, **(knobs or {})
        )
        parts += measure_batches(
            sam, batches, targets_per_image, seed, clicks, prompts_per_batch, on_batch, number * images
        )
    if not parts:
        raise MinisamError(
            f"none of {images * len(seeds)} images of world {world!r} has a mask to measure; ask for more images"
        )
    return Measurements.join(parts)


@torch.inference_mode()
def measure_batches(
    sam: Sam,
    batches: Sequence[DrawScenes],
    targets_per_image: int,
    seed: int,
    clicks: int,
    prompts_per_batch: int = 32,
    on_batch: Callable[[int], object] | None = None,
    first_image: int = 0,
) -> list[Measurements]:
    """Measure `sam` on batches of eight scenes; their images are numbered from `first_image`.

    Several processes share the batches, and each returns what all have measured.
    """
    was_training, measured = sam.training, []
    sam.eval()
    try:
        for place in own_items(range(len(batches))):
            number, scenes = first_image + place * SCENES_PER_BATCH, batches[place]()
            found = measure_scenes(sam, scenes, targets_per_image, clicks, seed + number, prompts_per_batch)
            parts = (replace(part, image_index=part.image_index + number) for part in found)
            measured.append([Measurements.join([part]) for part in parts])
            if on_batch is not None:
                on_batch(len(scenes.images))
    finally:
        sam.train(was_training)
    return [part for parts in in_turn(gathered(measured)) for part in parts]


def summarise(world: str, images: int, measured: Measurements) -> WorldResult:
    """All metrics of a world from the results on its targets."""
    weights = image_weights(measured.image_index)

    def mean(values: Tensor) -> Estimate:
        return estimate(lambda weights: weighted_mean(values.double(), weights), weights)

    metrics = {
        "oracle": mean(measured.centre_iou.amax(dim=1)),
        "top1": mean(measured.centre_shown[:, 0]),
        "valid_iou": mean(measured.valid_iou),
        "box_oracle": mean(measured.box_iou.amax(dim=1)),
        "box_top1": mean(top_ranked(measured.box_iou, measured.box_predicted)),
        "box_single": mean(measured.box_single),
        "random_oracle": mean(measured.random_iou.amax(dim=1)),
    }
    for first, shown in (("centre", measured.centre_shown), ("random", measured.random_shown)):
        for count in CLICK_COUNTS:
            if count <= shown.shape[1]:
                metrics[f"{first}_{count}"] = mean(shown[:, count - 1])

    iou, predicted = measured.centre_iou, measured.centre_predicted
    flat_iou, flat_predicted = iou.flatten().double(), predicted.flatten().double()
    mask_weights = weights.repeat_interleave(iou.shape[1], dim=1)
    metrics["spearman"] = estimate(lambda w: weighted_spearman(flat_predicted, flat_iou, w), mask_weights)
    metrics["rank_agreement"] = mean(pair_agreement(predicted, iou))
    metrics["top1_gain"] = mean(top_ranked(iou, predicted) - iou.mean(dim=1))
    metrics["calibration_error"] = estimate(
        lambda w: expected_calibration_error(flat_predicted, flat_iou, w), mask_weights
    )

    bins = torch.stack(calibration_bins(flat_predicted, flat_iou, mask_weights[:1]))[:, 0].T.tolist()
    reliability = [(predicted_sum / n, true_sum / n, int(n)) for n, predicted_sum, true_sum in bins if n]
    return WorldResult(world, images, len(measured.image_index), metrics, reliability)
