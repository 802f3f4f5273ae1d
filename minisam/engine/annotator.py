"""The simulated annotator: objects in order of prominence, clicks first, then the brush, with a time limit.

    for every object, by falling size
        click until satisfied, or 8 clicks      -> the model's mask
        correct it with the brush if IoU <= 0.9 -> the object itself, to the pixel
        over 30 s with the brush                -> the mask from the clicks, if that is good enough;
                                                   else skip it; the third skipped object ends the image

The paper's annotators worked in order of prominence and moved to the next image when a mask took over 30 seconds
(section 4): a better model gives more masks per image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from minisam.engine.clicking import click_until_satisfied
from minisam.engine.costs import Costs
from minisam.engine.work import BRUSH, MODEL, CollectedMask, Work
from minisam.predict.prompted import Prompted

OBJECTS_AT_ONCE = 32


@dataclass(frozen=True)
class Rules:
    """When an annotator accepts a mask, and when to stop."""

    satisfied: float = 0.9
    """At a higher IoU no more clicks are needed."""
    precise: float = 0.9
    """A mask with a higher IoU needs no brush."""
    most_clicks: int = 8
    most_seconds: float = 30.0
    """Limit for clicking and brushing one object; if the brush would take longer, it is not used."""
    patience: int = 3
    """The number of skipped objects that ends the image."""


@dataclass(frozen=True)
class Annotator:
    """Knows the true objects, sees the model's masks, and measures the time."""

    rules: Rules = field(default_factory=Rules)
    costs: Costs = field(default_factory=Costs)

    def annotate(self, prompted: Prompted, objects: Tensor) -> Work:
        """Annotate objects [n, S, S] (bool, none empty), the most prominent first; `prompted` is prepared for them."""
        work = Work()
        for start in range(0, len(objects), OBJECTS_AT_ONCE):
            some = slice(start, start + OBJECTS_AT_ONCE)
            ready = replace(prompted, image_index=prompted.image_index[some])
            for mask in self.try_objects(ready, objects[some]):
                work += mask
                if work.left == self.rules.patience:
                    return work
        return work

    def try_objects(self, prompted: Prompted, objects: Tensor) -> list[Work]:
        """The objects one by one, each with its mask or None."""
        rules = self.rules
        clicked = click_until_satisfied(prompted, objects, rules.satisfied, rules.most_clicks)
        per_thing = zip(
            clicked.masks,
            objects,
            clicked.clicks.tolist(),
            clicked.iou.tolist(),
            clicked.predicted_iou.tolist(),
            clicked.first_click.tolist(),
            strict=True,
        )
        return [self.finish(*one) for one in per_thing]

    def finish(
        self,
        mask: Tensor,
        target: Tensor,
        clicks: int,
        iou: float,
        predicted_iou: float,
        point: tuple[int, int],
    ) -> Work:
        """Correct the model's mask with the brush, accept it unchanged, or skip the object."""
        seconds, source = self.costs.clicking(clicks), MODEL
        if iou <= self.rules.precise:
            with_brush = seconds + self.costs.brushing(mask, target)
            if with_brush <= self.rules.most_seconds:
                seconds, source, mask, iou, predicted_iou = with_brush, BRUSH, target, 1.0, 1.0
            elif iou <= self.rules.satisfied:
                return Work(clicks=clicks, seconds=seconds, left=1)
        x, y = point
        collected = CollectedMask(mask, source, clicks, seconds, iou, predicted_iou, point=(x, y))
        return Work([collected], clicks, seconds)
