"""mIoU by size: how good the masks are of targets that cover a small, a middle or a large share of the image.

A mean over masks hides that a network may be good at small objects and poor at large ones, or the other way round.
COCO's small, medium and large are numbers of pixels; here a size is a share, because images of all sizes are scaled to
the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from minisam.evaluate.bootstrap import Estimate, estimate, image_weights
from minisam.evaluate.measure import Measurements
from minisam.evaluate.statistics import top_ranked, weighted_mean

LIMITS = (0.02, 0.08, 0.2)


@dataclass(frozen=True)
class SizeResult:
    """The targets with `above` <= share of the image < `below`."""

    above: float
    below: float
    masks: int
    metrics: dict[str, Estimate]

    @property
    def name(self) -> str:
        low, high = 100 * self.above, 100 * self.below
        if self.above == 0:
            return f"under {high:g} %"
        return f"{low:g} % or more" if self.below > 1 else f"{low:g} to {high:g} %"


def by_size(measured: Measurements, limits: tuple[float, ...] = LIMITS) -> list[SizeResult]:
    """The mean metrics of each size that occurs, smallest first; a target at a limit belongs to the larger size."""
    found = []
    for above, below in zip((0.0, *limits), (*limits, 2.0), strict=True):
        chosen = (measured.share >= above) & (measured.share < below)
        if chosen.any():
            found.append(SizeResult(above, below, int(chosen.sum()), mean_metrics(measured, chosen)))
    return found


def mean_metrics(measured: Measurements, chosen: Tensor) -> dict[str, Estimate]:
    """The metrics that are a mean over masks, of the `chosen` [P] bool."""
    values = {
        "oracle": measured.centre_iou.amax(dim=1),
        "top1": measured.centre_shown[:, 0],
        "box_top1": top_ranked(measured.box_iou, measured.box_predicted),
        "box_single": measured.box_single,
    }
    for count in (3, 5):
        if count <= measured.centre_shown.shape[1]:
            values[f"centre_{count}"] = measured.centre_shown[:, count - 1]
    weights = image_weights(measured.image_index[chosen])

    def mean(of: Tensor) -> Estimate:
        return estimate(lambda weights: weighted_mean(of.double(), weights), weights)

    return {name: mean(of[chosen]) for name, of in values.items()}
