"""What the answers of lesson 21 are held to: the steps of minisam's masked autoencoder, and its move into SAM."""

from __future__ import annotations

import numpy as np
import torch

from minisam.lesson.exercise import Exercise
from minisam.pretrain.reconstruction_loss import normalise_patches, patchify
from minisam.pretrain.transfer import as_grid
from minisam_kernels.cases import Case

IMAGES = {  # images, H, W, patch side, contrast
    "four patches": (1, 4, 4, 2, 1.0),
    "a wide image": (2, 6, 9, 3, 2.0),
    "a tall image": (2, 8, 4, 4, 1.0),
    "one patch": (1, 8, 8, 8, 1.0),
    "a faint image": (1, 6, 6, 2, 0.001),
}
TOKENS = {  # images, patches, channels, visible patches
    "a quarter of four": (1, 4, 3, 1),
    "a quarter of eight, two images": (2, 8, 2, 2),
    "all visible": (2, 5, 3, 5),
    "an odd number, three images": (3, 7, 4, 3),
    "as for nano": (2, 64, 4, 16),
}
GRIDS = {  # side, height, width, channels
    "the same size": (3, 3, 3, 5),
    "twice as large": (4, 8, 8, 3),
    "smaller": (6, 3, 3, 4),
    "not square": (4, 5, 7, 2),
    "the paper's 14 to 64": (14, 64, 64, 2),
}


def image_cases() -> list[Case]:
    found = []
    for seed, (name, (B, H, W, P, contrast)) in enumerate(IMAGES.items()):
        images = contrast * np.random.default_rng(seed).standard_normal((B, 3, H, W))
        found.append(Case("patch_targets", name, {"images": images}, {"patch_size": P}))
    flat = np.random.default_rng(9).standard_normal((1, 3, 4, 4))
    flat[:, :, :2, :2] = 0.5
    return [*found, Case("patch_targets", "a flat patch", {"images": flat}, {"patch_size": 2})]


def patch_targets(images: np.ndarray, patch_size: int) -> np.ndarray:
    """minisam.pretrain.reconstruction_loss."""
    return normalise_patches(patchify(torch.tensor(images), patch_size)).numpy()


def visible_cases() -> list[Case]:
    found = []
    for seed, (name, (B, L, C, kept)) in enumerate(TOKENS.items()):
        rng = np.random.default_rng(seed)
        inputs = {"tokens": rng.standard_normal((B, L, C)), "noise": distinct(rng, B, L)}
        found.append(Case("visible_patches", name, inputs, {"kept": kept}))
    return found


def distinct(rng: np.random.Generator, images: int, patches: int) -> np.ndarray:
    """Noise in 0 … 1 without two equal numbers in an image, in float32 as well."""
    ranks = np.stack([rng.permutation(patches) for _ in range(images)])
    return ((ranks + rng.uniform(0.2, 0.8, ranks.shape)) / patches) ** 2


def visible_patches(tokens: np.ndarray, noise: np.ndarray, kept: int) -> np.ndarray:
    """The first tokens of minisam.pretrain.random_masking's shuffle."""
    by_noise = [np.array(sorted(range(len(row)), key=row.__getitem__)) for row in noise]
    return np.stack([t[order[:kept]] for t, order in zip(tokens, by_noise, strict=True)])


def decoder_cases() -> list[Case]:
    found = []
    for seed, (name, (B, L, C, kept)) in enumerate(TOKENS.items()):
        rng = np.random.default_rng(seed)
        inputs = {
            "encoded": rng.standard_normal((B, 1 + kept, C)),
            "noise": distinct(rng, B, L),
            "mask_token": rng.standard_normal(C),
            "positions": rng.standard_normal((L, C)),
        }
        found.append(Case("decoder_input", name, inputs))
    return found


