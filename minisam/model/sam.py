"""Segment Anything as a whole: preprocess, encode the image, encode prompts, decode masks, postprocess.

    image -> (image − mean) / std -> zero-padded to a square -> image embedding
    masks at a quarter of the input -> bilinear to the input -> padding cut off -> bilinear to the image -> > 0

The padding comes after normalisation and thus has the mean colour (SAM's code; Kirillov et al. 2023, section A).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minisam.model.batched_prompts import fault_of_record
from minisam.model.image_encoder import ImageEncoderViT
from minisam.model.mask_decoder import MaskDecoder
from minisam.model.prompt_encoder import PromptEncoder

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
MAX_TOKENS_A_SIDE = 1024


class Sam(nn.Module):
    """The three parts combined; arguments, methods and state-dict keys are segment-anything's."""

    mask_threshold: float = 0.0
    image_format: str = "RGB"
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        image_encoder: ImageEncoderViT,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        pixel_mean: tuple[float, ...] | list[float] = IMAGENET_MEAN,
        pixel_std: tuple[float, ...] | list[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def set_image_size(self, size: int) -> None:
        """Use inputs of `size` pixels per side from now on: the weights do not change, positions are interpolated.

        Raises ValueError if `size` is not a multiple of the patch size, or more than 1024 of them.
        """
        patch_size = self.image_encoder.patch_size
        is_number = isinstance(size, int | float) or hasattr(size, "__index__")
        if not is_number or size % patch_size or not 0 < size <= patch_size * MAX_TOKENS_A_SIDE:
            raise ValueError(
                f"the image size must be a multiple of {patch_size} and at most {patch_size * MAX_TOKENS_A_SIDE}, "
                f"got {size!r}"
            )
        size, grid = int(size), int(size) // patch_size
        self.image_encoder.img_size = size
        self.prompt_encoder.input_image_size = (size, size)
        self.prompt_encoder.image_embedding_size = (grid, grid)

    @torch.no_grad()
    def forward(self, batched_input: list[dict[str, Any]], multimask_output: bool) -> list[dict[str, Tensor]]:
        """Masks for several images, each with any number of prompts.

        Each record has `image` [3, H, W] already at the network's scale, `original_size` (H, W), and any of
        `point_coords` [B, N, 2] with `point_labels` [B, N], `boxes` [B, 4] or [B, n, 4], `mask_inputs`
        [B, 1, h, w], in pixels of `image`.  Each result has `masks` [B, C, *original_size] (bool),
        `iou_predictions` [B, C] and `low_res_logits` [B, C, h, w].

        Raises ValueError for a record with missing entries or unusable prompts.
        """
        batched_input = list(batched_input)
        for record in batched_input:
            if fault := fault_of_record(record, self.prompt_encoder.mask_input_size):
                raise ValueError(fault)
        if not batched_input:
            return []
        images = torch.stack([self.preprocess(record["image"]) for record in batched_input])
        embeddings = self.image_encoder(images)
        image_pe = self.prompt_encoder.get_dense_pe()
        results = []
        for record, embedding in zip(batched_input, embeddings, strict=True):
            coords, labels = record.get("point_coords"), record.get("point_labels")
            points = None if coords is None and labels is None else (coords, labels)
            sparse, dense = self.prompt_encoder(points, record.get("boxes"), record.get("mask_inputs"))
            low_res, iou = self.mask_decoder(embedding[None], image_pe, sparse, dense, multimask_output)
            masks = self.postprocess_masks(
                low_res, tuple(record["image"].shape[-2:]), record["original_size"]
            )
            results.append(
                {"masks": masks > self.mask_threshold, "iou_predictions": iou, "low_res_logits": low_res}
            )
        return results

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalise [..., 3, H, W] in 0 … 255, of any type, and pad it right and below to the network's square input.

        Raises ValueError for an image larger than that.
        """
        size = self.image_encoder.img_size
        if max(x.shape[-2:]) > size:
            raise ValueError(
                f"an image of {x.shape[-2]} x {x.shape[-1]} is larger than the network's {size}: scale it first, "
                f"and its prompts, by ResizeLongestSide({size})"
            )
        x = (x.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        return F.pad(x, (0, size - x.shape[-1], 0, size - x.shape[-2]))

    def postprocess_masks(
        self, masks: Tensor, input_size: tuple[int, ...], original_size: tuple[int, ...]
    ) -> Tensor:
        """Logits [B, C, h, w] -> [B, C, *original_size]; `input_size` is the image's part of the square input."""
        size = self.image_encoder.img_size
        masks = F.interpolate(masks, (size, size), mode="bilinear", align_corners=False)
        masks = masks[..., : input_size[0], : input_size[1]]
        return F.interpolate(masks, tuple(original_size), mode="bilinear", align_corners=False)
