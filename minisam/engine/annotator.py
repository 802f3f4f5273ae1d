"""The simulated annotator: the most prominent thing first, clicks, the brush for the rest, and not too long.

    for every thing, by falling size
        click until satisfied, or 8 clicks      -> the model's mask
        brush away what is wrong if IoU <= 0.9  -> the thing itself, to the pixel
        over 30 s with the brush                -> what the clicks gave, if that satisfies;
                                                   else leave it; the third one left ends the picture

The paper's annotators worked in order of prominence and went on to the next picture once a mask took over 30
seconds (section 4): the better the model, the more masks a picture gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from minisam.engine.clicking import click_until_satisfied
from minisam.engine.costs import Costs
from minisam.engine.work import BRUSH, MODEL, CollectedMask, Work
from minisam.predict.prompted import Prompted

THINGS_AT_ONCE = 32


@dataclass(frozen=True)
class Rules:
    """When an annotator is content, and when it is enough."""

    satisfied: float = 0.9
    """At a higher IoU no more clicks are needed."""
    precise: float = 0.9
    """A mask of a higher IoU needs no brush."""
    most_clicks: int = 8
    most_seconds: float = 30.0
    """Of clicking and brushing one thing; where the brush would take longer, it is not used."""
    patience: int = 3
    """So many things left end the picture."""


@dataclass(frozen=True)
class Annotator:
    """Knows what is there, sees what the model shows, and keeps an eye on the clock."""

    rules: Rules = field(default_factory=Rules)
    costs: Costs = field(default_factory=Costs)

    def annotate(self, prompted: Prompted, things: Tensor) -> Work:
        """Work on things [n, S, S] (bool, none empty), the most prominent first; `prompted` is ready for them."""
        work = Work()
        for start in range(0, len(things), THINGS_AT_ONCE):
            some = slice(start, start + THINGS_AT_ONCE)
            ready = replace(prompted, image_index=prompted.image_index[some])
            for mask in self.try_things(ready, things[some]):
                work += mask
                if work.left == self.rules.patience:
                    return work
        return work

    def try_things(self, prompted: Prompted, things: Tensor) -> list[Work]:
        """One thing after the other, each with its mask or none."""
        rules = self.rules
        clicked = click_until_satisfied(prompted, things, rules.satisfied, rules.most_clicks)
        per_thing = zip(
            clicked.masks,
            things,
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
        thing: Tensor,
        clicks: int,
        iou: float,
        predicted_iou: float,
        point: tuple[int, int],
    ) -> Work:
        """Brush the model's mask right, take it as it is, or leave the thing."""
        seconds, source = self.costs.clicking(clicks), MODEL
        if iou <= self.rules.precise:
            with_brush = seconds + self.costs.brushing(mask, thing)
            if with_brush <= self.rules.most_seconds:
                seconds, source, mask, iou, predicted_iou = with_brush, BRUSH, thing, 1.0, 1.0
            elif iou <= self.rules.satisfied:
                return Work(clicks=clicks, seconds=seconds, left=1)
        x, y = point
        collected = CollectedMask(mask, source, clicks, seconds, iou, predicted_iou, point=(x, y))
        return Work([collected], clicks, seconds)