def decoder_input(
    encoded: np.ndarray, noise: np.ndarray, mask_token: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """What minisam.pretrain.masked_autoencoder's decoder reads: each visible patch is put where it came from."""
    kept = encoded.shape[1] - 1
    patches = np.broadcast_to(mask_token, (*noise.shape, len(mask_token))).copy()
    for image, order in enumerate(noise.argsort(axis=1)):
        patches[image, order[:kept]] = encoded[image, 1:]
    return np.concatenate([encoded[:, :1], patches + positions], axis=1)


def position_cases() -> list[Case]:
    found = []
    for seed, (name, (side, height, width, C)) in enumerate(GRIDS.items()):
        inputs = {"pos_embed": np.random.default_rng(seed).standard_normal((1, 1 + side**2, C))}
        found.append(Case("sam_positions", name, inputs, {"height": height, "width": width}))
    return found


def sam_positions(pos_embed: np.ndarray, height: int, width: int) -> np.ndarray:
    """minisam.pretrain.transfer."""
    return as_grid(torch.tensor(pos_embed), (height, width)).numpy()


def step_cases() -> list[Case]:
    found = []
    for seed, (name, (B, L, C, kept)) in enumerate(TOKENS.items()):
        if kept == L:
            continue
        rng = np.random.default_rng(seed)
        inputs = {
            "tokens": rng.standard_normal((B, L, C)),
            "positions": rng.standard_normal((L, C)),
            "mask_token": rng.standard_normal(C),
            "target": rng.standard_normal((B, L, C)),
            "noise": distinct(rng, B, L),
        }
        found.append(Case("step_loss", name, inputs, {"kept": kept}))
    return found


def step_loss(
    tokens: np.ndarray,
    positions: np.ndarray,
    mask_token: np.ndarray,
    target: np.ndarray,
    noise: np.ndarray,
    kept: int,
) -> np.ndarray:
    """The same without a shuffle: one image at a time, patches put where they came from."""
    losses = []
    for t, wanted, order in zip(tokens + positions, target, noise.argsort(axis=1), strict=True):
        seen, hidden = order[:kept], order[kept:]
        patches = np.broadcast_to(mask_token, t.shape).copy()
        patches[seen] = t[seen] + t[seen].mean(axis=0)
        patches = patches + positions
        predicted = patches + patches.mean(axis=0)
        losses.append(((predicted - wanted)[hidden] ** 2).mean())
    return np.array(losses, tokens.dtype)


EXERCISES = [
    Exercise(
        name="patch_targets",
        task="what the decoder has to draw: patches in their own scale, in NumPy",
        cases=image_cases,
        reference=patch_targets,
        hints=(
            "reshape(B, 3, H // P, P, W // P, P) cuts both sides; name the six axes and put them in order.",
            "Last come row in the patch, column in the patch, channel; they are flattened together.",
            "np.var divides by n; with ddof=1 it divides by n - 1, the unbiased estimate.",
        ),
    ),
    Exercise(
        name="visible_patches",
        task="a random quarter of the patches, by sorted noise, in NumPy",
        cases=visible_cases,
        reference=visible_patches,
        hints=(
            "noise.argsort(axis=1) lists, for each image, the patches by rising noise.",
            "The first `kept` of that list are visible. Leave them in the order of the list.",
            "np.take_along_axis(tokens, index, axis=1) needs an index with as many axes as tokens.",
        ),
    ),
    Exercise(
        name="decoder_input",
        task="all patches back in their places, mask tokens for the hidden ones, in torch",
        cases=decoder_cases,
        reference=decoder_input,
        framework="torch",
        hints=(
            "Behind the visible patches come L - kept copies of the mask token: that is the shuffled order.",
            "Sorting the shuffle itself undoes it: restore = noise.argsort(dim=1).argsort(dim=1).",
            "shuffled.gather(1, index) wants an index [B, L, C]; positions are added once all is in its place.",
        ),
    ),
    Exercise(
        name="sam_positions",
        task="positions for another grid, without the class token's, in torch",
        cases=position_cases,
        reference=sam_positions,
        framework="torch",
        hints=(
            "The first row belongs to the class token. The others are a square grid in reading order.",
            "F.interpolate resizes [1, C, H, W], mode='bicubic'; put the channels last again.",
        ),
    ),
    Exercise(
        name="step_loss",
        task="find the bugs: three of them in the loss of a step",
        cases=step_cases,
        reference=step_loss,
        framework="torch",
        differentiable=("tokens", "mask_token"),
        find_the_bug=True,
        hints=(
            "Which position does the first visible patch get? Where in the image did it come from?",
            "Which index puts shuffled patches back: the shuffle, or its inverse?",
            "Can a network that copies what it sees make this loss smaller? It should not be able to.",
        ),
    ),
]
