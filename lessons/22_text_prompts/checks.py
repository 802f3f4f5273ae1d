"""What the answers of lesson 22 are held to: minisam's small CLIP, its crops, and the token that it becomes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from minisam.lesson.exercise import Exercise
from minisam.text.contrastive_loss import pair_logits
from minisam.text.crop_encoder import CropEncoder
from minisam.text.crops import crop_squares as squares_around
from minisam.text.external_prompt import KINDS, ExternalPrompt
from minisam_kernels.cases import Case

BATCHES = {  # pairs, channels, different captions, scale
    "one pair": (1, 3, 1, 5.0),
    "four pairs": (4, 3, 4, 2.0),
    "two captions, twice each": (4, 5, 2, 1 / 0.07),
    "seven pairs, some captions twice": (7, 4, 5, 10.0),
    "all captions alike": (3, 4, 1, 4.0),
    "a low temperature": (6, 3, 6, 100.0),
    "too low a temperature": (5, 3, 4, 400.0),
    "a batch": (24, 32, 20, 1 / 0.07),
}
MASKS = {  # masks, height, width, largest part of a side, expansion at most
    "the tight square": (2, 12, 12, 0.6, 1.0),
    "expanded": (3, 16, 16, 0.5, 2.0),
    "a wide image": (2, 9, 30, 0.9, 2.0),
    "a tall image": (3, 40, 11, 0.9, 1.6),
    "beyond the image": (4, 10, 10, 1.0, 2.0),
}
CROPS = {  # crops, side, patch side, channels, covered share of the pixels
    "four patches": (1, 4, 2, 3, 0.6),
    "nine patches, two crops": (2, 9, 3, 4, 0.5),
    "patches half covered": (3, 8, 2, 5, 0.5),
    "mostly outside": (4, 12, 4, 4, 0.3),
    "everything inside": (2, 8, 4, 8, 1.0),
}
PROMPTS = {  # kinds, CLIP's channels, SAM's channels
    "one crop": ([0], 4, 3),
    "one text": ([1], 4, 3),
    "three texts": ([1, 1, 1], 5, 4),
    "two crops": ([0, 0], 3, 6),
    "crops and texts": ([0, 1, 1, 0, 1], 8, 5),
}


def unit_rows(rng: np.random.Generator, rows: int, channels: int) -> np.ndarray:
    values = rng.standard_normal((rows, channels))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def pair_cases() -> list[Case]:
    found = []
    for seed, (name, (B, E, captions, scale)) in enumerate(BATCHES.items()):
        rng = np.random.default_rng(seed)
        caption = np.concatenate([np.arange(captions), rng.integers(0, captions, B - captions)])
        inputs = {
            "images": unit_rows(rng, B, E),
            "texts": unit_rows(rng, captions, E)[caption],
            "same": (caption[:, None] == caption).astype(float),
        }
        found.append(Case("contrastive_losses", name, inputs, {"scale": scale}))
    return found


def contrastive_losses(images: np.ndarray, texts: np.ndarray, same: np.ndarray, scale: float) -> np.ndarray:
    """minisam.text.contrastive_loss, before its mean over the pairs."""
    log_scale = torch.tensor(scale, dtype=torch.tensor(images).dtype).log()
    logits = pair_logits(torch.tensor(images), torch.tensor(texts), log_scale, torch.tensor(same) > 0.5)
    own = torch.arange(len(logits))
    rows, columns = (F.cross_entropy(x, own, reduction="none") for x in (logits, logits.T))
    return ((rows + columns) / 2).numpy()


def mask_cases() -> list[Case]:
    found = []
    for seed, (name, (P, H, W, part, most)) in enumerate(MASKS.items()):
        rng = np.random.default_rng(seed)
        masks = np.zeros((P, H, W))
        for mask in masks:
            h, w = (int(rng.integers(2, max(3, part * size + 1))) for size in (H, W))
            top, left = rng.integers(0, H - h + 1), rng.integers(0, W - w + 1)
            blob = rng.random((h, w)) < 0.3
            blob[0, w // 3] = blob[h - 1, w // 2] = blob[h // 2, 0] = blob[h // 3, w - 1] = True
            mask[top : top + h, left : left + w] = blob
        found.append(Case("crop_squares", name, {"masks": masks, "expansion": rng.uniform(1, most, P)}))
    pixel = np.zeros((1, 5, 6))
    pixel[0, 3, 1] = 1.0
    return [*found, Case("crop_squares", "a single pixel", {"masks": pixel, "expansion": np.array([1.5])})]


def crop_squares(masks: np.ndarray, expansion: np.ndarray) -> np.ndarray:
    """minisam.text.crops."""
    return squares_around(torch.tensor(masks) > 0.5, torch.tensor(expansion)).numpy()


def crop_cases() -> list[Case]:
    found = []
    for seed, (name, (B, S, P, D, share)) in enumerate(CROPS.items()):
        rng = np.random.default_rng(seed)
        grid = (rng.random((B, S // P, S // P)) < share).repeat(P, 1).repeat(P, 2)
        noisy = np.where(rng.random((B, S, S)) < 0.3, rng.random((B, S, S)) < share, grid)
        noisy[:, :P, P:] = True
        found.append(crop_case(rng, name, noisy if share < 1 else np.ones((B, S, S)), P, D))
    rng = np.random.default_rng(9)
    halves, thin = np.zeros((2, 4, 4)), np.zeros((3, 9, 9))
    halves[0, :, 0] = halves[1, 2:, 1:3] = halves[1, 0, :] = 1.0
    thin[0, 4, 2:8] = thin[1, 1:4, 7] = thin[2, 4, 0:6] = 1.0
    return [
        *found,
        crop_case(rng, "exactly half", halves, 2, 4),
        crop_case(rng, "no patch is half covered", thin, 3, 4),
    ]


def crop_case(rng: np.random.Generator, name: str, masks: np.ndarray, patch_size: int, channels: int) -> Case:
    tokens = (len(masks), 1 + (masks.shape[1] // patch_size) ** 2, channels)
    inputs = {
        "query": 2 * rng.standard_normal((len(masks), channels)),
        "keys": rng.standard_normal(tokens),
        "values": rng.standard_normal(tokens),
        "masks": masks.astype(float),
    }
    return Case("look_inside", name, inputs, {"patch_size": patch_size})


def look_inside(
    query: np.ndarray, keys: np.ndarray, values: np.ndarray, masks: np.ndarray, patch_size: int
) -> np.ndarray:
    """One head of the last block of minisam.text.crop_encoder, for the class token."""
    encoder = CropEncoder(masks.shape[1], patch_size, embed_dim=1, width=1, layers=1, heads=1)
    inside = encoder.patches_inside(torch.tensor(masks) > 0.5)
    allowed = F.pad(inside, (1, 0))[:, None]
    q, k, v = torch.tensor(query)[:, None], torch.tensor(keys), torch.tensor(values)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)[:, 0].numpy()


def prompt_cases() -> list[Case]:
    found = []
    for seed, (name, (kinds, C, E)) in enumerate(PROMPTS.items()):
        rng = np.random.default_rng(seed)
        inputs = {
            "embeddings": 3 * rng.standard_normal((len(kinds), C)),
            "kinds": np.array(kinds, float),
            "centres": 0.5 * rng.standard_normal((2, C)),
            "projection": rng.standard_normal((E, C)),
            "type_embed": rng.standard_normal(E),
        }
        found.append(Case("external_tokens", name, inputs))
    return found


@torch.no_grad()
def external_tokens(
    embeddings: np.ndarray,
    kinds: np.ndarray,
    centres: np.ndarray,
    projection: np.ndarray,
    type_embed: np.ndarray,
) -> np.ndarray:
    """minisam.text.external_prompt, one prompt at a time, of CLIP's outputs at length 1."""
    E, C = projection.shape
    prompt = ExternalPrompt(C, E)
    given = {"projection.weight": projection, "type_embed": type_embed, "centres": centres}
    prompt.load_state_dict({key: torch.tensor(array) for key, array in given.items()}, assign=True)
    unit = F.normalize(torch.tensor(embeddings), dim=1)
    tokens = [prompt(e[None], KINDS[int(kind)]) for e, kind in zip(unit, kinds, strict=True)]
    return torch.cat(tokens).numpy()


