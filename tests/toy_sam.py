"""A stand-in for Sam whose image *is* the label map, so that it can answer a click with known masks."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minisam.data.partworld import SceneBatch

SIZE = 32


def nested_scenes(images: int = 3) -> SceneBatch:
    """Squares in squares: a whole of 20 x 20 pixels, a part of 12 x 12 and a subpart of 6 x 6 inside, off centre."""
    labels = torch.full((images, 3, SIZE, SIZE), -1, dtype=torch.int16)
    for b in range(images):
        labels[b, 0, 4 + b : 24 + b, 5:25] = 0
        labels[b, 1, 6 + b : 18 + b, 7:19] = 1
        labels[b, 2, 8 + b : 14 + b, 9:15] = 2
    level = torch.tensor([[0, 1, 2, -1]] * images, dtype=torch.int8)
    area = torch.tensor([[400, 144, 36, 0]] * images, dtype=torch.int32)
    parent = torch.tensor([[-1, 0, 1, -1]] * images, dtype=torch.int16)
    pictures = (labels + 1).to(torch.uint8)
    return SceneBatch(pictures, labels, level, parent, area, [["", "", "", ""]] * images)


class ToySam:
    """`answer(levels, click, first)` gives masks [C, S, S] and predicted IoU [C] for one prompt.

    levels [3, S, S] are the masks of whole, part and subpart under the click, a point (x, y); for a box the click
    is the middle of the box.  `calls` records the arguments of its calls.
    """

    def __init__(self, answer: Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor]]) -> None:
        self.answer = answer
        self.calls: list[SimpleNamespace] = []
        self.training = True
        self.device = torch.device("cpu")
        self.image_encoder = _ImageEncoder()
        self.prompt_encoder = _PromptEncoder(self.calls)
        self.mask_decoder = _MaskDecoder(self)

    def preprocess(self, images: Tensor) -> Tensor:
        return images

    def eval(self) -> "ToySam":
        return self.train(False)

    def train(self, mode: bool = True) -> "ToySam":
        self.training = mode
        return self


class _MaskDecoder:
    """Mask 0 is what a later prompt would get, masks 1 to 3 what a first one gets."""

    def __init__(self, sam: "ToySam") -> None:
        self.sam = sam

    def __call__(self, embeddings, image_pe, sparse, dense, multimask_output, image_index):
        assert not self.sam.training
        masks, predicted = [], []
        for click, image in zip(sparse, image_index.tolist(), strict=True):
            x, y = click.long().tolist()
            nodes = embeddings[image, :, y, x]
            levels = (embeddings[image] == nodes[:, None, None]) & (nodes > 0)[:, None, None]
            of_prompt, iou = self.sam.answer(levels, click, multimask_output)
            masks.append(of_prompt)
            predicted.append(iou)
        return torch.stack(masks).float() * 2 - 1, torch.stack(predicted)

    def predict_masks(self, embeddings, image_pe, sparse, dense, image_index):
        outputs = (self(embeddings, image_pe, sparse, dense, first, image_index) for first in (False, True))
        return tuple(torch.cat(both, dim=1) for both in zip(*outputs, strict=True))


class _ImageEncoder:
    img_size = SIZE

    def __call__(self, images):
        return images


class _PromptEncoder:
    image_embedding_size = (16, 16)

    def __init__(self, calls: list[SimpleNamespace]) -> None:
        self.calls = calls

    def __call__(self, points, boxes, masks):
        self.calls.append(SimpleNamespace(points=points, boxes=boxes, masks=masks))
        first = points[0][:, 0] if points is not None else (boxes[:, :2] + boxes[:, 2:]) / 2
        return first, None

    def get_dense_pe(self):
        return None
