"""The parts of E8's figure: what each kind of prompt reaches, how CLIP's embeddings fit, and some examples."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor

from minisam.evaluate.bootstrap import Estimate
from minisam.masks.iou import mask_iou
from minisam.text.targets import Targets

Example = tuple[Tensor, Tensor, str, float]
"""An image, the mask that a caption found, the caption and the mask's IoU."""


def first_of_each_image(targets: Targets, masks: Tensor) -> list[Example]:
    """One target of every image, with the mask [S, S] of `masks` that its caption found."""
    chosen = [int((targets.image_index == image).nonzero()[0]) for image in targets.image_index.unique()]
    scores = mask_iou(masks, targets.masks).tolist()
    return [
        (targets.images[targets.image_index[place]], masks[place], targets.captions[place], scores[place])
        for place in chosen
    ]


def show_example(axes: Axes, picture: Tensor, mask: Tensor, caption: str, score: float) -> None:
    axes.imshow(picture.permute(1, 2, 0).numpy())
    if mask.any() and not mask.all():
        axes.contour(mask.float().numpy(), [0.5], colors=["red"], linewidths=2)
    axes.set_title(caption.replace(" of the ", "\nof the ") + f"\nIoU {score:.2f}", fontsize=9)


def show_bars(axes: Axes, main: dict[str, Estimate], variations: dict[str, Estimate]) -> None:
    """A bar for each kind of prompt, under its label; variations are grey."""
    means = main | variations
    places = list(range(len(means)))
    values = [mean.value for mean in means.values()]
    errors = [
        [mean.value - mean.low for mean in means.values()],
        [mean.high - mean.value for mean in means.values()],
    ]
    colours = ["tab:blue"] * len(main) + ["tab:gray"] * len(variations)
    axes.barh(places, values, xerr=errors, color=colours, capsize=3)
    for place, mean in zip(places, means.values(), strict=True):
        axes.text(mean.high + 0.012, place, f"{mean.value:.2f}", va="center", fontsize=9)
    axes.set(yticks=places, xlabel="mIoU of the mask shown", title="prompts (grey: variations)")
    axes.set_yticklabels(list(means))
    axes.set_xlim(0, min(1.0, max(mean.high for mean in means.values()) + 0.1))
    axes.invert_yaxis()


def show_cosines(axes: Axes, cosines: Tensor, same: Tensor) -> None:
    """Crops and captions that belong together, and those that do not."""
    bins = torch.linspace(-0.5, 1, 46).tolist()
    axes.hist(cosines[~same].numpy(), bins, density=True, alpha=0.6, color="tab:gray", label="any two")
    axes.hist(cosines.diagonal().numpy(), bins, density=True, alpha=0.6, label="crop and its caption")
    axes.set(xlabel="cosine of CLIP's embeddings", yticks=[], title="how well crops and captions match")
    axes.legend()
