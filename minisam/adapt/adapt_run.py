"""`minisam adapt`: a base network and a folder of the user's images -> an adapter file and what it gained and lost.

held-out images: train, measuring at every save -> measure the base and the best state
PartWorld:                                      -> measure the base and the best state

The base is measured after the training, so that a folder that cannot be used is refused at once, and a run that was
interrupted trains on at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from minisam.adapt.adapt_task import ADAPTER, AdaptTask, Training
from minisam.adapt.files import load_adapter
from minisam.adapt.measure_own import Change, changes, measure_own, measure_partworld, scores
from minisam.adapt.methods import Method, adapt
from minisam.adapt.own_images import OwnImages
from minisam.data.segmentation_folder import SegmentationFolder, validation_split
from minisam.data.skipped import Skipped
from minisam.evaluate.pictures import smallest_target
from minisam.model import Sam
from minisam.train.run import TrainingRun

MEASURED = 32
"""The most held-out images that are measured at every save."""


@dataclass(frozen=True)
class Report:
    """What came of an adaptation."""

    method: str
    trained_images: int
    """Without those that turned out to be unusable."""
    held_out_images: int
    own: list[Change]
    """On the held-out images."""
    partworld: list[Change]
    steps: int
    seconds: float
    parameters: int
    """How many numbers are trained."""
    skipped: Skipped
    before: Sam
    after: Sam
    images: OwnImages
    held_out: list[int]


@dataclass(frozen=True)
class AdaptOptions:
    """The options of a run."""

    method: Method
    training: Training
    held_out: float = 0.2
    save_every: int = 50
    device: str = "cpu"
    log: str | None = None


def adapt_to_folder(
    base: Callable[[], Sam],
    folder: SegmentationFolder,
    options: AdaptOptions,
    out: Path,
) -> Report:
    """Adapt the network that `base` loads, each time afresh, to the images of a folder.

    The folder `out` has the run, which resumes there, and its best state in `ADAPTER`.

    Raises DatasetError if there are fewer than two images with masks, CheckpointError if `out` has another run.
    """
    before = base().to(options.device).eval()
    images = OwnImages(folder, before.image_encoder.img_size, smallest_target(before), options.device)
    training, held_out = validation_split(folder.names, options.held_out)
    images.usable(training, 1)
    held_out = images.usable(held_out, MEASURED)

    torch.manual_seed(options.training.seed)  # of the added layers' first weights
    method, adapted = options.method, adapt(base().to(options.device), options.method)
    frozen = not any(p.requires_grad for p in adapted.sam.image_encoder.parameters())
    same_embeddings = frozen and method.name != "hq"  # its embeddings have more channels than the base's

    def score(sam: Sam) -> dict[str, float]:
        found = scores(measure_own(sam, images, held_out, keep_embeddings=frozen, clicks=1))
        return {name.replace(", ", " ").replace(" ", "_"): float(iou.mean()) for name, iou in found.items()}

    task = AdaptTask(adapted, images, training, options.training, score)
    run = TrainingRun(task, out, options.save_every, options.log)
    run.run()

    first = measure_own(before, images, held_out, keep_embeddings=same_embeddings)
    lost_from = measure_partworld(before)
    after = load_adapter(base().to(options.device), out / ADAPTER).sam.eval()
    return Report(
        method.name,
        sum(folder.names[index] not in images.skipped for index in training),
        len(held_out),
        changes(first, measure_own(after, images, held_out, keep_embeddings=frozen)),
        changes(lost_from, measure_partworld(after)),
        run.step,
        run.seconds,
        sum(p.numel() for p in adapted.sam.parameters() if p.requires_grad),
        images.skipped,
        before,
        after,
        images,
        held_out,
    )


def with_steps(training: Training, steps: int | None, lr: float | None) -> Training:
    """The same training with other numbers of steps or another rate of SAM's own weights."""
    settings = training.settings
    if steps is not None:
        settings = replace(settings, steps=steps)
    if lr is not None:
        settings = replace(settings, lr=lr, added_lr=lr * settings.added_lr / settings.lr)
    return replace(training, settings=settings)
