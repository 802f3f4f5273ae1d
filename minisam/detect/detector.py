"""The detector of stage two: the image encoder of a Sam, frozen, and a head trained on the boxes of a folder's masks.

Every mask collected in the first stage is an "object".  The embeddings are computed once, since the encoder is
frozen; a training step is therefore very cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import read_tensors
from minisam.detect.box_head import ObjectBoxHead, decode_boxes
from minisam.errors import CheckpointError
from minisam.files import write_atomically


@dataclass(frozen=True)
class DetectorRecipe:
    """How the head is trained, and which of its boxes are shown."""

    steps: int = 600
    batch_size: int = 16
    lr: float = 1e-3
    min_score: float = 0.3
    nms_threshold: float = 0.6
    most_boxes: int = 30


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
