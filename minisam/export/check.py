"""An exported part, run by onnxruntime or by torch.export, compared with the network on every kind of prompt.

largest difference of an output / largest value of that output
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.export.parts import Part
from minisam.model import Sam

TOLERANCE = 1e-4
NEAR = 1e-3
"""Logits so close to the threshold may lie on either side of it."""

Run = Callable[[tuple[Tensor, ...]], list[NDArray[Any]]]


def run_by_onnxruntime(content: bytes, part: Part) -> Run:
    """Raises ImportError without onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda inputs: [
        np.asarray(output)
        for output in session.run(None, {n: x.numpy() for n, x in zip(part.inputs, inputs, strict=True)})
    ]


def run_by_torch(content: bytes, part: Part) -> Run:
    """The program of a .pt2 file, called with tensors; its outputs as arrays."""
    module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: tuple[Tensor, ...]) -> list[NDArray[Any]]:
        outputs = module(*inputs)
        return [output.detach().numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run


@torch.no_grad()
def largest_difference(run: Run, part: Part, sam: Sam) -> float:
    """Over all kinds of input.

    Infinite if a shape differs, a value is NaN, or a mask has another pixel away from its edge.
    """
    largest = 0.0
    for inputs in kinds_of_input(part, sam):
        wanted = part.module(*inputs)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for name, ours, theirs in zip(part.outputs, wanted, run(inputs), strict=True):
            ours = ours.numpy()
            if ours.shape != theirs.shape:
                return float("inf")
            if name == "masks" and differ(ours, theirs, sam.mask_threshold):
                return float("inf")
            difference = float(np.abs(ours - theirs).max() / np.abs(ours).max())
            largest = max(largest, difference if difference >= 0 else float("inf"))  # max leaves out NaN
    return largest


def differ(ours: NDArray[Any], theirs: NDArray[Any], threshold: float) -> bool:
    """Whether masks differ where the logits are not close to the threshold."""
    clear = np.abs(ours - threshold) >= NEAR
    return bool(((ours > threshold) != (theirs > threshold))[clear].any())


def kinds_of_input(part: Part, sam: Sam) -> Iterator[tuple[Tensor, ...]]:
    """Images of two batch sizes for an encoder; a prompt of each kind for a decoder."""
    generator = torch.Generator().manual_seed(1)
    first = part.example[0]
    if part.inputs == ("images",):
        for batch in (1, 3):
            yield (torch.randn((batch, *first.shape[1:]), generator=generator),)
        return
    for prompt in kinds_of_prompt(sam, generator):
        yield torch.randn(first.shape, generator=generator), *prompt


def kinds_of_prompt(sam: Sam, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Points, background points, a box, a box and points, with a mask and without, many points; several image sizes."""
    size = sam.image_encoder.img_size
    mask_size = sam.prompt_encoder.mask_input_size
    labels = {
        "a point": [1, -1],
        "two points": [1, 0, -1],
        "a box": [2, 3],
        "a box and a point": [2, 3, 1],
        "many points": [1, 0] * 20 + [-1],
    }
    for number, values in enumerate(labels.values()):
        for has_mask in (0.0, 1.0):
            coords = torch.rand((1, len(values), 2), generator=generator) * size
            if values[:2] == [2, 3]:
                coords[0, :2] = coords[0, :2].sort(dim=0).values
            mask = has_mask * 5 * torch.randn((1, 1, *mask_size), generator=generator)
            sides = torch.tensor([size * 1.3 // 1, size // 2 + number], dtype=torch.float32)
            yield coords, torch.tensor([values]).float(), mask, torch.tensor([has_mask]), sides
