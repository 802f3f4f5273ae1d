"""E12: one network at other resolutions, with its positions interpolated or not.  (ViTDet; SAM section A)"""

from __future__ import annotations

import copy

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.evaluate.clicks import full_size_masks
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images, prompted_targets
from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou
from minisam.model import Sam
from minisam.model.prompt_encoder import FOREGROUND

SHARES = (0.5, 0.75, 1.0, 1.25, 1.5)
SMALLEST = 1 / 64  # of the image: the same targets at every resolution
WAYS = {"interpolated": False, "repeated": True}


@torch.inference_mode()
def run(sam: Sam, settings: Settings) -> Outcome:
    """The best of three masks for a click in the centre; scenes are drawn at the resolution itself."""
    own = sam.image_encoder.img_size
    patch = sam.image_encoder.patch_size
    sizes = [round(own * share / (2 * patch)) * 2 * patch for share in SHARES]
    curves = {way: {} for way in WAYS}
    found: dict[str, dict[int, Tensor]] = {way: {} for way in WAYS}
    image_of: dict[int, Tensor] = {}
    for size in sizes:
        for way, repeat in WAYS.items():
            resized = copy.deepcopy(sam)
            if repeat:
                repeat_positions_(resized, size // patch)
            resized.set_image_size(size)
            ious, images = [], []
            for prompted, masks, _, image in prompted_targets(resized, settings, min_area=SMALLEST):
                clicks = interior_points(masks)[0][:, None].float()
                labels = torch.full((len(masks), 1), FOREGROUND, device=masks.device)
                logits, _ = prompted.predict(points=(clicks, labels))
                best = mask_iou(full_size_masks(logits, size), masks[:, None]).amax(dim=1)
                ious.append(best)
                images.append(image)
            found[way][size], image_of[size] = torch.cat(ious), torch.cat(images)
            curves[way][size] = mean_over_images(found[way][size], image_of[size])

    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for way, curve in curves.items():
        line = axes.plot(sizes, [e.value for e in curve.values()], "o-", label=f"positions {way}")[0]
        low, high = [e.low for e in curve.values()], [e.high for e in curve.values()]
        axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.2)
    axes.axvline(own, color="grey", linestyle=":")
    axes.set(xlabel="pixels per side (dotted: in training)", ylabel="mIoU, best of three", xticks=sizes)
    axes.grid(alpha=0.3)
    axes.legend()

    smooth, crude = curves["interpolated"], curves["repeated"]
    ends = [size for size in sizes if size != own]
    lost = {
        way: sum(curve[own].value - curve[size].value for size in ends) / len(ends)
        for way, curve in curves.items()
    }
    gains = torch.cat([found["interpolated"][size] - found["repeated"][size] for size in ends])
    gain = mean_over_images(gains, torch.cat([image_of[size] for size in ends]))
    finding = (
        f"Away from its own {own} pixels the network loses {lost['interpolated']:.2f} mIoU on average with "
        f"interpolated positions and {lost['repeated']:.2f} with repeated ones: "
        f"interpolating is worth {gain.signed()}."
    )
    passed = all(smooth[size].value > crude[size].value for size in ends)
    values = {
        **{way: {str(size): as_json(e) for size, e in curve.items()} for way, curve in curves.items()},
        "interpolated - repeated": as_json(gain),
    }
    return Outcome(passed, finding, values, figure)


def repeat_positions_(sam: Sam, side: int) -> None:
    """Positions for a grid of another size by tiling or cutting, instead of interpolating."""
    encoder = sam.image_encoder
    assert encoder.pos_embed is not None
    own = encoder.pos_embed.shape[1]
    places = torch.arange(side) % own
    encoder.pos_embed.data = encoder.pos_embed[:, places][:, :, places]
    for name, table in encoder.named_parameters():
        if "rel_pos" in name and len(table) == 2 * own - 1:
            table.data = clipped(table, side)


def clipped(table: Tensor, side: int) -> Tensor:
    """A table of offsets for `side` rows: those it has, and beyond its ends the last of them."""
    middle = len(table) // 2
    offsets = torch.arange(1 - side, side).clamp(-middle, middle)
    return table[offsets + middle]


EXPERIMENT = Experiment(
    id="E12",
    title="Other resolutions",
    echoes="the 1024-pixel fine-tuning of a 224-pixel MAE (SAM section A)",
    question="Does a network work at a resolution at which it was not trained?",
    criterion="interpolated positions beat repeated ones at every other resolution",
    run=run,
)
