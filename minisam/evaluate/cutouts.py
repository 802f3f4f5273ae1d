"""The world `photo`: the sixth of the cut-outs and backgrounds that is never used for training.

Scenes are drawn eight at a time, with seeds that training does not use. The first N images of a larger evaluation are
those of a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from minisam.data.cutouts import open_cutouts, render_cutouts
from minisam.data.partworld import SceneBatch
from minisam.data.skipped import Skipped
from minisam.distributed import gathered
from minisam.errors import MinisamError
from minisam.evaluate.baselines import ImageTargets
from minisam.evaluate.measure import Measurements
from minisam.evaluate.targets import (
    BATCHES_PER_SEED,
    FIRST_SEED,
    SCENES_PER_BATCH,
    DrawScenes,
    choose_targets,
    first_scenes,
)
from minisam.evaluate.world import WorldResult, evaluate_world, measure_batches, summarise
from minisam.model import Sam

WORLD = "photo"
VALIDATION_IMAGES = 48


def cutout_scenes(
    cutouts: Path,
    backgrounds: Path,
    images: int,
    image_size: int,
    seed: int = 0,
    leave_out: tuple[str, ...] = (),
) -> Iterator[SceneBatch]:
    """`images` held-out scenes in batches of at most eight."""
    for draw in cutout_batches(cutouts, backgrounds, images, image_size, seed, leave_out, Skipped()):
        yield draw()


def cutout_batches(
    cutouts: Path,
    backgrounds: Path,
    images: int,
    image_size: int,
    seed: int,
    leave_out: tuple[str, ...],
    skipped: Skipped,
    device: torch.device | str = "cpu",
) -> list[DrawScenes]:
    """The batches of `cutout_scenes`, none of them drawn yet; files that cannot be decoded go to `skipped`."""

    def draw(batch: int) -> SceneBatch:
        scene_seed = FIRST_SEED + seed * BATCHES_PER_SEED + batch
        drawn = render_cutouts(
            cutouts, backgrounds, scene_seed, SCENES_PER_BATCH, image_size, "held out", leave_out
        )
        skipped.add_all(drawn.skipped)
        return first_scenes(drawn.scenes, images - batch * SCENES_PER_BATCH).to(device)

    return [partial(draw, batch) for batch in range(-(-images // SCENES_PER_BATCH))]


def evaluate_cutouts(
    sam: Sam,
    cutouts: Path,
    backgrounds: Path,
    images: int = 64,
    targets_per_image: int = 8,
    seed: int = 0,
    clicks: int = 9,
    leave_out: tuple[str, ...] = (),
    on_batch: Callable[[int], object] | None = None,
) -> tuple[WorldResult, Skipped]:
    """Measure `sam`, at its present input size and on its device, on held-out cut-outs; also the skipped files.

    Raises DatasetError if a folder has no usable files, MinisamError if there are no targets.
    """
    skipped = Skipped(open_cutouts(cutouts, backgrounds, "held out", leave_out).skipped)
    size = sam.image_encoder.img_size
    batches = cutout_batches(cutouts, backgrounds, images, size, seed, leave_out, skipped, sam.device)
    parts = measure_batches(sam, batches, targets_per_image, seed, clicks, on_batch=on_batch)
    for of_a_process in gathered(skipped):
        skipped.add_all(of_a_process)
    if not parts:
        raise MinisamError(f"none of {images} images has a mask to measure; ask for more images")
    return summarise(WORLD, images, Measurements.join(parts)), skipped


def cutout_targets(
    sam: Sam,
    cutouts: Path,
    backgrounds: Path,
    images: int,
    targets: int,
    seed: int = 0,
    leave_out: tuple[str, ...] = (),
) -> Iterator[ImageTargets]:
    """The images and targets that `evaluate_cutouts` measures `sam` on, for the baselines."""
    down, across = sam.prompt_encoder.image_embedding_size
    size, done = sam.image_encoder.img_size, 0
    for scenes in cutout_scenes(cutouts, backgrounds, images, size, seed, leave_out):
        generator = torch.Generator().manual_seed(seed + done)
        image, node = choose_targets(scenes, targets, generator, 1 / (down * across))
        done += len(scenes.images)
        for number, pixels in enumerate(scenes.images):
            nodes = node[image == number]
            if len(nodes):
                masks = scenes.labels[number, 0] == nodes[:, None, None]
                yield ImageTargets(pixels.permute(1, 2, 0).contiguous().numpy(), masks)


def cutout_validation(
    sam: Sam, cutouts: Path, backgrounds: Path, leave_out: tuple[str, ...] = ()
) -> dict[str, float]:
    """One click, boxes and five clicks on held-out cut-outs, for the curve of a training run.

    Also one click and a box on PartWorld's held-out world: cut-outs have no parts, and the network should not forget
    parts.
    """
    result, _ = evaluate_cutouts(
        sam, cutouts, backgrounds, VALIDATION_IMAGES, 4, clicks=5, leave_out=leave_out
    )
    names = ("oracle", "top1", "box_single", "box_top1", "centre_5", "spearman", "calibration_error")
    world = evaluate_world(sam, "heldout", VALIDATION_IMAGES // 2, 4, clicks=1)
    return {
        "masks": float(result.masks),
        **{name: result.metrics[name].value for name in names},
        "heldout_oracle": world.metrics["oracle"].value,
        "heldout_box": world.metrics["box_top1"].value,
    }
