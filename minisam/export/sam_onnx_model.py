"""From prompts and an image embedding to masks in the image's pixels, as one network for ONNX.

    points, labels -> sparse        mask, has_mask -> dense        decoder -> one mask or all -> the image's size

A graph has no None: a missing mask prompt is zeros with `has_mask_input` 0, and a box is two points with labels 2 and
3.  Without a box, the last point must be a padding point (0, 0) with label −1.  Inputs, outputs and options are
segment-anything's.

N points   M masks of the decoder   h, w grid of the image embedding   E its channels
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.masks.stability_score import calculate_stability_score
from minisam.model import Sam
from minisam.model.learned_tokens import learned_tokens

# With two points or fewer (one of them padding) the prompt is ambiguous, and mask 0 is not used.
CLEAR_PROMPT_POINTS = 2.5
MORE_THAN_ANY_SCORE = 1000.0


class SamOnnxModel(nn.Module):
    """`return_single_mask` selects one mask by the number of points, else all M are returned.

    `use_stability_score` replaces the predicted IoU by the stability score, `return_extra_metrics` adds the stability
    score and the areas to the results.
    """

    def __init__(
        self,
        model: Sam,
        return_single_mask: bool,
        use_stability_score: bool = False,
        return_extra_metrics: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.mask_decoder = model.mask_decoder
        self.return_single_mask = return_single_mask
        self.use_stability_score = use_stability_score
        self.stability_score_offset = 1.0
        self.return_extra_metrics = return_extra_metrics

    @property
    def img_size(self) -> int:
        """The network's current size, which `set_image_size` may change later."""
        return self.model.image_encoder.img_size

    @torch.no_grad()
    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> tuple[Tensor, ...]:
        """Masks as logits [1, M or 1, H, W], scores [1, M or 1], low-resolution logits [1, M or 1, 4·h, 4·w].

        image_embeddings [1, E, h, w]; point_coords [1, N, 2] in pixels of the network's input, point_labels [1, N];
        mask_input [1, 1, 4·h, 4·w], has_mask_input [1] (0 or 1); orig_im_size [2], (H, W).  With the extra metrics,
        stability scores and areas come before the low-resolution logits.
        """
        low_res, scores = self.mask_decoder.predict_masks(
            image_embeddings,
            self.model.prompt_encoder.get_dense_pe(),
            self._embed_points(point_coords, point_labels),
            self._embed_masks(mask_input, has_mask_input),
        )
        if self.use_stability_score:
            scores = self.stability(low_res)
        if self.return_single_mask:
            low_res, scores = self.select_masks(low_res, scores, point_coords.shape[1])
        masks = self.mask_postprocessing(low_res, orig_im_size)
        if not self.return_extra_metrics:
            return masks, scores, low_res
        areas = (masks > self.model.mask_threshold).sum(-1).sum(-1)
        return masks, scores, self.stability(masks), areas, low_res

    def stability(self, masks: Tensor) -> Tensor:
        return calculate_stability_score(masks, self.model.mask_threshold, self.stability_score_offset)

    def _embed_points(self, point_coords: Tensor, point_labels: Tensor) -> Tensor:
        """[1, N, 2] and [1, N] -> [1, N, E]."""
        return self.model.prompt_encoder.embed_points(point_coords, point_labels, pad=False)

    def _embed_masks(self, input_mask: Tensor, has_mask_input: Tensor) -> Tensor:
        """The embedding of the mask, or of no mask, selected by a product instead of a branch."""
        encoder = self.model.prompt_encoder
        none = learned_tokens(encoder.no_mask_embed, 1).reshape(1, -1, 1, 1)
        return has_mask_input * encoder._embed_masks(input_mask) + (1 - has_mask_input) * none

    @staticmethod
    def resize_longest_image_size(input_image_size: Tensor, longest_side: int) -> Tensor:
        """(H, W) [2] -> the size scaled to a longest side, int64 [2], at least one pixel each."""
        size = input_image_size.to(torch.float32)
        return torch.floor(longest_side / size.max() * size + 0.5).clamp(min=1).to(torch.int64)

    def mask_postprocessing(self, masks: Tensor, orig_im_size: Tensor) -> Tensor:
        """Low-resolution logits -> logits [1, M, H, W]; `Sam.postprocess_masks` with tensors as sizes."""
        masks = F.interpolate(masks, (self.img_size, self.img_size), mode="bilinear", align_corners=False)
        height, width = self.resize_longest_image_size(orig_im_size, self.img_size).unbind()
        masks = masks[..., :height, :width]
        height, width = orig_im_size.to(torch.int64).unbind()
        size = cast(tuple[int, int], (height, width))
        return F.interpolate(masks, size=size, mode="bilinear", align_corners=False)

    def select_masks(self, masks: Tensor, iou_preds: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
        """Mask 0 for a prompt of several points, else the best of the others: [1, 1, …] each."""
        first = torch.zeros(iou_preds.shape[1], device=iou_preds.device)
        first[0] = MORE_THAN_ANY_SCORE
        best = (iou_preds + (num_points - CLEAR_PROMPT_POINTS) * first).argmax(dim=1)
        prompts = torch.arange(masks.shape[0], device=masks.device)
        return masks[prompts, best][:, None], iou_preds[prompts, best][:, None]
