"""The two bilinear steps from low-resolution logits to pixels as one banded matrix per axis.

    low-resolution logits [h, w] -> the network's square input -> padding cut off -> the image [H, W]
    image = Y · logits · Xᵀ        Y [H, h] and X [W, w] with at most a few neighbouring values per row

Interpolation is separable and linear; both steps together are two matrix products.  Sixteen consecutive outputs need
few inputs: the matrices are stored as blocks of [16, K], and a part of an image costs a few small dense products.
The weights are obtained by applying `F.interpolate` to unit vectors, and are therefore exactly the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

BLOCK = 16


class AxisBands(NamedTuple):
    """One axis with `length` outputs.

    blocks [n, 16, K] float32 and the first input of each, [n]; inputs [length, T] and their weights [length, T]
    (float64), the same by output; starts, stops [inputs]: the range of outputs that depend on an input.
    """

    length: int
    blocks: NDArray[np.float32]
    first: NDArray[np.int64]
    inputs: NDArray[np.int64]
    weights: NDArray[np.float64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    def blocks_reached(self, lowest: int, highest: int) -> slice:
        """The blocks with outputs that depend on the inputs lowest … highest."""
        start = int(self.starts[lowest : highest + 1].min()) // BLOCK
        last = (int(self.stops[lowest : highest + 1].max()) - 1) // BLOCK
        return slice(start, max(start, last + 1))

    def apply(self, values: NDArray[np.float32], blocks: slice) -> NDArray[np.float32]:
        """Inputs [h, w] -> outputs of these blocks [16·n, w], without those beyond the last output."""
        rows = self.first[blocks, None] + np.arange(self.blocks.shape[2])
        out = np.matmul(self.blocks[blocks], values[rows])
        outputs = min(blocks.stop * BLOCK, self.length) - blocks.start * BLOCK
        return out.reshape(len(rows) * BLOCK, values.shape[1])[:outputs]


@lru_cache(maxsize=64)
def axis_bands(low: int, padded: int, kept: int, length: int) -> AxisBands:
    """An axis of `low` logits, scaled to `padded` pixels of which the first `kept` are scaled to `length`."""
    first_step, second_step = step_weights(low, padded)[:kept], step_weights(kept, length)
    matrix = np.zeros((length, low))
    for side in outermost_inputs(second_step):
        share = np.take_along_axis(second_step, side[:, None], axis=1)
        second_step = second_step.copy()
        np.put_along_axis(second_step, side[:, None], 0, axis=1)
        matrix += share * first_step[side]

    lowest, highest = outermost_inputs(matrix)
    taps = int((highest - lowest).max()) + 1
    inputs = np.minimum(lowest, low - taps)[:, None] + np.arange(taps)
    edges = np.arange(0, length, BLOCK)
    first, last = np.minimum.reduceat(lowest, edges), np.maximum.reduceat(highest, edges)
    width = int((last - first).max()) + 1
    first = np.minimum(first, low - width)
    blocks = np.zeros((len(edges), BLOCK, width), np.float32)
    for block, (edge, start) in enumerate(zip(edges, first, strict=True)):
        rows = matrix[edge : edge + BLOCK, start : start + width]
        blocks[block, : len(rows)] = rows

    starts, stops = np.full(low, length - 1), np.full(low, 1)
    outputs = np.arange(length)
    for side in range(taps):
        np.minimum.at(starts, inputs[:, side], outputs)
        np.maximum.at(stops, inputs[:, side], outputs + 1)
    return AxisBands(length, blocks, first, inputs, np.take_along_axis(matrix, inputs, axis=1), starts, stops)


def step_weights(inputs: int, outputs: int) -> NDArray[np.float64]:
    """One bilinear step as a matrix [outputs, inputs]: its results for all unit vectors.

    Three channels at a time, like the masks of a prompt, because F.interpolate has several implementations.
    """
    units = torch.eye(3 * -(-inputs // 3))[:, :inputs].reshape(-1, 3, 1, inputs)
    scaled = F.interpolate(units, (1, outputs), mode="bilinear", align_corners=False)
    return scaled.reshape(-1, outputs)[:inputs].T.double().numpy()


def outermost_inputs(matrix: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and last column that is not zero, of every row."""
    reads = matrix != 0
    return reads.argmax(axis=1), matrix.shape[1] - 1 - reads[:, ::-1].argmax(axis=1)
