"""Run-length encoding of masks, plain and as COCO's compressed string.

A mask is read column by column; `counts` are the lengths of its runs, zeros first (a leading 0 if the first pixel is
set). They sum to H * W.  COCO's string stores x_i = counts_i - counts_{i-2} for i > 2 (runs
two apart belong to neighbouring columns and resemble each other), each in two's complement as 5-bit groups,
lowest first, with 32 for "more follows", and 48 added to be printable (cocoapi, maskApi.c, rleToString).

    {"size": [H, W], "counts": [ ... ]}        or        {"size": [H, W], "counts": "52203"}
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minisam.errors import MinisamError
from minisam.limits import MAX_PIXELS

# Seven groups hold 34 bits and a sign, more than any difference of two counts in an image of permitted size.
MAX_GROUPS = 7


class RleError(MinisamError, ValueError):
    """A run-length encoding contradicts itself."""

    exit_code = 3


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Mask [H, W] (bool, or any type: non-zero is set) -> {"size": [H, W], "counts": list of int}."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise RleError(f"a mask must be [H, W] with at least one pixel, not {list(mask.shape)}")
    columns = mask.astype(bool).ravel(order="F")
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    borders = np.concatenate([[0], changes, [columns.size]])
    counts = np.diff(borders).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if columns[0] else counts}


def decode_rle(rle: Mapping[str, Any]) -> np.ndarray:
    """{"size": [H, W], "counts": list or COCO string} -> bool mask [H, W].

    Raises:
        RleError: a key is missing, the counts are malformed, or they do not sum to H * W.
    """
    try:
        height, width = (operator.index(side) for side in rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError):
        raise RleError('an RLE must be {"size": [H, W], "counts": ...}') from None
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise RleError(f"RLE size {height}x{width} must be 1..{MAX_PIXELS:,} pixels")
    runs = string_to_counts(counts) if isinstance(counts, str | bytes) else _as_counts(counts)
    pixels = height * width
    if ((runs < 0) | (runs > pixels)).any():
        raise RleError(f"RLE counts hold a run outside 0..{pixels}, the pixels of size {height}x{width}")
    if (total := int(runs.sum())) != pixels:
        raise RleError(f"RLE counts sum to {total}, but size {height}x{width} has {pixels} pixels")
    values = np.arange(runs.size) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def compress_rle(rle: Mapping[str, Any]) -> dict[str, Any]:
    """The same RLE with its counts as COCO's compressed string."""
    return {"size": list(rle["size"]), "counts": counts_to_string(rle["counts"])}


def counts_to_string(counts: Sequence[int] | np.ndarray) -> str:
    """Counts -> COCO's compressed string."""
    runs = _as_counts(counts)
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    groups = []
    alive = np.ones(rest.size, bool)
    while alive.any():
        low = rest & 31
        rest >>= 5
        more = np.where(low & 16, rest != -1, rest != 0)
        groups.append(np.where(alive, low + 32 * more + 48, 0))
        alive &= more
    text = np.stack(groups, axis=1).ravel() if groups else np.zeros(0, int)
    return text[text > 0].astype(np.uint8).tobytes().decode("ascii")


def string_to_counts(text: str | bytes) -> np.ndarray:
    """COCO's compressed string -> counts, int64 [n].

    Raises:
        RleError: not a string, a character outside 48..111, a number without an end, or one longer than `MAX_GROUPS`.
    """
    if not isinstance(text, str | bytes):
        raise RleError(f"RLE counts must be COCO's string, not {type(text).__name__}")
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any():
        raise RleError("RLE string holds a character that COCO's encoding does not use")
    if codes.size and codes[-1] & 32:
        raise RleError("RLE string ends in the middle of a number; it is truncated")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])[: ends.size]
    lengths = ends - starts + 1
    if (lengths > MAX_GROUPS).any():
        raise RleError(f"RLE string holds a number of more than {MAX_GROUPS} groups; it is damaged")
    if not ends.size:
        return np.zeros(0, np.int64)
    places = np.arange(codes.size) - np.repeat(starts, lengths)
    counts = np.add.reduceat((codes & 31) << (5 * places), starts)
    counts -= np.where(codes[ends] & 16, 1 << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def _as_counts(counts: Any) -> np.ndarray:
    try:
        runs = np.asarray(counts)
    except ValueError:
        raise RleError("RLE counts must be a flat list of whole numbers") from None
    if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
        raise RleError("RLE counts must be a flat list of whole numbers")
    return runs.astype(np.int64)
