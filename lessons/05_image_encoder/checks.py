"""What the answers of lesson 5 are held to: minisam's own block and image encoder, with the same weights."""

from functools import lru_cache, partial

import numpy as np
import torch
from torch import nn

from minisam.build import build_sam
from minisam.config import CONFIGS
from minisam.lesson.exercise import Exercise
from minisam.model.image_encoder import Block, ImageEncoderViT, resize_absolute_positions
from minisam_kernels.cases import Case

NORM = partial(nn.LayerNorm, eps=1e-6)
BLOCKS = {  # B, H, W, heads, D, window, size of the numbers in x
    "one window": (1, 3, 3, 1, 4, 3, 1.0),
    "whole windows, two images": (2, 4, 6, 2, 4, 2, 1.0),
    "padded windows": (1, 5, 4, 2, 3, 3, 1.0),
    "one window larger than the grid": (1, 2, 3, 1, 6, 4, 1.0),
    "tokens that hardly differ": (1, 4, 4, 2, 4, 2, 1e-3),
}
ENCODERS = {  # B, grid, patch, heads, D, depth, window, global_every, out_chans
    "one global block": (1, 3, 2, 1, 4, 1, 2, 1, 5),
    "a windowed block, then a global one": (1, 4, 2, 2, 4, 2, 2, 2, 6),
    "padded windows, two images": (2, 5, 2, 2, 3, 3, 2, 3, 4),
    "five blocks, global ones among them": (1, 4, 3, 2, 4, 5, 3, 2, 7),
}
POSITIONS = {  # H, W, C, height, width
    "the size it was made for": (4, 4, 3, 4, 4),
    "one channel": (3, 4, 1, 6, 5),
    "half the size": (8, 8, 3, 4, 4),
    "twice the size": (4, 4, 5, 8, 8),
    "no longer square": (6, 6, 2, 4, 9),
    "SAM's, for an image of half the side": (64, 64, 2, 32, 32),
}


def weights_of(module: nn.Module, seed: int) -> dict[str, np.ndarray]:
    """Random weights of the shapes and names of a module's, each output of about the size of its input."""
    normal = np.random.default_rng(seed).standard_normal
    found = {}
    for name, parameter in module.state_dict().items():
        fan_in = parameter[0].numel() if name.endswith("weight") and parameter.dim() > 1 else 4
        shift = 1.0 if name.endswith("weight") and parameter.dim() == 1 else 0.0
        found[f"weights.{name}"] = shift + fan_in**-0.5 * normal(tuple(parameter.shape))
    return found


def loaded(module: nn.Module, weights: dict[str, np.ndarray]) -> nn.Module:
    """The module with these weights, in their type."""
    tensors = {name: torch.as_tensor(array) for name, array in weights.items()}
    module.to(next(iter(tensors.values())).dtype).load_state_dict(tensors)
    return module.eval()


def make_block(C: int, num_heads: int, window_size: int, mlp_ratio: float) -> Block:
    return Block(C, num_heads, mlp_ratio, norm_layer=NORM, use_rel_pos=True, window_size=window_size)


def block_cases() -> list[Case]:
    found = []
    for seed, (name, (B, H, W, N, D, S, size)) in enumerate(BLOCKS.items()):
        x = size * np.random.default_rng(seed).standard_normal((B, H, W, N * D))
        inputs = {"x": x, **weights_of(make_block(N * D, N, S, 2.0), seed)}
        found.append(Case("block", name, inputs, {"num_heads": N, "window_size": S}))
    return found


def block(x: np.ndarray, weights: dict[str, np.ndarray], num_heads: int, window_size: int) -> np.ndarray:
    """minisam's block."""
    hidden, C = weights["mlp.lin1.weight"].shape
    module = loaded(make_block(C, num_heads, window_size, hidden / C), weights)
    with torch.no_grad():
        return module(torch.as_tensor(x)).numpy()


def make_encoder(
    side: int, patch: int, C: int, depth: int, num_heads: int, window: int, every: int, out: int, ratio: float
) -> ImageEncoderViT:
    return ImageEncoderViT(
        img_size=side,
        patch_size=patch,
        embed_dim=C,
        depth=depth,
        num_heads=num_heads,
        mlp_ratio=ratio,
        out_chans=out,
        norm_layer=NORM,
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=tuple(range(every - 1, depth, every)),
    )


