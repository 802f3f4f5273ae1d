"""A training run of a network by its name: builds the network, opens what it is trained on, hands both over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from minisam.config import CONFIGS, build_from_config
from minisam.train.mixed import CutoutsOn, MixedSource
from minisam.train.pictures import Repeats
from minisam.train.presets import Recipe
from minisam.train.run import TrainingRun
from minisam.train.sam_task import SamTask, Validation
from minisam.train.sources import BatchSource, PartWorldSource, PictureSource
from minisam.train.start import Start, random_weights


def sam_run(
    model: str,
    folder: Path | None,
    recipe: Recipe,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "fp32",
    save_every: int = 200,
    draw_ahead: bool = False,
    start: Start = random_weights,
    data: Path | None = None,
    repeats: Repeats = (),
    held_out: float = 0.0,
    cutouts: Sequence[CutoutsOn] = (),
    distinct_batches: int | None = None,
    validation: Validation | None = None,
) -> TrainingRun[SamTask]:
    """A run of CONFIGS[model].

    Args:
        draw_ahead: draw batches in a second process; worth it on a CPU with two cores or more.
        start: what its weights are at first (minisam/train/start.py).
        data: a folder of images with masks in place of PartWorld (minisam/data/segmentation_folder.py), or, with
            cutouts, beside them (minisam/data/outlined.py).
        repeats: folders in it whose images are drawn more often than others (minisam/train/pictures.py).
        held_out: the share of these images that is not trained on.
        cutouts: pairs of folders, from which a share of the images is drawn (minisam/data/cutouts).
        distinct_batches: how many batches of PartWorld are drawn before the first comes again; None for new ones.
        validation: measures the network whenever the run is saved.

    Raises:
        CheckpointError: a file to start from is damaged, or another network's.
        DatasetError: there is nothing to train on.
    """
    torch.manual_seed(seed)
    sam = build_from_config(CONFIGS[model], recipe.drop_path, recipe.dropout)
    started_from = start(sam)
    source: BatchSource
    if cutouts:
        source = MixedSource(cutouts, recipe, seed, device, draw_ahead, data)
    elif data is not None:
        source = PictureSource(data, held_out, recipe, seed, device, draw_ahead, repeats)
    else:
        source = PartWorldSource(recipe, seed, device, draw_ahead, distinct_batches)
    task = SamTask(sam, model, recipe, source, seed, device, precision, started_from, validation)
    return TrainingRun(task, folder, save_every)
