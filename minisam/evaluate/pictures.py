"""The metrics of minisam/evaluate/world.py on the user's images with masks.

Masks are evaluated at the size of the network's input, padding included, as for PartWorld.  A click can mean any mask
under it, out of at most 64 masks per image that are large enough to be targets. validIoU is therefore less
informative if few objects are annotated, or very many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from minisam.data.segmentation_folder import SegmentationFolder
from minisam.data.skipped import Skipped
from minisam.distributed import gathered, in_turn, own_items
from minisam.errors import DatasetError, MinisamError
from minisam.evaluate.baselines import ImageTargets
from minisam.evaluate.measure import Measurements, measure_masks, share_of_image
from minisam.evaluate.sizes import by_size
from minisam.evaluate.valid_iou import valid_iou_of_masks
from minisam.evaluate.world import WorldResult, summarise
from minisam.model import Sam
from minisam.predict.prompted import Prompted
from minisam.train.pictures import MAX_MASKS, prepare


@torch.inference_mode()
def evaluate_pictures(
    sam: Sam,
    folder: SegmentationFolder,
    indices: Sequence[int],
    targets_per_picture: int = 8,
    seed: int = 0,
    clicks: int = 9,
    prompts_per_batch: int = 32,
    on_batch: Callable[[int], object] | None = None,
    spare: Sequence[int] = (),
) -> tuple[WorldResult, Skipped]:
    """Measure `sam`, at its present input size, on these images of a folder. Also returns the unusable files.

    In place of each image without a mask to measure, the next of `spare` is taken.  Targets are chosen at random;
    otherwise as `evaluate_world`.  Several processes share the images.

    Raises DatasetError if no image has a mask to measure.
    """
    was_training, pictures, left = sam.training, [], list(spare)
    sam.eval()
    try:
        while len(indices):
            shares = []
            for index in own_items(indices):
                parts, unused = [], Skipped()
                try:
                    parts = measure_picture(
                        sam, folder, index, targets_per_picture, seed, clicks, prompts_per_batch, unused
                    )
                except (MinisamError, OSError) as error:
                    unused.add(folder.names[index], error)
                shares.append(([Measurements.join([part]) for part in parts], unused))
                if on_batch is not None and parts:
                    on_batch(1)
            found = in_turn(gathered(shares))
            missing = sum(not parts for parts, _ in found)
            pictures, indices, left = pictures + found, left[:missing], left[missing:]
    finally:
        sam.train(was_training)
    skipped = Skipped(folder.skipped)
    for _, unused in pictures:
        skipped.add_all(unused)
    parts, measured = (
        [part for parts, _ in pictures for part in parts],
        sum(bool(parts) for parts, _ in pictures),
    )
    if not parts:
        raise DatasetError(f"{folder.path}: no image with a mask to measure; {skipped.summary()}")
    targets = Measurements.join(parts)
    return replace(summarise(folder.path.stem, measured, targets), sizes=by_size(targets)), skipped


def baseline_targets(
    sam: Sam,
    folder: SegmentationFolder,
    indices: Sequence[int],
    targets: int,
    seed: int,
    spare: Sequence[int] = (),
) -> Iterator[ImageTargets]:
    """The images and targets that `evaluate_pictures` measures `sam` on, without unusable ones."""
    found = 0
    for index in (*indices, *spare):
        if found == len(indices):
            return
        draw = np.random.default_rng([seed, index])
        size = sam.image_encoder.img_size
        try:
            image, objects = prepared_targets(folder, index, size, smallest_target(sam), draw, Skipped())
        except (MinisamError, OSError):
            continue
        found += 1
        yield ImageTargets(image.permute(1, 2, 0).contiguous().numpy(), objects[:targets])


def smallest_target(sam: Sam) -> float:
    """The area of one token of the network's grid, as a fraction of its input."""
    down, across = sam.prompt_encoder.image_embedding_size
    return 1 / (down * across)


def prepared_targets(
    folder: SegmentationFolder,
    index: int,
    size: int,
    min_area: float,
    draw: np.random.Generator,
    skipped: Skipped,
) -> tuple[Tensor, Tensor]:
    """An image at the network's scale, uint8 [3, h, w], and its masks that are large enough, [m, S, S]."""
    return prepare(folder.read(index), size, MAX_MASKS, min_area, draw, skipped, fallback=False)


def measure_picture(
    sam: Sam,
    folder: SegmentationFolder,
    index: int,
    targets: int,
    seed: int,
    clicks: int,
    prompts_per_batch: int,
    skipped: Skipped,
) -> list[Measurements]:
    """One element per batch of at most `targets` prompts; their image index is `index`."""
    size, draw = sam.image_encoder.img_size, np.random.default_rng([seed, index])
    image, objects = prepared_targets(folder, index, size, smallest_target(sam), draw, skipped)
    image, objects = image.to(sam.device), objects.to(sam.device)
    generator = torch.Generator(sam.device).manual_seed(int(draw.integers(2**31)))
    embedding = sam.image_encoder(sam.preprocess(image)[None])
    return [
        replace(
            measure_masks(
                Prompted(sam, embedding, torch.zeros(len(batch), dtype=torch.int64, device=sam.device)),
                batch,
                clicks,
                generator,
                partial(valid_iou_of_masks, objects=objects),
            ),
            image_index=torch.full((len(batch),), index),
            share=share_of_image(batch, *image.shape[1:]),
        )
        for batch in objects[:targets].split(prompts_per_batch)
    ]


def validation_metrics(sam: Sam, folder: SegmentationFolder, indices: Sequence[int]) -> dict[str, float]:
    """One click and one box on held-out images, for the curve of a training run; nan if none can be used."""
    names = ("oracle", "top1", "box_oracle", "box_top1")
    try:
        result, _ = evaluate_pictures(sam, folder, indices, clicks=1)
    except MinisamError:
        return {"masks": 0.0, **dict.fromkeys(names, math.nan)}
    return {"masks": float(result.masks), **{name: result.metrics[name].value for name in names}}
