"""The parts of a network that are exported, with the names and the free sizes of their inputs and outputs.

    encoder   images [B, 3, S, S] -> image_embeddings [B, E, h, w]
    decoder   image_embeddings and one prompt of any number of points -> masks, iou_predictions, low_res_masks
    both      images [1, 3, S, S] and the same prompt -> the same

`images` are the network's input: scaled to a longest side of S, normalised, and padded with zeros (`Sam.preprocess`).
The decoder's inputs and outputs are segment-anything's (sam_onnx_model.py).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from minisam.export.sam_onnx_model import SamOnnxModel
from minisam.model import Sam

PROMPT = ("point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")
OUTPUTS = ("masks", "iou_predictions", "low_res_masks")


@dataclass(frozen=True)
class Part:
    """A module with an example of its inputs; `free` gives, for each input, the axes whose size is free."""

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    free: tuple[dict[int, Any] | None, ...]


class EncoderAndDecoder(nn.Module):
    """A prepared image and a prompt -> masks."""

    def __init__(self, encoder: nn.Module, decoder: SamOnnxModel) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, images: Tensor, *prompt: Tensor) -> tuple[Tensor, ...]:
        return self.decoder(self.encoder(images), *prompt)


def part_of(sam: Sam, name: str, return_single_mask: bool = False) -> Part:
    """`name` is encoder, decoder or both."""
    sam = sam.eval()
    size = sam.image_encoder.img_size
    images = torch.zeros(2 if name == "encoder" else 1, 3, size, size)
    if name == "encoder":
        return Part(sam.image_encoder, (images,), ("images",), ("image_embeddings",), ({0: Dim("batch")},))
    prompt, points = example_prompt(sam), Dim("num_points")
    free = ({1: points}, {1: points}, None, None, None)
    decoder = SamOnnxModel(without_encoder(sam), return_single_mask).eval()
    if name == "both":
        both = EncoderAndDecoder(sam.image_encoder, decoder).eval()
        return Part(both, (images, *prompt), ("images", *PROMPT), OUTPUTS, (None, free))  # pyright: ignore[reportArgumentType]
    embeddings = torch.zeros(1, sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size)
    return Part(decoder, (embeddings, *prompt), ("image_embeddings", *PROMPT), OUTPUTS, (None, *free))


class EncoderOfSize(nn.Module):
    """In place of an image encoder of which only the size is needed."""

    def __init__(self, img_size: int) -> None:
        super().__init__()
        self.img_size = img_size


def without_encoder(sam: Sam) -> Sam:
    """The same network, sharing its weights, for a decoder's file: without the weights of the encoder."""
    smaller = copy.copy(sam)
    smaller._modules = {**sam._modules, "image_encoder": EncoderOfSize(sam.image_encoder.img_size)}
    return smaller


def example_prompt(sam: Sam) -> tuple[Tensor, ...]:
    """Five points, an empty mask, and an image size with different sides."""
    size = sam.image_encoder.img_size
    points = torch.rand(1, 5, 2, generator=torch.Generator().manual_seed(0)) * size
    mask = torch.zeros(1, 1, *sam.prompt_encoder.mask_input_size)
    return points, torch.ones(1, 5), mask, torch.zeros(1), torch.tensor([size + 17.0, size + 40.0])
