"""A mask with one bit per pixel, packed down its columns; run lengths are computed from it.

    bit r of word[x, q] = pixel[32 q + r, x] > threshold        0 from row H on; word[x] has H // 32 + 1 words

COCO's run lengths follow the columns of an image, and so does the order of the bits. A run starts or ends where a bit
differs from the one before it. The last word has room for at least one row below the image; thus a run that reaches
the last row also ends inside its column:

    change[x, q] = word[x, q] xor (word[x, q] << 1 | last bit of word[x, q - 1])

The pixels are those of mask_statistics.py, which defines the pixels in doubt.

Symbols   P masks   h, w low resolution   H, W image   T weights of a pixel along one axis   Q words of a column
Source    Lin et al. 2014 (COCO) for the order of the pixels; the packing is our own.
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.mask_statistics import upscaled

WORD = 32


def mask_bits(
    low_res: np.ndarray,
    row_first: np.ndarray,
    row_weights: np.ndarray,
    column_first: np.ndarray,
    column_weights: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """low_res [P, h, w], firsts [H] and [W], weights [H, T] and [W, T] -> [P, W, Q] int32."""
    pixels, _ = upscaled(low_res, row_first, row_weights, column_first, column_weights)
    columns = (pixels > threshold).transpose(0, 2, 1)
    rows = columns.shape[2]
    padded = np.pad(columns, ((0, 0), (0, 0), (0, WORD - rows % WORD)))
    octets = np.packbits(padded, axis=2, bitorder="little")
    return np.ascontiguousarray(octets).view("<i4").astype(np.int32)
