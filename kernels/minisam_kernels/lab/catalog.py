"""All operations, their launches, and the call that Segment Anything makes for each.

    softmax              a head's 4096 x 4096 scores, or rows as wide as a launch takes
    attention            4096 tokens over 4096
    cross_attention      64 prompts of 7 tokens per image over 4096 positions; the other way round for "many"
    rel_pos_attention    the encoder's global layers: a 64 x 64 grid, q, k, v in the projection's layout
    window_attention     its other layers: 14 x 14 windows of that grid
    token_to_image       the mask decoder: 64 prompts per image, 7 tokens x 8 heads over 4096 positions, 256 channels
    image_to_token       the same prompts' images, updated
    mask_statistics      the automatic mask generator: the three masks of 64 clicks, on a photo of 2048 x 1365 pixels
    mask_bits            the same masks, written out

The tensors are shapes on the "meta" device, without values.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from minisam_kernels.launch import Launch, chosen, launch_for
from minisam_kernels.mask_cases import COUNTING, mask_thresholds

OPERATIONS = (
    "softmax",
    "attention",
    "cross_attention",
    "rel_pos_attention",
    "window_attention",
    "token_to_image",
    "image_to_token",
    "mask_statistics",
    "mask_bits",
)
HEADS = {64: 12, 80: 16}  # ViT-B's and ViT-H's
GRID, WINDOW, PROMPTS, TOKENS = 64, 14, 64, 7
DECODER_HEADS, CHANNELS = 8, 256  # the mask decoder's, the same for every encoder
MASKS, LOW, PHOTO, TAPS = 3 * PROMPTS, 256, (1365, 2048), 3


def module_of(operation: str) -> ModuleType:
    """The kernel's file."""
    if operation not in OPERATIONS:
        raise ValueError(f"no kernel {operation!r}; there are {', '.join(OPERATIONS)}")
    return importlib.import_module(f"minisam_kernels.{operation}")


def function_of(operation: str) -> Callable[..., Tensor]:
    return getattr(module_of(operation), operation)


def launches_by_name(operation: str) -> Mapping[str, Launch]:
    """The possible values of `launch`."""
    return module_of(operation).LAUNCHES


def default_launch(operation: str, dtype: torch.dtype, capability: int) -> str | None:
    """The operation's choice on a GPU of that generation (9: Hopper); None if it also depends on the shapes."""
    by_generation = launch_for(dtype, capability)
    return by_generation if by_generation in launches_by_name(operation) else None


def call_in_sam(
    operation: str,
    dtype: torch.dtype,
    head_dim: int,
    batch: int = 2,
    heads: int | None = None,
    launch: str | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, as shapes, and the numbers of the call.  The mask decoder's is the same for every head_dim."""
    heads, tokens = heads or HEADS.get(head_dim, 8), GRID * GRID

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    if operation == "softmax":
        widest = chosen(launches_by_name(operation), launch).block_k if launch else tokens
        return {"x": empty(batch * heads, tokens, min(widest, tokens))}, {"scale": 1.0}
    if operation == "window_attention":
        channels = heads * head_dim
        tensors = {"qkv": empty(batch, GRID, GRID, 3 * channels), "qkv_bias": empty(3 * channels)}
        tensors |= {name: empty(2 * WINDOW - 1, head_dim) for name in ("rel_pos_h", "rel_pos_w")}
        return tensors, {"num_heads": heads, "window_size": WINDOW}
    if operation == "token_to_image":
        prompts, rows = batch * PROMPTS, DECODER_HEADS * TOKENS
        tensors = {"rows": empty(prompts, rows, CHANNELS), "image": empty(prompts, tokens, CHANNELS)}
        return {**tensors, "image_pe": empty(tokens, CHANNELS)}, {"scale": 16**-0.5}
    if operation == "image_to_token":
        prompts, few = batch * PROMPTS, (DECODER_HEADS, TOKENS)
        tensors = {"image": empty(prompts, tokens, CHANNELS), "image_pe": empty(tokens, CHANNELS)}
        tensors |= {"rows": empty(prompts, *few, CHANNELS), "offsets": empty(prompts, *few)}
        tensors |= {
            "values": empty(prompts, *few, CHANNELS),
            "weight": empty(CHANNELS),
            "bias": empty(CHANNELS),
        }
        return tensors, {"scale": 16**-0.5, "eps": 1e-5}
    if operation in COUNTING:
        tensors = {"low_res": empty(batch * MASKS, LOW, LOW)}
        for axis, length in zip(("row", "column"), PHOTO, strict=True):
            first = torch.empty(length, dtype=torch.int32, device="meta")
            tensors |= {f"{axis}_first": first, f"{axis}_weights": empty(length, TAPS)}
        return tensors, mask_thresholds(operation)
    if operation == "cross_attention":
        queries, keys = (tokens, TOKENS) if launch and launch.startswith("many") else (TOKENS, tokens)
        q = empty(batch * PROMPTS, queries, 8, head_dim).transpose(1, 2)
        k, v = (empty(batch * PROMPTS, keys, 8, head_dim).transpose(1, 2) for _ in range(2))
        return {"q": q, "k": k, "v": v}, {"scale": head_dim**-0.5}
    q, k, v = empty(batch, tokens, 3, heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    tensors = {"q": q, "k": k, "v": v}
    if operation == "rel_pos_attention":
        tensors |= {name: empty(batch, heads, tokens, GRID) for name in ("rel_h", "rel_w")}
    return tensors, {"scale": head_dim**-0.5}
