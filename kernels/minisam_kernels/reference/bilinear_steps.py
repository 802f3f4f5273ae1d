"""Two bilinear steps along one axis: from low-resolution logits to the pixels of an image.

    n values -> the network's square of `padded` pixels, of which the first `kept` are image -> `length` pixels

In a step from n to m values, output i lies at x = (i + 1/2) n / m - 1/2 among the inputs, or at 0 if that is negative,
and is

    (1 - f) input[j] + f input[j + 1]        j = floor(x),  f = x - j;  the last input is repeated

The network's square has more pixels than there are logits. Each output of the two steps is therefore a weighted sum
of at most four neighbouring inputs. It is described by the index of the first of them and a fixed number of weights,
some of which may be zero.

Symbols   n, m inputs and outputs of a step   T weights of an output, T <= n
Source    PyTorch, F.interpolate(mode="bilinear", align_corners=False); segment-anything, Sam.postprocess_masks.
"""

from __future__ import annotations

import numpy as np


def step_matrix(inputs: int, outputs: int) -> np.ndarray:
    """One step as a matrix [outputs, inputs]."""
    place = np.maximum((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0)
    left = np.minimum(np.floor(place).astype(int), inputs - 1)
    matrix = np.zeros((outputs, inputs))
    np.add.at(matrix, (np.arange(outputs), left), 1 - (place - left))
    np.add.at(matrix, (np.arange(outputs), np.minimum(left + 1, inputs - 1)), place - left)
    return matrix


def bilinear_steps(inputs: int, padded: int, kept: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The first input of each output [length], int32, and its weights [length, T], for both steps together."""
    matrix = step_matrix(kept, length) @ step_matrix(inputs, padded)[:kept]
    lowest, highest = (matrix != 0).argmax(axis=1), inputs - (matrix[:, ::-1] != 0).argmax(axis=1)
    taps = int((highest - lowest).max())
    first = np.minimum(lowest, inputs - taps)
    weights = np.take_along_axis(matrix, first[:, None] + np.arange(taps), axis=1)
    return first.astype(np.int32), weights
