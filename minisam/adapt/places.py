"""Selecting the trained parts of a network, and replacing a module by another."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from minisam.errors import CommandError
from minisam.model import Sam

RECIPES = ("iou", "token", "decoder", "late", "full")


def freeze_all(sam: Sam) -> None:
    sam.requires_grad_(False)


def freeze(sam: Sam, recipe: str, late: int = 2) -> list[str]:
    """Freeze everything but a recipe's parts; returns the names of their parameters.

    iou        the head that predicts the masks' IoU: all masks stay as they are, another one may be ranked first
    token      the output tokens: the learned vectors of the masks and the predicted IoU
    decoder    the mask decoder
    late       the last `late` blocks and the neck of the image encoder, and the mask decoder
    full       everything

    Raises CommandError for another recipe, or more late blocks than there are.
    """
    depth = len(sam.image_encoder.blocks)
    if recipe not in RECIPES:
        raise CommandError(f"no recipe {recipe!r}; use {', '.join(RECIPES)}")
    if not 0 <= late <= depth:
        raise CommandError(f"the image encoder has {depth} blocks, not {late} to train")
    freeze_all(sam)
    trained: Sequence[nn.Module] = {
        "iou": [sam.mask_decoder.iou_prediction_head],
        "token": [sam.mask_decoder.mask_tokens, sam.mask_decoder.iou_token],
        "decoder": [sam.mask_decoder],
        "late": [*sam.image_encoder.blocks[depth - late :], sam.image_encoder.neck, sam.mask_decoder],
        "full": [sam],
    }[recipe]
    for part in trained:
        part.requires_grad_(True)
    return trained_names(sam)


def trained_names(sam: nn.Module) -> list[str]:
    return [name for name, parameter in sam.named_parameters() if parameter.requires_grad]


def set_training(module: nn.Module, training: bool = True) -> None:
    """`module.train(training)`, but frozen parts stay in evaluation mode: no dropout, no running statistics.

    A part is frozen if it has parameters and none of them is trained.
    """
    parameters = list(module.parameters())
    frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
    module.training = training and not frozen
    for child in module.children():
        set_training(child, module.training)


def replace_module(root: nn.Module, path: str, module: nn.Module) -> None:
    """Replace the module at `path` by `module`."""
    parent, _, name = path.rpartition(".")
    module.train(root.get_submodule(path).training)
    setattr(root.get_submodule(parent), name, module)
