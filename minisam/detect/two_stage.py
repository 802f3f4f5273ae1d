"""A detector of two stages on a pyramid of features: propose boxes, then classify and refine them (Faster R-CNN).

    pyramid -> proposals -> [training: + true boxes, assigned and sampled] -> RoIAlign 7 × 7 -> classes and boxes

The second stage sees the pyramid with sine positions added, the first one without (RSPrompter's code): the position
of an object is part of the prompt that is made from its features.

B images   n boxes   m targets of an image
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.detect.assign import assign_by_iou, drawn, sample
from minisam.detect.pyramid import pyramid_roi_align
from minisam.detect.region_proposal_loss import region_proposal_loss
from minisam.detect.region_proposals import ProposalRecipe, RegionProposalNetwork
from minisam.detect.roi_box_head import SIDE, RoiBoxHead, detections, roi_box_loss
from minisam.detect.sine_positions import sine_positions

MATCHED = 0.5
"""The IoU from which a proposed box belongs to a target."""


class Targets(NamedTuple):
    """The true objects of an image: boxes [m, 4] (x0, y0, x1, y1) in pixels, labels [m], masks [m, S, S] bool."""

    boxes: Tensor
    labels: Tensor
    masks: Tensor


class Boxes(NamedTuple):
    """Boxes [n, 4] of the images of a batch, each one's image [n], label [n] and score [n] or true object [n]."""

    boxes: Tensor
    image_index: Tensor
    labels: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Positives:
    """Sampled boxes [n, 4] that found a target: image [n], label [n], and the target's mask [n, S, S]."""

    boxes: Tensor
    image_index: Tensor
    labels: Tensor
    masks: Tensor


class TwoStageDetector(nn.Module):
    """`strides` in pixels, one per level of the pyramid; `finest` as in minisam/detect/pyramid.py."""

    def __init__(
        self,
        channels: int,
        classes: int,
        strides: Sequence[float],
        box_levels: int,
        finest: float,
        proposals: ProposalRecipe,
        sampled: int = 256,
        positive_share: float = 0.25,
        most_masks: int | None = None,
        width: int = 1024,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.strides, self.box_levels, self.finest = tuple(strides), box_levels, finest
        self.sampled, self.positive_share, self.most_masks = sampled, positive_share, most_masks
        self.proposal_network = RegionProposalNetwork(channels, proposals)
        self.box_head = RoiBoxHead(channels, classes, width, norm)

    def with_positions(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """The maps plus the sine positions of the finest, shrunk to the size of each."""
        finest = pyramid[0]
        positions = sine_positions((finest.shape[2], finest.shape[3]), finest.shape[1], finest.device)[None]
        return [
            features + F.interpolate(positions, features.shape[2:], mode="bilinear", align_corners=False)
            for features in pyramid
        ]

    def in_boxes(self, pyramid: Sequence[Tensor], boxes: Tensor, image_index: Tensor, side: int) -> Tensor:
        """Features of boxes [n, C, side, side]."""
        used = slice(self.box_levels)
        return pyramid_roi_align(pyramid[used], self.strides[used], boxes, image_index, self.finest, side)

    def loss(
        self,
        pyramid: Sequence[Tensor],
        positioned: Sequence[Tensor],
        targets: list[Targets],
        generators: list[torch.Generator],
        size: tuple[int, int],
    ) -> tuple[dict[str, Tensor], Positives]:
        """The four losses, and the positive boxes for a mask head; a generator on the CPU for each image.

        Of an image's positive boxes, at most `most_masks` are for the mask head, drawn at random.
        """
        predicted = self.proposal_network(pyramid, self.strides)
        of_proposals = region_proposal_loss(
            predicted, [one.boxes for one in targets], self.proposal_network.recipe, generators
        )
        chosen, positives = [], []
        for image, (target, generator) in enumerate(zip(targets, generators, strict=True)):
            proposals = self.proposal_network.proposals(predicted, image, size)
            candidates = torch.cat([proposals, target.boxes])
            assigned = assign_by_iou(candidates, target.boxes, MATCHED, MATCHED, MATCHED)
            found, rest = sample(assigned, self.sampled, self.positive_share, generator)
            background = torch.full_like(rest, self.box_head.classes)
            own = assigned[found]
            labels = torch.cat([target.labels[own], background])
            true_boxes = torch.cat([target.boxes[own], candidates[rest]])
            index = torch.full_like(labels, image)
            chosen.append((candidates[torch.cat([found, rest])], index, labels, true_boxes))
            masked = found if self.most_masks is None else drawn(found, self.most_masks, generator)
            own = assigned[masked]
            positives.append(
                (candidates[masked], index[: len(masked)], target.labels[own], target.masks[own])
            )
        boxes, image_index, labels, true_boxes = (torch.cat(column) for column in zip(*chosen, strict=True))
        logits, deltas = self.box_head(self.in_boxes(positioned, boxes, image_index, SIDE))
        of_class, of_box = roi_box_loss(logits, deltas, boxes, labels, true_boxes)
        losses = {
            "proposal_score": of_proposals.score,
            "proposal_box": of_proposals.box,
            "class": of_class,
            "box": of_box,
        }
        return losses, Positives(*(torch.cat(column) for column in zip(*positives, strict=True)))

    def detect(
        self, pyramid: Sequence[Tensor], positioned: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Boxes]:
        """The final boxes of each image, clipped to its part (h, w) of the input, best first."""
        predicted = self.proposal_network(pyramid, self.strides)
        found = []
        for image, size in enumerate(sizes):
            boxes = self.proposal_network.proposals(predicted, image, size)
            index = torch.full((len(boxes),), image, device=boxes.device)
            logits, deltas = self.box_head(self.in_boxes(positioned, boxes, index, SIDE))
            final, labels, scores = detections(logits, deltas, boxes, size)
            found.append(Boxes(final, torch.full_like(labels, image), labels, scores))
        return found
