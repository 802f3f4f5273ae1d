"""The second stage of Faster R-CNN: the class of a proposed box, and a better box for each class (Girshick 2015).

    7 × 7 features of the box -> FC -> ReLU -> FC -> ReLU -> C + 1 logits, background last;  4 · C deltas
    loss:  mean over sampled boxes of cross-entropy  +  Σ over positives SmoothL1 of their class's deltas / sampled

With `norm`, a batch norm stands before each ReLU.  The first layer has thousands of inputs, and most of what they
hold is the same for all boxes.  Without a norm, a step moves all its weights along that common part: the units answer
every box alike or stay at 0, and only the share of background is learned.

C classes   n boxes   S side of the features, 7
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.detect.box_coding import ROI_STD, decode_deltas, encode_boxes
from minisam.detect.boxes import clip_boxes, kept_by_nms
from minisam.distributed import summed

SIDE = 7


class RoiBoxHead(nn.Module):
    """Features of boxes [n, channels, 7, 7] -> logits [n, C + 1] and deltas [n, C, 4]."""

    def __init__(self, channels: int, classes: int, width: int = 1024, norm: bool = False) -> None:
        super().__init__()
        self.classes = classes
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs in (channels * SIDE**2, width):
            layers += [nn.Linear(inputs, width), *([NormOverBoxes(width)] if norm else []), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.logits = nn.Linear(width, classes + 1)
        self.deltas = nn.Linear(width, 4 * classes)
        for layer, std in ((self.logits, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(features)
        return self.logits(hidden), self.deltas(hidden).unflatten(1, (self.classes, 4))


class NormOverBoxes(nn.BatchNorm1d):
    """A batch norm of [n, width]; fewer than two boxes, which have no spread, take the running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        if len(input) > 1:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def roi_box_loss(
    logits: Tensor, deltas: Tensor, boxes: Tensor, labels: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The two terms, for sampled boxes [n, 4], labels [n] with C for background, and true boxes [n, 4].

    The rows of `targets` for background are not used.  With several processes, each term is this process's part.
    """
    background = logits.shape[1] - 1
    count = summed(torch.tensor(float(len(logits)), device=logits.device)).clamp(min=1)
    cross_entropy = F.cross_entropy(logits, labels, reduction="sum") / count
    found = (labels < background).nonzero()[:, 0]
    own = deltas[found, labels[found]]
    wanted = encode_boxes(targets[found], boxes[found], ROI_STD)
    return cross_entropy, F.smooth_l1_loss(own, wanted, reduction="sum") / count


def detections(
    logits: Tensor,
    deltas: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    min_score: float = 0.05,
    nms_threshold: float = 0.5,
    most: int = 100,
) -> tuple[Tensor, Tensor, Tensor]:
    """The final boxes [k, 4] of one image of `size` (H, W), labels [k] and scores [k], best first.

    Of each class, boxes that overlap a better one are left out.
    """
    probabilities = logits.detach().softmax(dim=1)[:, :-1]
    decoded = clip_boxes(decode_deltas(deltas.detach(), boxes[:, None], ROI_STD), size)
    found = []
    for label in range(probabilities.shape[1]):
        own = (probabilities[:, label] > min_score).nonzero()[:, 0]
        scores, of_class = probabilities[own, label], decoded[own, label]
        kept = kept_by_nms(of_class, scores, nms_threshold)
        found.append((of_class[kept], torch.full_like(kept, label), scores[kept]))
    all_boxes, labels, scores = (torch.cat(column) for column in zip(*found, strict=True))
    order = scores.argsort(descending=True, stable=True)[:most]
    return all_boxes[order], labels[order], scores[order]
