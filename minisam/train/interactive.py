"""The rounds of interactive training on one batch of prompts (SAM section A, "Training algorithm").

Round 0 gives one prompt and trains the best of masks 1 to 3.  Every later round feeds back the previous mask, as
unthresholded logits, with one more point from its error region, or without a new point in a mask-only round. Several
prompts are unambiguous, and these rounds train mask 0.  After round 0 the mask with the highest *predicted* IoU,
which a user would see, is fed back and corrected.  No gradient flows through the feedback.  All rounds share one
image embedding and have the same weight.

A box or a mask is unambiguous too.  With `clear_prompts`, these first prompts train mask 0 as well as the best of
masks 1 to 3, and mask 0 is fed back: the mask that `predict(box=…, multimask_output=False)` returns.  (SAM 2 counts a
box as two points, and thus as unambiguous.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minisam.model import Sam
from minisam.model.prompt_encoder import TOP_LEFT
from minisam.seeds import Randomness
from minisam.train.losses import SegmentationLoss, segmentation_loss
from minisam.train.prompts import corrective_points, first_prompts
from minisam.train.rough_masks import rough_mask_logits
from minisam.train.targets import low_resolution_targets

Loss = Callable[[Tensor, Tensor, Tensor], SegmentationLoss]
"""The loss of a round by its logits [P, M, h, w], predicted IoU [P, M] and targets [P, h, w]."""


@dataclass(frozen=True)
class Rounds:
    """The rounds after the first: `corrective` with a new point, `mask_only` without (the paper: 8 and 2)."""

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
    generator: Randomness = None,
    first: tuple[Tensor, Tensor] | None = None,
    external: Tensor | None = None,
    loss: Loss = segmentation_loss,
    clear_prompts: bool = False,
    mask_first: bool = False,
    full_size: bool = False,
) -> list[SegmentationLoss]:
    """The losses of round 0 and of every round in `schedule`.

    image_embeddings [I, E, h, w]; image_index [P], the image of each prompt; masks [P, S, S] (bool, none empty)
    at the size of the network's input.  `first`: coordinates [P, N, 2] and labels [P, N] in place of a random point
    or box; N may be 0 if `external` [P, n, E], additional tokens of every prompt, specifies the object. `mask_first`
    starts with only a rough mask of each target.  `full_size` gives `loss` the masks themselves as targets, in place
    of their low-resolution shares: for `full_size_loss`.
    """
    image_pe = sam.prompt_encoder.get_dense_pe()
    targets = low_resolution_targets(masks, sam.prompt_encoder.mask_input_size)
    dense = sam.prompt_encoder(None, None, None)[1].expand(len(masks), -1, -1, -1)
    if mask_first:
        first = no_points(len(masks), masks.device)
        dense = sam.prompt_encoder.mask_downscaling(rough_mask_logits(targets, generator))
    coords, labels = first_prompts(masks, generator=generator) if first is None else first
    points_come_later = coords.shape[1] == 0
    clear = clear_prompts & ((labels == TOP_LEFT).any(dim=1) | mask_first)
    embeddings = image_embeddings[image_index]
    wanted = masks.float() if full_size else targets

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
        prompts = embeddings, image_pe, sparse, dense
        if feedback is None and clear.any():
            logits, iou = sam.mask_decoder.predict_masks(*prompts)
            losses.append(loss_of_first_round(loss, logits, iou, wanted, clear))
            shown = torch.where(clear, 0, 1 + iou[:, 1:].detach().argmax(dim=1))
        else:
            logits, iou = sam.mask_decoder(*prompts, multimask_output=feedback is None)
            losses.append(loss(logits, iou, wanted))
            shown = iou.detach().argmax(dim=1)
        feedback = logits.detach()[torch.arange(len(shown)), shown][:, None].float()
    return losses


def loss_of_first_round(
    loss: Loss, logits: Tensor, iou: Tensor, targets: Tensor, clear: Tensor
) -> SegmentationLoss:
    """The loss of masks 1 to 3 of all prompts and, for those that are `clear` [P] bool, also of mask 0.

    logits [P, 4, h, w], iou [P, 4].  Each prompt has the same weight: mask 0 is weighted by its share of the prompts.
    """
    three = loss(logits[:, 1:], iou[:, 1:], targets)
    single = loss(logits[clear, :1], iou[clear, :1], targets[clear])
    return three._replace(total=three.total + clear.float().mean() * single.total)


def no_points(prompts: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coordinates [P, 0, 2] and labels [P, 0]."""
    return torch.zeros((prompts, 0, 2), device=device), torch.zeros(
        (prompts, 0), dtype=torch.long, device=device
    )
