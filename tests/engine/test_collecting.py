"""What goes into the data set: given masks are looked through, records say what they cost, tallies add up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_sam import nested_scenes

from minisam.data.partworld import render_scenes
from minisam.data.segmentation_folder import open_folder
from minisam.engine.automatic import segment_everything
from minisam.engine.confident_masks import Confidence, confident_masks, look_through
from minisam.engine.costs import Costs
from minisam.engine.records import read_work, record_path, write_work
from minisam.engine.scenes import UnlabelledPicture, objects_of, unlabelled_pictures
from minisam.engine.tally import Tally
from minisam.engine.work import BRUSH, GIVEN, MODEL, CollectedMask, Work
from minisam.masks.rle import decode_rle
from minisam.predict.prompted import Prompted

SIZE = 32


def square(x0, y0, x1, y1):
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def picture(objects, number=17):
    image = np.arange(SIZE * SIZE * 3, dtype=np.uint8).reshape(SIZE, SIZE, 3)
    return UnlabelledPicture(number, image, torch.stack(objects))


class FixedBoxes:
    """A detector that always sees the same boxes."""

    def __init__(self, boxes):
        self.boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        self.head = type("Head", (), {"image_size": SIZE})

    def detect(self, embedding):
        return self.boxes, torch.linspace(0.9, 0.5, len(self.boxes))


class FilledBoxes(Prompted):
    """A model that fills the box it is given; it promises `iou` for the first of the three masks."""

    def predict(self, points=None, boxes=None, mask_input=None):
        y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        x0, y0, x1, y1 = (side[:, None, None] for side in boxes.T)
        inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        logits = torch.stack([inside, ~inside, ~inside], dim=1).float() * 2 - 1
        promised = torch.tensor([0.9, 0.8, 0.6])[torch.arange(len(boxes)) % 3]
        return logits, torch.stack([promised, promised / 2, promised / 2], dim=1)


def prompted():
    return FilledBoxes(None, torch.zeros(1), torch.zeros(5, dtype=torch.int64))


def test_boxes_become_masks_and_only_sure_ones_are_shown():
    boxes = [[2, 2, 12, 12], [16, 4, 30, 20], [4, 20, 10, 30]]
    masks, predicted = confident_masks(prompted(), FixedBoxes(boxes), Confidence(predicted_iou=0.7))
    assert predicted.tolist() == pytest.approx([0.9, 0.8])
    assert masks.equal(torch.stack([square(*box) for box in boxes[:2]]))
    assert len(confident_masks(prompted(), FixedBoxes(boxes), Confidence(predicted_iou=0.95))[0]) == 0
    assert len(confident_masks(prompted(), FixedBoxes([]), Confidence())[0]) == 0


def test_of_two_masks_of_one_thing_the_surer_is_shown():
    boxes = [[2, 2, 12, 12], [2, 2, 12, 11], [16, 4, 30, 20]]
    confidence = Confidence(predicted_iou=0.5, nms_threshold=0.8)
    masks, _ = confident_masks(prompted(), FixedBoxes(boxes), confidence)
    assert masks.equal(torch.stack([square(2, 2, 12, 12), square(16, 4, 30, 20)]))


def test_masks_whose_boxes_overlap_less_are_both_shown():
    boxes = [[2, 2, 12, 12], [2, 2, 12, 11]]  # IoU 0.9
    for threshold, shown in ((0.89, 1), (0.91, 2)):
        confidence = Confidence(predicted_iou=0.5, nms_threshold=threshold)
        assert len(confident_masks(prompted(), FixedBoxes(boxes), confidence)[0]) == shown


class OwnMasks(FilledBoxes):
    """A model that answers the n-th box with the n-th mask of `own`, wherever the box is."""

    own = torch.zeros(0)

    def predict(self, points=None, boxes=None, mask_input=None):
        _, promised = super().predict(points, boxes, mask_input)
        return torch.stack([self.own, ~self.own, ~self.own], dim=1).float() * 2 - 1, promised


def test_what_overlaps_are_the_boxes_of_the_masks_and_not_those_of_the_detector(monkeypatch):
    """Two objects that fill one box together are both shown, and one object in two boxes is shown once."""
    left, right = square(2, 2, 7, 12), square(7, 2, 12, 12)
    one_box, two_boxes = [[2, 2, 12, 12]] * 2, [[2, 2, 12, 12], [1, 0, 30, 31]]
    for boxes, own, shown in ((one_box, [left, right], 2), (two_boxes, [left, left], 1)):
        monkeypatch.setattr(OwnMasks, "own", torch.stack(own))
        ready = OwnMasks(None, torch.zeros(1), torch.zeros(2, dtype=torch.int64))
        masks, _ = confident_masks(ready, FixedBoxes(boxes), Confidence(predicted_iou=0.5))
        assert masks.equal(torch.stack(own[:shown]))


def test_what_an_engine_shows_and_lets_stand_unless_told_otherwise():
    one, other, doubtful = [2, 2, 12, 12], [5, 2, 12, 12], [20, 4, 30, 30]  # promised 0.9, 0.8, 0.6
    _, predicted = confident_masks(prompted(), FixedBoxes([one, other, doubtful]), Confidence())
    assert predicted.tolist() == pytest.approx([0.9, 0.8])  # the boxes' IoU is 0.7
    objects = square(0, 0, 10, 10)[None]
    for height, kept in ((8, 1), (7, 0)):
        given = square(0, 0, 10, height)[None]
        assert len(look_through(given, predicted[:1], objects, Costs(), Confidence().right)[0].masks) == kept


def test_given_masks_are_right_wrong_or_given_twice():
    objects = torch.stack([square(0, 0, 20, 20), square(0, 0, 10, 10), square(20, 20, 30, 30)])
    given = torch.stack(
        [square(0, 0, 20, 19), square(0, 0, 20, 20), square(0, 0, 10, 6), square(25, 0, 30, 5)]
    )
    work, done = look_through(given, torch.tensor([0.9, 0.85, 0.8, 0.7]), objects, Costs(look=2), 0.75)
    (mask,) = work.masks
    assert done.tolist() == [True, False, False]
    assert (mask.source, mask.clicks, mask.seconds) == (GIVEN, 0, 2)
    assert mask.true_iou == pytest.approx(0.95) and mask.predicted_iou == pytest.approx(0.9)
    assert mask.mask.equal(given[0])
    assert (work.rejected, work.clicks, work.seconds) == (3, 0, 8)
    lenient, done = look_through(given, torch.tensor([0.9, 0.85, 0.8, 0.7]), objects, Costs(), 0.5)
    assert done.tolist() == [True, True, False] and lenient.rejected == 2
    nothing, done = look_through(given, torch.zeros(4), objects[:0], Costs(), 0.75)
    assert nothing.rejected == 4 and len(done) == 0


def work_of_two():
    masks = [
        CollectedMask(square(0, 0, 20, 20), MODEL, 2, 5.3, 0.92, 0.8, point=(10, 9)),
        CollectedMask(square(3, 3, 9, 8), BRUSH, 8, 25.0, 1.0, 1.0, point=(5, 5)),
        CollectedMask(square(20, 20, 30, 30), GIVEN, 0, 1.0, 0.8, 0.75),
    ]
    return Work(masks, clicks=18, seconds=50.123456, left=1, rejected=2)


def test_a_record_is_sa1b_and_says_what_it_cost(tmp_path):
    write_work(tmp_path, picture([square(0, 0, 20, 20)]), work_of_two(), "semi-automatic")
    record = json.loads(record_path(tmp_path, 17).read_text())
    assert record["engine"] == {
        "stage": "semi-automatic", "clicks": 18, "seconds": 50.1235, "left": 1, "rejected": 2,
    }  # fmt: skip
    first, second, third = record["annotations"]
    assert (first["source"], first["clicks"], first["true_iou"], first["predicted_iou"]) == (
        "model",
        2,
        0.92,
        0.8,
    )
    assert first["point_coords"] == [[10, 9]] and second["seconds"] == 25
    assert [one["stability_score"] for one in record["annotations"]] == [1, 1, 1]
    assert decode_rle(third["segmentation"]).sum() == third["area"] == 100
    assert len({one["id"] for one in record["annotations"]}) == 3
    read = open_folder(tmp_path).read(0)
    assert read.image.tobytes() == picture([square(0, 0, 1, 1)]).image.tobytes()
    assert [int(segment.mask().sum()) for segment in read.segments] == [400, 30, 100]


def test_masks_of_different_pictures_have_different_ids(tmp_path):
    for number in (17, 18):
        write_work(tmp_path, picture([square(0, 0, 20, 20)], number), work_of_two(), "semi-automatic")
    ids = [one["id"] for record in read_work(tmp_path) for one in record["annotations"]]
    assert len(set(ids)) == len(ids) == 6


def test_a_tally_counts_what_was_left_too(tmp_path):
    write_work(tmp_path / "a", picture([square(0, 0, 20, 20)], 1), work_of_two(), "s")
    write_work(tmp_path / "a", picture([square(0, 0, 20, 20)], 2), Work(clicks=8, seconds=10, left=3), "s")
    tally = Tally.of(read_work(tmp_path))
    assert tally == Tally(2, 3, 2, 26, pytest.approx(60.1235), 4, 2, 2, 3)
    summary = tally.summary()
    assert summary["clicks_a_mask"] == pytest.approx(26 / 3) and summary["masks_a_picture"] == 1.5
    assert summary["over_90"] == pytest.approx(2 / 3) and summary["over_75"] == 1
    assert summary["seconds_a_mask"] == pytest.approx(60.1235 / 3)
    assert set(Tally().summary().values()) == {0}


def test_masks_of_exactly_nine_tenths_are_not_over_it():
    def one(iou):
        mask = {"source": MODEL, "true_iou": iou}
        about = {"clicks": 1, "seconds": 1, "left": 0, "rejected": 0}
        return Tally.of_one({"annotations": [mask], "engine": about})

    assert [(one(iou).over_90, one(iou).over_75) for iou in (0.91, 0.9, 0.76, 0.75)] == [
        (1, 1),
        (0, 1),
        (0, 1),
        (0, 0),
    ]


def test_everything_is_segmented_without_an_annotator():
    objects = [square(0, 0, 20, 20), square(0, 0, 10, 10)]

    class Generator:
        def generate(self, image):
            common = {"predicted_iou": 0.9, "stability_score": 0.97, "point_coords": [[4.0, 5.0]]}
            return [
                {"segmentation": square(0, 0, 0, 0).numpy(), "area": 0, **common},
                {"segmentation": square(0, 0, 10, 9).numpy(), "area": 90, **common},
                {"segmentation": square(0, 0, 0, 0).numpy(), "area": 0, **common},
                {"segmentation": square(0, 0, 20, 20).numpy(), "area": 400, **common},
            ]

    work = segment_everything(Generator(), picture(objects))
    mask, other = work.masks
    assert other.true_iou == 1 and other.mask.equal(objects[0])
    nothing = segment_everything(Generator(), replace(picture(objects), objects=objects[0][None][:0]))
    assert [mask.true_iou for mask in nothing.masks] == [0, 0], "no object, and masks all the same"
    assert mask.true_iou == pytest.approx(0.9) and (work.clicks, work.seconds) == (0, 0)
    assert (mask.stability_score, mask.point, mask.source) == (0.97, (4.0, 5.0), "automatic")


def test_pictures_do_not_depend_on_how_many_there_are():
    knobs = {"object_scale": 1.5, "levels": 2}
    many = {p.number: p for p in unlabelled_pictures(range(6, 11), "train", 64, 3, knobs)}
    few = list(unlabelled_pictures([9, 10], "train", 64, 3, knobs))
    assert list(many) == [6, 7, 8, 9, 10]
    assert len({picture.image.tobytes() for picture in many.values()}) == 5
    for one in few:
        assert np.array_equal(one.image, many[one.number].image)
        assert one.objects.equal(many[one.number].objects)
    areas = few[0].objects.sum(dim=(1, 2))
    assert areas.tolist() == sorted(areas.tolist(), reverse=True) and areas.min() > 0
    large = few[0].prominent(1 / 64)
    assert large.equal(few[0].objects[areas >= 64]) and 0 < len(large) < len(areas)


def test_a_thing_of_one_pixel_is_a_thing_and_one_of_just_the_smallest_area_is_prominent():
    scenes = nested_scenes(1)
    scenes.labels[0, 2] = -1
    scenes.labels[0, 2, 9, 9] = 2
    scenes.area[0, 2] = 1
    objects = objects_of(scenes, 0)
    assert [int(mask.sum()) for mask in objects] == [400, 144, 1]
    image = np.zeros((32, 32, 3), np.uint8)
    assert len(UnlabelledPicture(0, image, objects).prominent(144 / 1024)) == 2


def test_a_record_is_named_by_its_number():
    assert record_path(Path("a"), 17) == Path("a/sa_00017.json")


def test_pictures_of_a_seed_are_the_scenes_of_its_batches():
    (picture,) = unlabelled_pictures([10], "train", 32, 3, {})
    scenes = render_scenes(3 * 1_000_000 + 1, 8, 32)
    assert picture.image.tobytes() == scenes.images[2].permute(1, 2, 0).contiguous().numpy().tobytes()


def test_objects_are_those_of_the_part_tree():
    scenes = nested_scenes(2)
    assert objects_of(scenes, 1).equal(torch.stack([scenes.labels[1, level] == level for level in range(3)]))


def test_masks_that_just_reach_their_thresholds():
    """A predicted IoU of the threshold is sure enough; a true IoU of it is not right."""
    boxes = [[2, 2, 12, 12], [16, 4, 30, 20]]
    shown, _ = confident_masks(prompted(), FixedBoxes(boxes), Confidence(torch.tensor(0.8).item()))
    assert len(shown) == 2
    given, objects = square(0, 0, 10, 5)[None], square(0, 0, 10, 10)[None]
    for right, rejected in ((0.5, 1), (0.499, 0)):
        assert look_through(given, torch.tensor([0.9]), objects, Costs(), right)[0].rejected == rejected


def test_an_empty_mask_is_never_shown():
    """The model fills boxes, and this one lies beyond the image."""
    masks, _ = confident_masks(prompted(), FixedBoxes([[40, 40, 50, 50]]), Confidence(0.0))
    assert len(masks) == 0
