"""E11: how exact must a box be, and does feeding back its mask help?  (SAM table 5)"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minisam.evaluate.clicks import full_size_masks
from minisam.experiments.experiment import Experiment, Outcome, Settings
from minisam.experiments.shared.prompted_targets import as_json, mean_over_images, prompted_targets
from minisam.masks.boxes import tight_boxes
from minisam.masks.iou import mask_iou
from minisam.model import Sam

NOISES = (0.0, 0.05, 0.1, 0.2, 0.3)
ONCE, TWICE = "box", "box, then the box with its mask"


@torch.inference_mode()
def run(sam: Sam, settings: Settings) -> Outcome:
    """Every corner moves by normal noise whose standard deviation is a share of the box's sides."""
    found: dict[str, dict[float, list[Tensor]]] = {way: {n: [] for n in NOISES} for way in (ONCE, TWICE)}
    images = []
    for batch, (prompted, masks, _, image) in enumerate(prompted_targets(sam, settings)):
        images.append(image)
        generator = torch.Generator(masks.device).manual_seed(batch)
        noise = torch.randn(len(masks), 4, device=masks.device, generator=generator)
        for share in NOISES:
            boxes = jittered(tight_boxes(masks), share * noise, masks.shape[-1])
            logits, predicted = prompted.predict(boxes=boxes)
            shown = predicted.argmax(dim=1)[:, None, None, None].expand(-1, 1, *logits.shape[2:])
            first = logits.gather(1, shown)
            again, _ = prompted.predict(boxes=boxes, mask_input=first)
            for way, answer in ((ONCE, first), (TWICE, again)):
                full = full_size_masks(answer, masks.shape[-1])[:, 0]
                found[way][share].append(mask_iou(full, masks))
    image = torch.cat(images)
    curves = {
        way: {share: mean_over_images(torch.cat(ious), image) for share, ious in by_noise.items()}
        for way, by_noise in found.items()
    }

    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for way, curve in curves.items():
        line = axes.plot(NOISES, [e.value for e in curve.values()], "o-", label=way)[0]
        low, high = [e.low for e in curve.values()], [e.high for e in curve.values()]
        axes.fill_between(NOISES, low, high, color=line.get_color(), alpha=0.2)
    axes.set(xlabel="noise of the corners, as a share of the sides", ylabel="mIoU of the mask ranked first")
    axes.grid(alpha=0.3)
    axes.legend()

    exact = torch.cat(found[ONCE][0.0])
    lost = {n: mean_over_images(torch.cat(found[ONCE][n]) - exact, image) for n in (0.1, 0.3)}
    gain = mean_over_images(torch.cat(found[TWICE][0.0]) - exact, image)
    finding = (
        f"An exact box gives {curves[ONCE][0.0].value:.2f}; 10 % noise changes that by {lost[0.1].signed()}, 30 % by "
        f"{lost[0.3].signed()}, feeding the mask back by {gain.signed()}."
    )
    values = {
        **{way: {str(n): as_json(e) for n, e in curve.items()} for way, curve in curves.items()},
        "noise - none": {str(n): as_json(e) for n, e in lost.items()},
        "given back - not": as_json(gain),
    }
    return Outcome(lost[0.1].value > -0.03 and lost[0.3].value < 0, finding, values, figure)


def jittered(boxes: Tensor, shift: Tensor, size: int) -> Tensor:
    """Boxes [P, 4] with corners moved by shift [P, 4] times their sides, in order and inside the image."""
    sides = (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)
    moved = (boxes + shift * sides).clamp(0, size - 1)
    first, second = moved[:, :2], moved[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=1)


EXPERIMENT = Experiment(
    id="E11",
    title="Rough boxes",
    echoes="SAM table 5 and section A, the noise of training boxes",
    question="How exact must a box be?",
    criterion="10 % noise, that of training, costs less than 0.03 mIoU, and 30 % costs something",
    run=run,
)
