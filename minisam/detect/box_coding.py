"""Box coding: how a box differs from another, as four numbers that do not depend on its size.

    δ = ((x − xₐ) / wₐ,  (y − yₐ) / hₐ,  log(w / wₐ),  log(h / hₐ)) / std        x, y: centres; ₐ: the anchor

Decoding inverts it; the two logarithms are limited to ±log(1000 / 16), which keeps boxes finite while the network is
untrained (Girshick et al. 2014, appendix C).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST_LOG = math.log(1000 / 16)
RPN_STD = (1.0, 1.0, 1.0, 1.0)
ROI_STD = (0.1, 0.1, 0.2, 0.2)


def encode_boxes(boxes: Tensor, anchors: Tensor, std: tuple[float, ...] = RPN_STD) -> Tensor:
    """Boxes and anchors [n, 4] (x0, y0, x1, y1), all with an area -> δ [n, 4]."""
    (centre, size), (anchor_centre, anchor_size) = centre_and_size(boxes), centre_and_size(anchors)
    delta = torch.cat([(centre - anchor_centre) / anchor_size, (size / anchor_size).log()], dim=-1)
    return delta / delta.new_tensor(std)


def decode_deltas(deltas: Tensor, anchors: Tensor, std: tuple[float, ...] = RPN_STD) -> Tensor:
    """δ [..., 4] and anchors that broadcast -> boxes [..., 4]."""
    shift, log_size = (deltas * deltas.new_tensor(std)).split(2, dim=-1)
    anchor_centre, anchor_size = centre_and_size(anchors)
    centre = anchor_centre + shift * anchor_size
    half = log_size.clamp(-LARGEST_LOG, LARGEST_LOG).exp() * anchor_size / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """[..., 4] -> centres (x, y) and sizes (width, height), each [..., 2]."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
