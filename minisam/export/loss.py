"""What an exported part costs in mIoU: one click on each object of drawn scenes, the mask that fits best.

loss = mIoU of the network - mIoU with the exported part in its place
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from minisam.data.partworld import render_scenes
from minisam.export.check import Run
from minisam.export.parts import Part, part_of
from minisam.masks.distance import interior_points
from minisam.model import Sam
from minisam.train.targets import eligible_nodes, node_masks

SCENES, TARGETS_PER_SCENE, SEED = 16, 6, 1


def run_by_network(part: Part) -> Run:
    """The part itself, not exported."""

    def run(inputs: tuple[Tensor, ...]) -> list:
        outputs = part.module(*inputs)
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run


@torch.no_grad()
def mean_iou(name: str, run: Run, sam: Sam) -> float:
    """mIoU with `run` in place of the part `name`."""
    encode = run_by_network(part_of(sam, "encoder"))
    decode = run_by_network(part_of(sam, "decoder"))
    ious = []
    for images, coords, target in clicks(sam, SCENES):
        prompt = prompt_of(coords, sam)
        if name == "both":
            masks = run((images, *prompt))[0]
        else:
            embedding = torch.from_numpy((run if name == "encoder" else encode)((images,))[0])
            masks = (run if name == "decoder" else decode)((embedding, *prompt))[0]
        predicted = torch.from_numpy(masks[0]) > sam.mask_threshold
        overlap = (predicted & target).sum(dim=(1, 2)) / (predicted | target).sum(dim=(1, 2))
        ious.append(overlap.max().item())
    return sum(ious) / len(ious)


def clicks(sam: Sam, scenes: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The network's input [1, 3, S, S], a click [2] and the object's mask [S, S], for some objects of each scene."""
    size = sam.image_encoder.img_size
    for scene in range(scenes):
        batch = render_scenes(seed=SEED + scene, batch_size=1, image_size=size, world="heldout")
        images = sam.preprocess(batch.images.float())
        nodes = eligible_nodes(batch)[0].nonzero()[:TARGETS_PER_SCENE, 0]
        if len(nodes):
            masks = node_masks(batch, nodes[None])[0]
            for mask, point in zip(masks, interior_points(masks)[0], strict=True):
                yield images, point.float(), mask


def prompt_of(point: Tensor, sam: Sam) -> tuple[Tensor, ...]:
    """One foreground click [2] as the decoder's inputs."""
    size = sam.image_encoder.img_size
    coords = torch.stack([point, torch.zeros(2)])[None]
    mask = torch.zeros(1, 1, *sam.prompt_encoder.mask_input_size)
    return coords, torch.tensor([[1.0, -1.0]]), mask, torch.zeros(1), torch.tensor([size, size]).float()
