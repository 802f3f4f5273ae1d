"""Low-rank adaptation: a frozen layer plus a product of two thin matrices (LoRA; Hu et al. 2021).

    y = W x + b + s · B (A x)        A [r, in] random, B [out, r] zero: no change at the start

SAM's encoder computes q, k and v with one matrix, whose rows belong to q, k and v in turn.  An update of q and v has
an A and a B for each of the two, added to their rows.  After merging, the layer is W + s · B A, without extra cost.

n adapted parts   r rank   D output channels of a part
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from minisam.adapt.places import freeze_all, replace_module, trained_names
from minisam.errors import CommandError, MinisamError
from minisam.model import Sam

QKV = ("q", "k", "v")
LAYERS = (*QKV, "proj", "mlp")


class LoraLinear(nn.Module):
    """A frozen nn.Linear with a low-rank update of some of the `out_of` equal parts of its output."""

    def __init__(
        self, base: nn.Linear, rank: int, scale: float = 1.0, parts: Sequence[int] = (0,), out_of: int = 1
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"the rank of LoRA is at least 1, got {rank}")
        like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.base, self.rank, self.scale = base.requires_grad_(False), rank, scale
        self.parts, self.out_of = tuple(parts), out_of
        self.lora_a = nn.Parameter(torch.empty(len(self.parts), rank, base.in_features, **like))
        self.lora_b = nn.Parameter(torch.zeros(len(self.parts), base.out_features // out_of, rank, **like))
        for a_ri in self.lora_a:
            nn.init.kaiming_uniform_(a_ri, a=math.sqrt(5))

    @property
    def in_features(self) -> int:
        return self.base.in_features

    @property
    def out_features(self) -> int:
        return self.base.out_features

    @property
    def weight(self) -> Tensor:
        return self.base.weight

    @property
    def bias(self) -> Tensor:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        rows = list(self.base(x).unflatten(-1, (self.out_of, -1)).unbind(-2))
        for part, a_ri, b_dr in zip(self.parts, self.lora_a, self.lora_b, strict=True):
            rows[part] = rows[part] + self.scale * (x @ a_ri.T @ b_dr.T)
        return torch.stack(rows, dim=-2).flatten(-2)

    def update(self) -> Tensor:
        """s · B A in the shape of the weight, [out, in]; 0 in the rows of other parts."""
        rows = [torch.zeros_like(part) for part in self.base.weight.chunk(self.out_of)]
        for part, a_ri, b_dr in zip(self.parts, self.lora_a, self.lora_b, strict=True):
            rows[part] = self.scale * (b_dr @ a_ri)
        return torch.cat(rows).detach()

    def extra_repr(self) -> str:
        return f"rank={self.rank}, scale={self.scale}, parts={self.parts} of {self.out_of}"


def add_lora(
    sam: Sam,
    rank: int = 4,
    scale: float = 1.0,
    on: Sequence[str] = ("q", "v"),
    blocks: Sequence[int] | None = None,
    decoder: bool = False,
) -> list[str]:
    """Freeze `sam` and add updates to its layers, in place; returns the names of the trained parameters.

    `on` selects among q, k, v, proj and mlp in the image encoder's `blocks`, counted from 0 (None: all); `decoder`
    also adapts q and v of all attentions of the mask decoder.  Build the optimiser afterwards.

    Raises CommandError for layers and blocks that do not exist, MinisamError for a layer that is not linear.
    """
    depth = len(sam.image_encoder.blocks)
    blocks = range(depth) if blocks is None else blocks
    if unknown := set(on) - set(LAYERS):
        raise CommandError(f"LoRA is put on {', '.join(LAYERS)}, not on {', '.join(sorted(unknown))}")
    if outside := [index for index in blocks if not 0 <= index < depth]:
        raise CommandError(f"the image encoder has blocks 0 to {depth - 1}, not {outside[0]}")
    freeze_all(sam)
    for index in blocks:
        for path, parts in encoder_layers(index, on):
            adapt_layer(sam, path, rank, scale, parts, 3 if path.endswith("qkv") else 1)
    if decoder:
        for path in decoder_projections(sam):
            adapt_layer(sam, path, rank, scale)
    return trained_names(sam)


def encoder_layers(block: int, on: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """The linear layers of a block that `on` names, with the parts of their output."""
    prefix = f"image_encoder.blocks.{block}"
    if parts := [part for part, name in enumerate(QKV) if name in on]:
        yield f"{prefix}.attn.qkv", parts
    if "proj" in on:
        yield f"{prefix}.attn.proj", [0]
    if "mlp" in on:
        yield f"{prefix}.mlp.lin1", [0]
        yield f"{prefix}.mlp.lin2", [0]


def decoder_projections(sam: Sam) -> list[str]:
    """q and v of every attention of the mask decoder."""
    names = [name for name, _ in sam.mask_decoder.named_modules()]
    return [f"mask_decoder.{name}" for name in names if name.endswith(("q_proj", "v_proj"))]


def adapt_layer(
    sam: Sam, path: str, rank: int, scale: float, parts: Sequence[int] = (0,), out_of: int = 1
) -> None:
    """Put an update beside the linear layer at `path`.  Raises MinisamError for another layer."""
    layer = sam.get_submodule(path)
    if type(layer) is not nn.Linear:
        raise MinisamError(f"{path} is a {type(layer).__name__}, and LoRA is put beside plain linear layers")
    replace_module(sam, path, LoraLinear(layer, rank, scale, parts, out_of))


def merge_lora(sam: Sam) -> dict[str, LoraLinear]:
    """Merge every update into its layer, in place: the network is plain again.  Returns `unmerge_lora`'s argument.

    Raises MinisamError if a merged weight would not be finite; nothing is merged then.
    """
    adapted = {path: m for path, m in sam.named_modules() if isinstance(m, LoraLinear)}
    merged = {path: layer.base.weight + layer.update() for path, layer in adapted.items()}
    for path, weight in merged.items():
        if not weight.isfinite().all():
            raise MinisamError(f"{path} would hold values that are not finite; nothing was merged")
    for path, layer in adapted.items():
        plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        plain.weight, plain.bias = nn.Parameter(merged[path], requires_grad=False), layer.base.bias
        replace_module(sam, path, plain)
    return adapted


def unmerge_lora(sam: Sam, adapted: dict[str, LoraLinear]) -> None:
    """Separate the updates again, in place; the weights are bitwise the same as before merging."""
    for path, layer in adapted.items():
        replace_module(sam, path, layer)
