"""A larger network that starts as a smaller one: deeper, on larger images, and with the same output.

    new block            a copy of the one before it, with its two output projections set to 0: x + 0 = x
    positions            interpolated, as for images of another size

The grown network initially computes the same as the small one at the larger size (Net2Net, Chen et al. 2016, with
residual blocks that start as the identity).
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.config import SamConfig, build_from_config
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.model.image_encoder import resize_absolute_positions
from minisam.model.rel_pos_attention import resize_table

BLOCK = "image_encoder.blocks."
OUTPUTS = ("attn.proj.weight", "attn.proj.bias", "mlp.lin2.weight", "mlp.lin2.bias")


@torch.no_grad()
def grow(small: Sam, config: SamConfig) -> Sam:
    """The network of geometry `config` with the output of `small` at config's image size, in evaluation mode.

    Raises CheckpointError if one cannot become the other: other widths, fewer blocks, or another order of windowed
    and global ones.
    """
    grown = build_from_config(config)
    weights = small.state_dict()
    taken = blocks_taken([is_global(block) for block in small.image_encoder.blocks], config)
    for index, (source, is_new) in enumerate(taken):
        names = [name for name in weights if name.startswith(f"{BLOCK}{source}.")]
        for name in names:
            own = name.removeprefix(f"{BLOCK}{source}.")
            zero = is_new and own in OUTPUTS
            weights[f"grown.{index}.{own}"] = torch.zeros_like(weights[name]) if zero else weights[name]
    weights = {
        name.replace("grown.", BLOCK): tensor
        for name, tensor in weights.items()
        if not name.startswith(BLOCK)
    }
    expected = grown.state_dict()
    if weights.keys() != expected.keys():
        raise CheckpointError("a network cannot grow into one with other parts")
    grown.load_state_dict({name: resized(name, tensor, expected[name]) for name, tensor in weights.items()})
    return grown.eval()


def is_global(block: torch.nn.Module) -> bool:
    return not getattr(block, "window_size", 0)


def blocks_taken(kinds: list[bool], config: SamConfig) -> list[tuple[int, bool]]:
    """For each block of `config`: the small network's block that it copies, and whether it is new.

    `kinds`: whether each of the small network's blocks is global.
    """
    taken: list[tuple[int, bool]] = []
    following = 0
    for index in range(config.encoder_depth):
        of_kind = index in config.global_attn_indexes
        if following < len(kinds) and kinds[following] == of_kind:
            taken.append((following, False))
            following += 1
        elif following and kinds[following - 1] == of_kind:
            taken.append((following - 1, True))
        else:
            break
    if following < len(kinds) or len(taken) < config.encoder_depth:
        raise CheckpointError("a network cannot grow into one with fewer blocks, or with others in between")
    return taken


def resized(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    """Positions interpolated to the larger grid; other tensors unchanged, if they have the expected shape."""
    if tensor.shape == expected.shape:
        return tensor
    if name == "image_encoder.pos_embed" and tensor.shape[3] == expected.shape[3]:
        return resize_absolute_positions(tensor, (expected.shape[1], expected.shape[2]))
    if name.endswith(("rel_pos_h", "rel_pos_w")) and tensor.shape[1] == expected.shape[1]:
        return resize_table(tensor, expected.shape[0])
    raise CheckpointError(f"a network cannot grow into one with other widths: {name}")
