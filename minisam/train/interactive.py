"""The rounds of interactive training on one batch of prompts (SAM section A, "Training algorithm").

Round 0 gives one prompt and trains the best of masks 1 to 3.  Every later round feeds the previous mask back,
as unthresholded logits, with one more point from its error region, or with nothing new in a mask-only round;
more than one prompt leaves no doubt, so those rounds train mask 0.  After round 0 the mask with the highest
*predicted* IoU is the one fed back and corrected, as a user would see it.  No gradient flows through the
feedback.  All rounds share one image embedding and count alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minisam.model import Sam
from minisam.train.losses import SegmentationLoss, segmentation_loss
from minisam.train.prompts import corrective_points, first_prompts
from minisam.train.targets import low_resolution_targets

Loss = Callable[[Tensor, Tensor, Tensor], SegmentationLoss]
"""The loss of a round by its logits [P, M, h, w], predicted IoU [P, M] and targets [P, h, w]."""


@dataclass(frozen=True)
class Rounds:
    """How many rounds follow the first: `corrective` with a new point, `mask_only` without (the paper: 8 and 2)."""

    corrective: int = 8
    mask_only: int = 2

    def __post_init__(self) -> None:
        if min(self.corrective, self.mask_only) < 0:
            raise ValueError(
                f"{self.corrective} corrective and {self.mask_only} mask-only rounds; use 0 or more"
            )

    def schedule(self, generator: torch.Generator | None = None) -> list[bool]:
        """Whether each later round has a new point.  One mask-only round is last, the others at random places."""
        later = [True] * self.corrective
        if self.mask_only == 0:
            return later
        for _ in range(self.mask_only - 1):
            later.insert(int(torch.randint(0, len(later) + 1, (), generator=generator)), False)
        return [*later, False]


def interactive_rounds(
    sam: Sam,
    image_embeddings: Tensor,
    image_index: Tensor,
    masks: Tensor,
    schedule: list[bool],
    generator: torch.Generator | None = None,
    first: tuple[Tensor, Tensor] | None = None,
    external: Tensor | None = None,
    loss: Loss = segmentation_loss,
) -> list[SegmentationLoss]:
    """The losses of round 0 and of every round in `schedule`.

    image_embeddings [I, E, h, w]; image_index [P], the image of each prompt; masks [P, S, S] (bool, none empty)
    at the size of the network's input.  `first`: coordinates [P, N, 2] and labels [P, N] in place of a random point
    or box; none at all (N = 0) where `external` [P, n, E], more tokens of every prompt, says what is meant.
    """
    image_pe = sam.prompt_encoder.get_dense_pe()
    targets = low_resolution_targets(masks, sam.prompt_encoder.mask_input_size)
    coords, labels = first_prompts(masks, generator=generator) if first is None else first
    points_come_later = coords.shape[1] == 0
    dense = sam.prompt_encoder(None, None, None)[1].expand(len(masks), -1, -1, -1)
    embeddings = image_embeddings[image_index]

    losses: list[SegmentationLoss] = []
    feedback: Tensor | None = None
    for new_point in [False, *schedule]:
        if feedback is not None:
            dense = sam.prompt_encoder.mask_downscaling(feedback)
            if new_point:
                more_coords, more_labels = corrective_points(
                    feedback[:, 0], targets, masks.shape[-1], generator
                )
                coords, labels = torch.cat([coords, more_coords], 1), torch.cat([labels, more_labels], 1)
        pad = points_come_later and coords.shape[1] > 0
        sparse = sam.prompt_encoder.embed_points(coords, labels, pad=pad)
        if external is not None:
            sparse = torch.cat([sparse, external], dim=1)
        logits, iou = sam.mask_decoder(embeddings, image_pe, sparse, dense, multimask_output=feedback is None)
        losses.append(loss(logits, iou, targets))
        shown = iou.detach().argmax(dim=1)
        feedback = logits.detach()[torch.arange(len(shown)), shown][:, None].float()
    return losses
