"""The sizes on which a kernel has to be correct: one list per operation, for tests, lab and lessons.

Kernels tend to fail if a size is 1, odd, prime, or just larger than a block; if a grid is not square; or if a head dim
is not a power of two. Every list has these cases, with few programs in total, because the interpreter takes 2 to 3 ms
for each program. cases.py gives them values.
"""

from __future__ import annotations

from minisam_kernels.mask_cases import MASK_SIZES

SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    "softmax": {  # rows, columns
        "one number": (1, 1),
        "one column": (5, 1),
        "prime": (7, 13),
        "wider than a block": (3, 1031),
        "taller than a block": (67, 33),
    },
    "attention": {  # B, N, L, S, D
        "one token": (1, 1, 1, 1, 16),
        "prime, head dim 24": (1, 2, 37, 37, 24),
        "two batches, head dim 40": (2, 1, 17, 29, 40),
        "longer than a block, head dim 64": (1, 1, 131, 131, 64),
        "rectangular, head dim 80": (1, 2, 33, 70, 80),
        "one key more than a block, head dim 128": (1, 1, 19, 65, 128),
    },
    "cross_attention": {  # B, N, L, S, D
        "one query, one key": (1, 1, 1, 1, 16),
        "few queries, many keys": (1, 2, 7, 301, 16),
        "many queries, few keys": (1, 1, 261, 7, 32),
        "one query, prime keys, head dim 24": (2, 1, 1, 61, 24),
        "head dim 40": (1, 1, 17, 131, 40),
        "head dim 80": (1, 1, 9, 520, 80),
        "head dim 128": (1, 1, 5, 97, 128),
    },
    "rel_pos_attention": {  # B, N, H, W, D
        "one token": (1, 1, 1, 1, 16),
        "prime sides, head dim 24": (1, 2, 7, 5, 24),
        "one column": (1, 1, 19, 1, 16),
        "rows longer than a block, head dim 40": (2, 1, 2, 67, 40),
        "more rows than a block, head dim 64": (1, 1, 13, 11, 64),
        "head dim 80": (1, 2, 5, 9, 80),
        "head dim 128": (1, 1, 4, 8, 128),
    },
    "window_attention": {  # B, H, W, N, D, S
        "one token": (1, 1, 1, 1, 16, 1),
        "whole windows, head dim 24": (2, 4, 6, 1, 24, 2),
        "padded, head dim 40": (1, 5, 7, 2, 40, 3),
        "padding all around, head dim 16": (1, 2, 3, 2, 16, 7),
        "SAM's window, head dim 64": (1, 14, 17, 1, 64, 14),
        "head dim 80": (1, 8, 5, 1, 80, 5),
        "head dim 128": (1, 3, 4, 1, 128, 3),
    },
    "token_to_image": {  # B, R, S, E
        "one row, one token": (1, 1, 1, 16),
        "prime, 24 channels": (2, 7, 37, 24),
        "many parts, 40 channels": (2, 21, 1031, 40),
        "more rows than a block, 96 channels": (1, 67, 31, 96),
        "80 channels": (1, 9, 130, 80),
        "128 channels": (1, 5, 33, 128),
        "256 channels": (1, 17, 19, 256),
    },
    "image_to_token": {  # images, B, N, T, S, E
        "one head, one token": (1, 1, 1, 1, 1, 16),
        "prime, 24 channels": (2, 2, 3, 5, 37, 24),
        "one image for many prompts, 40 channels": (1, 3, 2, 7, 67, 40),
        "80 channels": (1, 1, 2, 3, 21, 80),
        "more tokens than a block, 96 channels": (1, 1, 3, 2, 131, 96),
        "128 channels": (1, 1, 2, 9, 19, 128),
        "SAM's heads and tokens, 256 channels": (1, 1, 8, 7, 33, 256),
    },
    "mask_statistics": MASK_SIZES,
    "mask_bits": MASK_SIZES,
}

ADVERSARIAL_SIZE = {
    "softmax": "prime",
    "attention": "prime, head dim 24",
    "cross_attention": "few queries, many keys",
    "rel_pos_attention": "prime sides, head dim 24",
    "window_attention": "padded, head dim 40",
    "token_to_image": "prime, 24 channels",
    "image_to_token": "prime, 24 channels",
}
CANCELLING_SIZE = {
    "attention": "longer than a block, head dim 64",
    "cross_attention": "few queries, many keys",
    "rel_pos_attention": "prime sides, head dim 24",
}
