"""The annotator with a model that is always right, one that never is, and one that learns with the second click."""

from dataclasses import replace

import pytest
import torch
from toy_sam import ToySam, nested_scenes

from minisam.engine.annotator import Annotator, Rules
from minisam.engine.clicking import click_until_satisfied
from minisam.engine.costs import Costs, outline_length
from minisam.engine.scenes import objects_of
from minisam.engine.work import BRUSH, MODEL
from minisam.predict.prompted import Prompted

SCENES = nested_scenes(1)
WHOLE, PART, SUBPART = 0, 1, 2


def ready(answer, objects):
    """`answer(levels, first)` -> masks [C, S, S]; the first is promised to be the best."""

    def as_network(levels, click, first):
        masks = answer(levels, first)
        return masks, torch.linspace(0.9, 0.1, len(masks))

    sam = ToySam(as_network).eval()
    return Prompted(sam, SCENES.labels + 1, torch.zeros(len(objects), dtype=torch.int64))


def wholes():
    return objects_of(SCENES, 0)[:1]


def perfect(levels, first):
    return levels[[WHOLE, PART, SUBPART]] if first else levels[[WHOLE]]


def useless(levels, first):
    return torch.zeros_like(levels if first else levels[:1])


def perfect_from_the_second_click(levels, first):
    return useless(levels, first) if first else levels[[WHOLE]]


def test_objects_are_ordered_by_size():
    assert [int(mask.sum()) for mask in objects_of(SCENES, 0)] == [400, 144, 36]


def test_a_perfect_model_takes_one_click():
    objects = wholes()
    work = Annotator().annotate(ready(perfect, objects), objects)
    (mask,) = work.masks
    assert (mask.clicks, mask.source, mask.true_iou, work.clicks, work.left) == (1, MODEL, 1.0, 1, 0)
    assert mask.mask.equal(objects[0]) and mask.predicted_iou == pytest.approx(0.9)
    assert mask.seconds == work.seconds == pytest.approx(1.5 + 0.9 + 1.0)
    x, y = (int(v) for v in mask.point)
    assert objects[0, y, x]


def test_with_a_useless_model_eight_clicks_and_the_brush():
    objects = wholes()
    patient = Annotator(Rules(most_seconds=1000))
    work = patient.annotate(ready(useless, objects), objects)
    (mask,) = work.masks
    assert (mask.clicks, mask.source, mask.true_iou, mask.predicted_iou) == (8, BRUSH, 1.0, 1.0)
    assert mask.mask.equal(objects[0])
    outline = 4 * 20 - 4
    assert mask.seconds == pytest.approx(1.5 + 8 * 1.9 + 1 + 10 * outline / 32)


def test_what_would_take_over_thirty_seconds_is_left_but_paid_for():
    objects = wholes()
    work = Annotator().annotate(ready(useless, objects), objects)
    assert (len(work.masks), work.clicks, work.left) == (0, 8, 1)
    assert work.seconds == pytest.approx(1.5 + 8 * 1.9)
    just_enough = 1.5 + 8 * 1.9 + 1 + 10 * 76 / 32
    for limit, kept in ((just_enough + 0.01, 1), (just_enough - 0.01, 0)):
        assert (
            len(Annotator(Rules(most_seconds=limit)).annotate(ready(useless, objects), objects).masks) == kept
        )


def nearly(levels, first):
    """The whole but for four of its 400 pixels and, at the first click, 100 of them."""
    mask = levels[[WHOLE]].clone()
    rows, columns = mask[0].nonzero().unbind(1)
    wrong = slice(0, 100 if first else 4)
    mask[0, rows[wrong], columns[wrong]] = False
    return mask.expand(3, -1, -1) if first else mask


@pytest.mark.parametrize(
    ("rules", "clicks", "source", "iou"),
    [
        (Rules(satisfied=0.7), 1, BRUSH, 1.0),
        (Rules(satisfied=0.7, precise=0.7), 1, MODEL, 0.75),
        (Rules(satisfied=0.7, most_seconds=5), 1, MODEL, 0.75),
        (Rules(satisfied=0.9), 2, MODEL, 0.99),
        (Rules(satisfied=0.9, precise=0.995), 2, BRUSH, 1.0),
    ],
)
def test_what_satisfies_and_is_not_precise_is_brushed_if_there_is_time(rules, clicks, source, iou):
    objects = wholes()
    (mask,) = Annotator(rules).annotate(ready(nearly, objects), objects).masks
    assert (mask.clicks, mask.source, mask.true_iou) == (clicks, source, pytest.approx(iou))
    assert mask.mask.equal(objects[0]) is (source == BRUSH)