@lru_cache
def encoder_cases() -> list[Case]:
    """Small encoders with random weights, then nano with the weights that ship."""
    found = []
    for seed, (name, (B, grid, P, N, D, depth, S, every, out)) in enumerate(ENCODERS.items()):
        image = np.random.default_rng(seed).standard_normal((B, 3, grid * P, grid * P))
        module = make_encoder(grid * P, P, N * D, depth, N, S, every, out, 2.0)
        constants = {"depth": depth, "num_heads": N, "window_size": S, "global_every": every}
        inputs = {"image": image, **weights_of(module, seed)}
        found.append(Case("image_encoder", name, inputs, constants))
    trained, config = build_sam("nano").image_encoder.state_dict(), CONFIGS["nano"]
    inputs = {"image": np.random.default_rng(0).standard_normal((1, 3, config.image_size, config.image_size))}
    inputs |= {f"weights.{name}": tensor.double().numpy() for name, tensor in trained.items()}
    constants = {
        "depth": config.encoder_depth,
        "num_heads": config.encoder_heads,
        "window_size": config.window_size,
        "global_every": config.global_attn_indexes[0] + 1,
    }
    return [*found, Case("image_encoder", "nano, trained", inputs, constants)]


def image_encoder(
    image: np.ndarray,
    weights: dict[str, np.ndarray],
    depth: int,
    num_heads: int,
    window_size: int,
    global_every: int,
) -> np.ndarray:
    """minisam's image encoder."""
    (C, _, P, _), out = weights["patch_embed.proj.weight"].shape, len(weights["neck.0.weight"])
    ratio = len(weights["blocks.0.mlp.lin1.bias"]) / C
    module = make_encoder(image.shape[-1], P, C, depth, num_heads, window_size, global_every, out, ratio)
    with torch.no_grad():
        return loaded(module, weights)(torch.as_tensor(image)).numpy()


def position_cases() -> list[Case]:
    found = []
    for seed, (name, (H, W, C, height, width)) in enumerate(POSITIONS.items()):
        pos_embed = np.random.default_rng(seed).standard_normal((1, H, W, C))
        constants = {"height": height, "width": width}
        found.append(Case("resize_positions", name, {"pos_embed": pos_embed}, constants))
    return found


def resize_positions(pos_embed: np.ndarray, height: int, width: int) -> np.ndarray:
    """minisam's."""
    return resize_absolute_positions(torch.as_tensor(pos_embed), (height, width)).numpy()


EXERCISES = [
    Exercise(
        name="block",
        task="one block of the encoder in NumPy: norm, attention, norm, perceptron, and the stream around them",
        cases=block_cases,
        reference=block,
        hints=(
            "Two steps: x = x + attention(norm1(x)), then x = x + mlp(norm2(x)), which starts from the new x.",
            "A Linear layer with weight [out, in] is x @ weight.T + bias.",
            "The projection runs on the real tokens; window_attention takes qkv and the bias, and pads by itself.",
        ),
    ),
    Exercise(
        name="image_encoder",
        task="the whole image encoder in torch, equal to minisam's with minisam's weights",
        cases=encoder_cases,
        reference=image_encoder,
        framework="torch",
        differentiable=("image",),
        hints=(
            "In this order: patches (F.conv2d with stride P), channels last, positions, blocks, channels first, neck.",
            "Block number `index` is global if (index + 1) % global_every == 0: its window is x.shape[1] wide.",
            "The neck: F.conv2d with neck.0, norm_2d with neck.1, F.conv2d with neck.2 (padding=1), norm_2d, neck.3.",
        ),
    ),
    Exercise(
        name="resize_positions",
        task="find the bug: absolute positions for an image of another size",
        cases=position_cases,
        reference=resize_positions,
        framework="torch",
        find_the_bug=True,
        hints=(
            "It gives back what it was given where the size does not change. What happens on the way, and back?",
            "F.interpolate wants the channels on axis 1. A reshape does not move them there.",
        ),
    ),
]
