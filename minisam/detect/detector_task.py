"""Training the detector on a folder of images with masks: the boxes of the masks, and embeddings computed once.

The encoder is frozen; a training step is therefore very cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from minisam.data.segmentation_folder import open_folder
from minisam.detect.box_head import cell_centres
from minisam.detect.box_loss import assign_boxes, detection_loss
from minisam.detect.boxes import boxes_of
from minisam.detect.detector import DetectorRecipe, ObjectDetector
from minisam.distributed import own_rows
from minisam.model import Sam
from minisam.train.metrics import Metrics
from minisam.train.run import TrainingRun
from minisam.train.task import Task

CLIP_NORM = 100.0
"""A guard: the norms that are met lie between 0.3 and 14."""


@dataclass(frozen=True)
class BoxExamples:
    """N images: embeddings [N, E, h, w], the boxes of each, N times [n, 4], and each cell's box, [N, C]."""

    embeddings: Tensor
    boxes: list[Tensor]
    assigned: Tensor


class DetectorTask(Task):
    """The head of a detector; which examples a step sees follows from the seed."""

    metrics = ("loss",)

    def __init__(self, examples: BoxExamples, image_size: int, recipe: DetectorRecipe, seed: int) -> None:
        self.examples, self.recipe, self.seed = examples, recipe, seed
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.detector = ObjectDetector(examples.embeddings.shape[1], image_size, recipe)
        self.modules, self.steps, self.clip_norm = {"model": self.detector.head}, recipe.steps, CLIP_NORM
        self.optimizers = [torch.optim.AdamW(self.detector.head.parameters(), lr=recipe.lr)]
        generator = torch.Generator().manual_seed(seed)
        size = (recipe.steps, recipe.batch_size)
        self.chosen = torch.randint(len(examples.boxes), size, generator=generator)

    def batch_size(self, step: int) -> int:
        return self.recipe.batch_size

    def set_learning_rate(self, step: int) -> float:
        """From the recipe's rate evenly down to a hundredth of it."""
        rate = self.recipe.lr * (1 - 0.99 * step / self.steps)
        for group in self.optimizers[0].param_groups:
            group["lr"] = rate
        return rate

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        batch = self.chosen[step]
        chosen = batch[own_rows(len(batch))]
        positives = (self.examples.assigned[batch] >= 0).sum()
        predicted = self.detector.head(self.examples.embeddings[chosen])
        boxes = [self.examples.boxes[index] for index in chosen.tolist()]
        loss = detection_loss(predicted, boxes, self.examples.assigned[chosen], positives)
        return loss, {"loss": loss}


def train_detector(
    sam: Sam, folder: Path, recipe: DetectorRecipe, seed: int, progress_bar: bool | None = None
) -> ObjectDetector:
    """Train on the images of a folder, which have the size of the network's input.

    `seed` determines everything random.  `progress_bar` None shows one on a terminal only.
    """
    task = DetectorTask(box_examples(sam, folder), sam.image_encoder.img_size, recipe, seed)
    with torch.random.fork_rng():
        return TrainingRun(task).run(progress_bar).detector


@torch.no_grad()
def box_examples(sam: Sam, folder: Path) -> BoxExamples:
    """The training data of the head: every image of the folder, encoded, with the boxes of its masks.

    A crowd, whose objects are not annotated separately, is none of them.
    """
    pictures = open_folder(folder)
    embeddings, boxes, assigned = [], [], []
    for index in range(len(pictures.names)):
        picture = pictures.read(index)
        image = torch.from_numpy(picture.image).permute(2, 0, 1).to(sam.device)
        embedding = sam.image_encoder(sam.preprocess(image)[None]).cpu()
        side, size = 2 * embedding.shape[2], sam.image_encoder.img_size
        masks = [segment.mask() for segment in picture.segments if not segment.crowd]
        own = boxes_of(torch.from_numpy(np.stack(masks))) if masks else torch.zeros(0, 4)
        embeddings.append(embedding)
        boxes.append(own)
        assigned.append(assign_boxes(own, cell_centres(side, side, size), size / side))
    return BoxExamples(torch.cat(embeddings), boxes, torch.stack(assigned))
