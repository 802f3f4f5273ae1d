"""RSPrompter-anchor, and the two baselines that have the same detector: what a mask is made from differs.

    anchor   features of the box -> prompt head -> tokens -> SAM's decoder, trained       (RSPrompter, section III-D)
    seg      features of the box -> the convolutional mask head of Mask R-CNN             (SAM-seg)
    det      the box -> SAM's prompt encoder and decoder, frozen                          (SAM-det)

A score is the probability of the class; SAM's predicted IoU is not used.

B images   S side of the input   n boxes
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.adapt.rsprompter.features import PrompterFeatures
from minisam.adapt.rsprompter.instances import Instances, Sizes, final_masks, in_original_pixels, parts
from minisam.adapt.rsprompter.prompt_head import SIDE, PromptHead
from minisam.adapt.rsprompter.prompted_masks import decode_prompts, mask_loss
from minisam.detect.fcn_mask_head import FEATURE_SIDE, FcnMaskHead, masks_in_boxes, paste_masks
from minisam.detect.two_stage import Boxes, Positives, Targets, TwoStageDetector
from minisam.distributed import summed
from minisam.model import Sam

MASK_PROBABILITY = 0.5


class BoxPrompter(PrompterFeatures):
    """`loss` in training, `detect` afterwards; the variant is `config.variant`: anchor, seg or det."""

    def __init__(self, sam: Sam, config: PrompterConfig) -> None:
        super().__init__(sam, config, config.levels)
        self.detector = TwoStageDetector(
            config.width,
            len(config.classes),
            self.strides(config.levels),
            config.box_levels,
            config.finest,
            config.proposals,
            config.boxes,
            config.positive_share,
            config.most_masks,
            config.box_width,
            config.box_norm,
        )
        if config.variant == "anchor":
            prompt_dim = sam.prompt_encoder.embed_dim
            self.prompt_head = PromptHead(
                config.width, prompt_dim, config.points, config.prompt_width, config.norm, config.sine
            )
            sam.mask_decoder.requires_grad_(config.train_decoder)
        elif config.variant == "seg":
            self.mask_head = FcnMaskHead(config.width, len(config.classes))

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The keys of `loss`."""
        names = ("proposal_score", "proposal_box", "class", "box")
        return names if self.config.variant == "det" else (*names, "mask")

    def loss(
        self, images: Tensor, targets: list[Targets], generators: list[torch.Generator]
    ) -> dict[str, Tensor]:
        """Images [B, 3, S, S], normalised and padded, and their true objects; everything random from `generators`."""
        embedding, pyramid = self.encode(images)
        positioned = self.detector.with_positions(pyramid)
        size = images.shape[2], images.shape[3]
        losses, positives = self.detector.loss(pyramid, positioned, targets, generators, size)
        if self.config.variant == "anchor":
            losses["mask"] = self.prompted_loss(embedding, positioned, positives)
        elif self.config.variant == "seg":
            losses["mask"] = self.convolutional_loss(positioned, positives)
        return losses

    def prompted_loss(self, embedding: Tensor, positioned: Sequence[Tensor], found: Positives) -> Tensor:
        if not len(found.boxes):
            return mask_loss(embedding.new_zeros((0, 1, 1)), found.masks, self.config.mask_loss)
        features = self.detector.in_boxes(positioned, found.boxes, found.image_index, SIDE)
        logits = decode_prompts(self.sam, embedding, self.prompt_head(features), found.image_index)
        return mask_loss(logits, found.masks, self.config.mask_loss)

    def convolutional_loss(self, positioned: Sequence[Tensor], found: Positives) -> Tensor:
        count = summed(torch.tensor(float(len(found.boxes)), device=found.boxes.device)).clamp(min=1)
        features = self.detector.in_boxes(positioned, found.boxes, found.image_index, FEATURE_SIDE)
        logits = self.mask_head(features)[torch.arange(len(found.boxes)), found.labels]
        wanted = masks_in_boxes(found.masks, found.boxes)
        return (
            F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=(1, 2)).sum()
            / count
        )

    @torch.inference_mode()
    def detect(self, images: Tensor, sizes: Sequence[Sizes]) -> list[Instances]:
        """The objects of each image [B, 3, S, S], normalised and padded."""
        embedding, pyramid = self.encode(images)
        positioned = self.detector.with_positions(pyramid)
        found = self.detector.detect(pyramid, positioned, [one.scaled for one in sizes])
        results = []
        for image, (boxes, size) in enumerate(zip(found, sizes, strict=True)):
            final = in_original_pixels(boxes.boxes, size)
            if self.config.variant == "seg":
                masks = self.pasted_masks(positioned, boxes, final, size)
            else:
                logits = self.prompted_masks(embedding[image : image + 1], positioned, boxes)
                masks = final_masks(self.sam, logits, size)
            results.append(Instances(final, boxes.labels, boxes.scores, masks))
        return results

    def prompted_masks(self, embedding: Tensor, positioned: Sequence[Tensor], found: Boxes) -> Tensor:
        """Low-resolution logits [n, h, w] of one image's boxes."""
        height, width = self.sam.prompt_encoder.mask_input_size
        logits = embedding.new_zeros((len(found.boxes), height, width))
        for rows in parts(len(found.boxes)):
            boxes, index = found.boxes[rows], found.image_index[rows]
            if self.config.variant == "det":
                tokens, _ = self.sam.prompt_encoder(None, boxes, None)
            else:
                tokens = self.prompt_head(self.detector.in_boxes(positioned, boxes, index, SIDE))
            logits[rows] = decode_prompts(self.sam, embedding, tokens, torch.zeros_like(index))
        return logits

    def pasted_masks(self, positioned: Sequence[Tensor], found: Boxes, boxes: Tensor, sizes: Sizes) -> Tensor:
        masks = found.boxes.new_zeros((len(boxes), *sizes.original), dtype=torch.bool)
        for rows in parts(len(boxes)):
            features = self.detector.in_boxes(
                positioned, found.boxes[rows], found.image_index[rows], FEATURE_SIDE
            )
            of_all = self.mask_head(features)
            logits = of_all[torch.arange(len(of_all)), found.labels[rows]]
            masks[rows] = paste_masks(logits, boxes[rows], sizes.original) >= MASK_PROBABILITY
        return masks