EXERCISES = [
    Exercise(
        name="contrastive_losses",
        task="CLIP's loss of each pair, without twins among its wrong answers, in NumPy",
        cases=pair_cases,
        reference=contrastive_losses,
        hints=(
            "The cross-entropy of row i is log(sum(exp(row))) - row[i]; columns are the rows of logits.T.",
            "Where `same` is 1 off the diagonal, put -np.inf: exp makes it 0. np.eye(B, dtype=bool) is the diagonal.",
            "exp(100) is beyond float32. Subtract each row's maximum before exp, and add it again behind the log.",
        ),
    ),
    Exercise(
        name="crop_squares",
        task="the square that CLIP is shown of a mask, in NumPy",
        cases=mask_cases,
        reference=crop_squares,
        hints=(
            "rows, columns = np.nonzero(mask) are the pixels of one mask; y goes with rows, x with columns.",
            "A pixel is a unit square: pixels 3 to 5 reach from 3 to 6.",
            "The square keeps the box's centre; its side is the longer side of the box, times the expansion.",
        ),
    ),
    Exercise(
        name="look_inside",
        task="the class token's last look, at patches inside the mask alone, in torch",
        cases=crop_cases,
        reference=look_inside,
        framework="torch",
        hints=(
            "F.avg_pool2d(masks[:, None], patch_size) is the covered share of each patch, [B, 1, rows, columns].",
            "A patch is inside from a share of 1/2 on; where none has it, those with the largest share are.",
            "Scores are keys · query / √D. Set those outside to -torch.inf, then softmax. Token 0 is the class token.",
        ),
    ),
    Exercise(
        name="external_tokens",
        task="find the bugs: three of them on the way from CLIP's embedding to a token",
        cases=prompt_cases,
        reference=external_tokens,
        framework="torch",
        find_the_bug=True,
        hints=(
            "With one crop everything is right. What does each line do with several, or with a text?",
            "norm() without dim is one number for all of them. Each embedding gets length 1.",
            "Are these P prompts with one token each, or one prompt with P tokens?",
        ),
    ),
]
