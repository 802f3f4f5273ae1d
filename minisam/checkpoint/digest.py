"""A name for weights that follows from their values alone."""

from __future__ import annotations

import hashlib

import torch

from minisam.model import Sam


def weights_digest(sam: Sam) -> str:
    """The SHA-256 of all weights with their names, shapes and types, wherever they lie."""
    digest = hashlib.sha256()
    for name, tensor in sam.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
