"""The detector of stage two: the image encoder of a Sam, frozen, and a head trained on the boxes of a folder's masks.

Every mask collected in the first stage is an "object".  The embeddings are computed once, since the encoder is
frozen; a training step is therefore very cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import read_tensors
from minisam.data.segmentation_folder import open_folder
from minisam.detect.box_head import ObjectBoxHead, cell_centres, decode_boxes
from minisam.detect.box_loss import assign_boxes, detection_loss
from minisam.detect.boxes import boxes_of
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.model import Sam


@dataclass(frozen=True)
class DetectorRecipe:
    """How the head is trained, and which of its boxes are shown."""

    steps: int = 600
    batch_size: int = 16
    lr: float = 1e-3
    min_score: float = 0.3
    nms_threshold: float = 0.6
    most_boxes: int = 30


@dataclass(frozen=True)
class BoxExamples:
    """N images: embeddings [N, E, h, w], the boxes of each, N times [n, 4], and each cell's box, [N, C]."""

    embeddings: Tensor
    boxes: list[Tensor]
    assigned: Tensor


class ObjectDetector:
    """Boxes of the objects of an image, from its embedding."""

    def __init__(self, embed_dim: int, image_size: int, recipe: DetectorRecipe) -> None:
        self.head = ObjectBoxHead(embed_dim, image_size)
        self.recipe = recipe

    def detect(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding [1, E, h, w] -> boxes [n, 4] in pixels of the network's input, and scores [n], best first."""
        with torch.inference_mode():
            predicted = self.head(embedding)
        recipe = self.recipe
        return decode_boxes(
            predicted, 0, self.head.image_size, recipe.min_score, recipe.nms_threshold, recipe.most_boxes
        )

    def save(self, path: Path) -> None:
        content = to_safetensors(self.head.state_dict())
        write_atomically(path, lambda file: file.write(content))

    def load(self, path: Path) -> None:
        """Raises CheckpointError if the file is damaged or of another network."""
        try:
            self.head.load_state_dict(read_tensors(path)[0])
        except (CheckpointError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a detector ({error}); delete it to train it again") from None


def train_detector(
    sam: Sam, folder: Path, recipe: DetectorRecipe, seed: int, progress_bar: bool | None = None
) -> ObjectDetector:
    """Train on the images of a folder, which have the size of the network's input.

    `seed` determines everything random.  `progress_bar` None shows one on a terminal only.
    """
    examples = box_examples(sam, folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        detector = ObjectDetector(examples.embeddings.shape[1], sam.image_encoder.img_size, recipe)
    optimizer = torch.optim.AdamW(detector.head.parameters(), lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=recipe.steps)
    generator = torch.Generator().manual_seed(seed)
    hidden = None if progress_bar is None else not progress_bar
    for _ in tqdm(range(recipe.steps), desc="detector", disable=hidden, leave=False):
        chosen = torch.randint(len(examples.boxes), (recipe.batch_size,), generator=generator)
        predicted = detector.head(examples.embeddings[chosen])
        boxes = [examples.boxes[index] for index in chosen.tolist()]
        loss = detection_loss(predicted, boxes, examples.assigned[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return detector


@torch.no_grad()
def box_examples(sam: Sam, folder: Path) -> BoxExamples:
    """The training data of the head: every image of the folder, encoded, with the boxes of its masks."""
    pictures = open_folder(folder)
    embeddings, boxes, assigned = [], [], []
    for index in range(len(pictures.names)):
        picture = pictures.read(index)
        image = torch.from_numpy(picture.image).permute(2, 0, 1).to(sam.device)
        embedding = sam.image_encoder(sam.preprocess(image)[None]).cpu()
        side, size = 2 * embedding.shape[2], sam.image_encoder.img_size
        masks = [segment.mask() for segment in picture.segments]
        own = boxes_of(torch.from_numpy(np.stack(masks))) if masks else torch.zeros(0, 4)
        embeddings.append(embedding)
        boxes.append(own)
        assigned.append(assign_boxes(own, cell_centres(side, side, size), size / side))
    return BoxExamples(torch.cat(embeddings), boxes, torch.stack(assigned))
