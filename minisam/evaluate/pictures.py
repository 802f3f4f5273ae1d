"""The metrics of minisam/evaluate/world.py on one's own pictures with masks.

Masks are judged at the size of the network's input, padding included, as those of PartWorld are.  What a click
can mean is any mask under it, of at most 64 of a picture that are large enough to be targets, so that validIoU says
less where few things are annotated, or very many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from minisam.data.segmentation_folder import SegmentationFolder
from minisam.data.skipped import Skipped
from minisam.errors import MinisamError
from minisam.evaluate.clicks import Prompted
from minisam.evaluate.iou import valid_iou_of_masks
from minisam.evaluate.measure import Measurements, measure_masks
from minisam.evaluate.world import WorldResult, summarise
from minisam.model import Sam
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
) -> tuple[WorldResult, Skipped]:
    """Measure `sam`, at its present input size, on these pictures of a folder; and what could not be used.

    Targets are chosen at random; otherwise as `evaluate_world`.

    Raises MinisamError where no picture has a mask to measure.
    """
    was_training, parts, skipped, measured = sam.training, [], Skipped(folder.skipped), 0
    sam.eval()
    try:
        for index in indices:
            try:
                parts += measure_picture(
                    sam, folder, index, targets_per_picture, seed, clicks, prompts_per_batch, skipped
                )
                measured += 1
            except (MinisamError, OSError) as error:
                skipped.add(folder.names[index], error)
            if on_batch is not None:
                on_batch(1)
    finally:
        sam.train(was_training)
    if not parts:
        raise MinisamError(f"{folder.path}: no picture with a mask to measure; {skipped.summary()}")
    return summarise(folder.path.stem, measured, Measurements.join(parts)), skipped


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
    """An element for each batch of at most `targets` prompts; their image index is `index`."""
    down, across = sam.prompt_encoder.image_embedding_size
    draw = np.random.default_rng([seed, index])
    picture = folder.read(index)
    image, things = prepare(
        picture, sam.image_encoder.img_size, MAX_MASKS, 1 / (down * across), draw, skipped, fallback=False
    )
    image, things = image.to(sam.device), things.to(sam.device)
    generator = torch.Generator(sam.device).manual_seed(int(draw.integers(2**31)))
    embedding = sam.image_encoder(sam.preprocess(image)[None])
    return [
        replace(
            measure_masks(
                Prompted(sam, embedding, torch.zeros(len(batch), dtype=torch.int64, device=sam.device)),
                batch,
                clicks,
                generator,
                partial(valid_iou_of_masks, things=things),
            ),
            image_index=torch.full((len(batch),), index),
        )
        for batch in things[:targets].split(prompts_per_batch)
    ]


def validation_metrics(sam: Sam, folder: SegmentationFolder, indices: Sequence[int]) -> dict[str, float]:
    """One click and one box on held-out pictures, for the curve of a training run; nan where none can be used."""
    names = ("oracle", "top1", "box_oracle", "box_top1")
    try:
        result, _ = evaluate_pictures(sam, folder, indices, clicks=1)
    except MinisamError:
        return {"masks": 0.0, **dict.fromkeys(names, math.nan)}
    return {"masks": float(result.masks), **{name: result.metrics[name].value for name in names}}