def test_the_annotator_sees_the_mask_that_the_model_is_surest_of():
    objects = wholes()

    def as_network(levels, click, first):
        return levels[[PART, SUBPART, WHOLE]], torch.tensor([0.1, 0.2, 0.7])

    sam = ToySam(as_network).eval()
    prompted = Prompted(sam, SCENES.labels + 1, torch.zeros(1, dtype=torch.int64))
    clicked = click_until_satisfied(prompted, objects, 0.9, 3)
    assert (clicked.clicks.tolist(), clicked.iou.tolist()) == ([1], [1.0])
    assert clicked.predicted_iou.item() == pytest.approx(0.7)


def test_what_just_reaches_a_limit():
    """A mask of the satisfying or the precise IoU is not good enough; time that just suffices is enough."""
    objects = wholes()

    def work(**rules):
        return Annotator(Rules(most_clicks=1, **rules)).annotate(ready(nearly, objects), objects)

    assert work(satisfied=0.75, most_seconds=0).left == 1
    assert work(satisfied=0.74, most_seconds=0).left == 0
    assert work(satisfied=0.7, precise=0.75).masks[0].source == BRUSH
    whole_seconds = Costs(find=1, click=1, look=1, pick_up=1, trace=0)
    for seconds, kept in ((18, 1), (17, 0)):
        annotator = Annotator(Rules(most_seconds=seconds), whole_seconds)
        assert len(annotator.annotate(ready(useless, objects), objects).masks) == kept


def test_the_third_thing_that_is_left_ends_the_picture():
    objects = wholes().expand(5, -1, -1)
    work = Annotator().annotate(ready(useless, objects), objects)
    assert (work.left, work.clicks) == (3, 24)


def test_clicking_stops_with_the_first_mask_that_will_do():
    objects = wholes().expand(3, -1, -1)
    clicked = click_until_satisfied(ready(perfect_from_the_second_click, objects), objects, 0.9, 8)
    assert clicked.clicks.tolist() == [2, 2, 2] and clicked.iou.tolist() == [1, 1, 1]
    assert clicked.masks.equal(objects)
    exactly = click_until_satisfied(ready(perfect, objects), objects, 1.0, 3)
    assert exactly.clicks.tolist() == [3, 3, 3]


def test_objects_that_are_clicked_on_together_do_not_disturb_each_other():
    """One perfect answer among useless ones: the others continue to eight."""
    objects = objects_of(SCENES, 0)
    prompted = ready(
        lambda levels, first: levels[[WHOLE, PART, SUBPART]] if first else levels[[WHOLE]], objects
    )
    clicked = click_until_satisfied(prompted, objects, 0.9, 8)
    assert clicked.clicks.tolist() == [1, 8, 8]
    assert clicked.iou.tolist() == pytest.approx([1, 144 / 400, 36 / 400])
    alone = click_until_satisfied(ready(perfect, objects[1:2]), objects[1:2], 0.9, 8)
    assert alone.masks.equal(clicked.masks[1:2])
    asked = [call.points[0].shape[:2] for call in prompted.sam.prompt_encoder.calls]
    assert asked == [(3, 1), *((2, n) for n in range(2, 9))]


def test_patience_ends_the_picture_in_order_of_prominence():
    objects = objects_of(SCENES, 0)[[1, 0, 2, 0]]
    rules = Rules(most_seconds=18, patience=2)
    work = Annotator(rules).annotate(ready(perfect, objects), objects)
    assert (len(work.masks), work.left, work.clicks) == (1, 2, 17)
    assert len(Annotator(replace(rules, patience=3)).annotate(ready(perfect, objects), objects).masks) == 2


def test_no_objects_are_no_work():
    nothing = wholes()[:0]
    work = Annotator().annotate(ready(perfect, nothing), nothing)
    assert (len(work.masks), work.clicks, work.seconds, work.left) == (0, 0, 0, 0)


def test_the_brush_follows_outlines():
    costs = Costs(pick_up=2, trace=5)
    one = torch.zeros(10, 10, dtype=torch.bool)
    one[2:7, 3:8] = True
    assert outline_length(one) == 16
    assert outline_length(torch.ones(4, 4, dtype=torch.bool)) == 12
    assert outline_length(one & False) == 0
    assert costs.brushing(one, one) == 0
    assert costs.brushing(one & False, one) == costs.brushing(~one & False, one) == 2 + 5 * 1.6
    assert costs.brushing(one, one & False) == 2 + 5 * 1.6
    line = one.clone()
    line[6] = False
    assert costs.brushing(line, one) == 2 + 5 * 0.5
    assert Costs(find=1, click=2, look=4).clicking(3) == 1 + 3 * 6
