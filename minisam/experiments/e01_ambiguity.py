"""E1: one mask for a click, or three to choose from?  (SAM figure 3, figure 9 and table 4)

    one output     mask token 0 is used for every prompt
    three outputs  mask tokens 1 to 3 are used for a first prompt, and the best of them is trained

Both keep nano's trained encoder, two-way transformer and upscaling; tokens, mask heads and IoU head are drawn again.
They are trained with first prompts only, half points and half boxes, for equally many steps.

    oracle    IoU of the best mask with the target           top-1     IoU of the one ranked first
    validIoU  IoU of the one ranked first with the whole, part or subpart under the click that it fits best
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minisam.config import CONFIGS
from minisam.evaluate.clicks import full_size_masks
from minisam.evaluate.targets import evaluation_scenes
from minisam.evaluate.world import measure_world
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.arms import difference, mean_of_arm
from minisam.experiments.shared.decoder_training import NETWORK, DecoderRecipe, trained_decoder
from minisam.experiments.shared.prompted_targets import as_json
from minisam.masks.distance import interior_points
from minisam.model import MaskDecoder, Sam
from minisam.model.prompt_encoder import FOREGROUND
from minisam.predict.prompted import Prompted
from minisam.show.draw import show_image, show_mask, show_points
from minisam.train.interactive import Rounds

RECIPE = DecoderRecipe(steps=900, rounds=Rounds(0, 0), prompts_per_image=8)
EXAMPLES = 3
METRICS = ("oracle", "top-1", "validIoU")


class OneOutput(MaskDecoder):
    """A decoder with one mask for every prompt."""

    def forward(self, *prompts: Any, multimask_output: bool, **which: Any) -> tuple[Tensor, Tensor]:
        return super().forward(*prompts, multimask_output=False, **which)


ARMS = {"one output": OneOutput, "three outputs": MaskDecoder}


def renew_heads_(sam: Sam, kind: type[MaskDecoder]) -> None:
    """Another decoder around the trained transformer and upscaling."""
    old = sam.mask_decoder
    width = CONFIGS[NETWORK].iou_head_hidden_dim
    sam.mask_decoder = kind(
        transformer_dim=old.transformer_dim, transformer=old.transformer, iou_head_hidden_dim=width
    )
    sam.mask_decoder.output_upscaling = old.output_upscaling


def run(sam: Sam, settings: Settings) -> Outcome:
    """`sam` is not used: the arms are trained."""
    recipe, image = RECIPE.shortened(settings), torch.empty(0)
    networks, found = {}, {arm: {metric: [] for metric in METRICS} for arm in ARMS}
    for seed in settings.seeds:
        for arm, kind in ARMS.items():
            name = f"E1-{arm.split()[0]}"
            network = trained_decoder(settings, name, partial(renew_heads_, kind=kind), recipe, seed)
            measured = measure_world(network, "train", settings.images, seeds=settings.seeds, clicks=1)
            image = measured.image_index
            found[arm]["oracle"].append(measured.centre_iou.amax(dim=1))
            found[arm]["top-1"].append(measured.centre_shown[:, 0])
            found[arm]["validIoU"].append(measured.valid_iou)
            networks.setdefault(arm, network)
    one, three = (found[arm] for arm in ARMS)
    means = {
        arm: {metric: mean_of_arm(runs, image) for metric, runs in of.items()} for arm, of in found.items()
    }
    gains = {metric: difference(three[metric], one[metric], image) for metric in METRICS}

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    bars, pictures = (figure.add_subfigure(place) for place in figure.add_gridspec(1, 2, width_ratios=(2, 3)))
    draw_bars(bars.subplots(), means)
    rows = example_clicks(settings)
    grid = pictures.subplots(len(rows), 5, squeeze=False)
    for axes, (picture, click) in zip(grid, rows, strict=True):
        draw_answers(axes, networks, picture, click)
    for axes, title in zip(grid[0], ("click", "one output", "three: 1", "2", "3"), strict=True):
        axes.set_title(title, fontsize=10)

    finding = (
        f"The best of three masks has {means['three outputs']['oracle'].value:.2f} IoU with the target, the only one "
        f"{means['one output']['oracle'].value:.2f} (oracle, {gains['oracle'].signed()}). The mask of three that is "
        f"ranked first gains {gains['top-1'].signed()} for the target (top-1), and {gains['validIoU'].signed()} for "
        "the object under the click that it fits best (validIoU)."
    )
    values = {
        **{arm: {metric: as_json(e) for metric, e in of.items()} for arm, of in means.items()},
        "three minus one": {metric: as_json(e) for metric, e in gains.items()},
    }
    passed = gains["oracle"].value > 0.15 and gains["validIoU"].value > 0.03
    return Outcome(passed, finding, values, figure)


def draw_bars(axes: Axes, means: dict[str, dict[str, Any]]) -> None:
    """One group of bars per metric, with intervals."""
    for offset, (arm, of) in zip((-0.2, 0.2), means.items(), strict=True):
        places = [place + offset for place in range(len(METRICS))]
        heights = [e.value for e in of.values()]
        below, above = [e.value - e.low for e in of.values()], [e.high - e.value for e in of.values()]
        axes.bar(places, heights, 0.38, yerr=(below, above), capsize=3, label=arm)
        for place, height in zip(places, heights, strict=True):
            axes.text(place, 0.02, f"{height:.2f}", color="white", ha="center")
    axes.set(xticks=range(len(METRICS)), xticklabels=METRICS, ylabel="mean IoU, one click in the centre")
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper right", ncols=2)


def example_clicks(settings: Settings) -> list[tuple[Tensor, Tensor]]:
    """Images [3, S, S], each with the click [2] whose whole, part and subpart differ by the most pixels."""
    found = []
    for scenes in evaluation_scenes("train", settings.images, CONFIGS[NETWORK].image_size, settings.seeds[0]):
        for image, labels in enumerate(scenes.labels):
            subparts = (scenes.level[image] == 2).nonzero()
            clicks = interior_points(labels[2] == subparts[:, :, None])[0]
            under = labels[:, clicks[:, 1], clicks[:, 0]].long()
            whole, part, subpart = scenes.area[image][under]
            least = torch.stack([whole - part, part - subpart, subpart]).amin(dim=0)
            found.append((int(least.max()), scenes.images[image], clicks[least.argmax()]))
    found.sort(key=lambda one: one[0], reverse=True)
    return [(picture, click) for _, picture, click in found[:EXAMPLES]]


@torch.inference_mode()
def draw_answers(row: list[Axes], networks: dict[str, Sam], picture: Tensor, click: Tensor) -> None:
    """The click, the mask of the one output, and the three masks with their predicted IoU."""
    image = picture.permute(1, 2, 0).numpy()
    show_image(row[0], image)
    show_points(row[0], click[None].numpy(), np.array([1]), size=120)
    places = iter(row[1:])
    for network in networks.values():
        embeddings = network.image_encoder(network.preprocess(picture[None]))
        points = click[None, None].float(), torch.tensor([[FOREGROUND]])
        logits, predicted = Prompted(network, embeddings, torch.zeros(1, dtype=torch.long)).predict(points)
        for mask, iou in zip(full_size_masks(logits, len(image))[0], predicted[0].tolist(), strict=True):
            axes = next(places)
            show_image(axes, image)
            show_mask(axes, mask.numpy())
            axes.text(2, len(image) - 3, f"{iou:.2f}", color="white", fontsize=9, backgroundcolor="#0008")


EXPERIMENT = Experiment(
    id="E1",
    title="One mask or three",
    echoes="SAM figure 3, figure 9 and table 4",
    question="A click can mean several objects: what do three outputs gain over one?",
    criterion="the best of three masks is more than 0.15 IoU better than the only one (oracle), and the one ranked "
    "first more than 0.03 better for the object under the click that it fits best (validIoU)",
    run=run,
    trains=f"nano's prompt encoder and mask decoder with new heads, {RECIPE.steps} steps for each arm and seed",
)
