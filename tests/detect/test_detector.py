"""The object detector against boxes worked out by hand, and whether it learns."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from minisam.build import WEIGHTS
from minisam.config import CONFIGS, build_from_config
from minisam.data.coco import coco_annotation, write_coco
from minisam.data.partworld.export import annotated_pictures, write_sa1b
from minisam.data.sa1b import annotate, write_record
from minisam.detect import detector_task
from minisam.detect.box_head import BoxPredictions, ObjectBoxHead, cell_centres, decode_boxes
from minisam.detect.box_loss import assign_boxes, detection_loss
from minisam.detect.boxes import boxes_of, generalised_iou
from minisam.detect.detector import DetectorRecipe, ObjectDetector
from minisam.detect.detector_task import BoxExamples, DetectorTask, box_examples, train_detector
from minisam.errors import CheckpointError


def test_centres_go_row_by_row():
    assert cell_centres(2, 3, 12).tolist() == [[2, 3], [6, 3], [10, 3], [2, 9], [6, 9], [10, 9]]


def test_a_head_says_distances_from_its_cells():
    head = ObjectBoxHead(5, image_size=64).eval()
    with torch.no_grad():
        head.distances.weight.zero_()
        head.distances.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).log())
    predicted = head(torch.randn(2, 5, 8, 8))
    assert predicted.scores.shape == (2, 256) and predicted.boxes.shape == (2, 256, 4)
    cell = 64 / 16
    x, y = 2 + cell * 3, 2 + cell * 1
    expected = torch.tensor([x - cell, y - 2 * cell, x + 3 * cell, y + 4 * cell])
    torch.testing.assert_close(predicted.boxes[1, 16 + 3], expected)


def test_a_new_head_expects_nothing_anywhere():
    head = ObjectBoxHead(5, image_size=64)
    scores = head(torch.zeros(1, 5, 8, 8)).scores.sigmoid()
    assert (scores < 0.2).all()


def test_cells_find_the_smallest_box_in_whose_middle_they_are():
    centres = cell_centres(8, 8, 64)
    large, small = [0.0, 0.0, 64.0, 64.0], [16.0, 16.0, 40.0, 40.0]
    grid = assign_boxes(torch.tensor([large, small]), centres, 8.0).reshape(8, 8)
    expected = torch.full((8, 8), -1)
    expected[2:6, 2:6] = 0
    expected[2:5, 2:5] = 1
    assert grid.equal(expected)


def test_a_cell_whose_centre_is_on_the_edge_of_a_box_lies_outside():
    grid = assign_boxes(torch.tensor([[12.0, 20.0, 28.0, 28.0]]), cell_centres(8, 8, 64), 8.0)
    assert (grid >= 0).nonzero().flatten().tolist() == [2 * 8 + 2]  # the nearest, since none is inside


def test_a_tiny_box_takes_the_nearest_cell_and_no_boxes_take_none():
    centres = cell_centres(8, 8, 64)
    tiny = torch.tensor([[17.0, 9.0, 19.0, 10.0]])
    assert (assign_boxes(tiny, centres, 8.0) >= 0).nonzero().tolist() == [[1 * 8 + 2]]
    assert assign_boxes(torch.zeros(0, 4), centres, 8.0).tolist() == [-1] * 64


def test_boxes_end_at_the_outer_edges_of_pixels():
    mask = torch.zeros(2, 6, 9, dtype=torch.bool)
    mask[0, 1:3, 4:9] = True
    mask[1, 5, 0] = True
    assert boxes_of(mask).tolist() == [[4, 1, 9, 3], [0, 5, 1, 6]]
    assert boxes_of(mask[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([0.0, 0.0, 2.0, 2.0], 1.0),
        ([1.0, 0.0, 3.0, 2.0], 2 / 6),
        ([1.0, 1.0, 3.0, 3.0], 1 / 7 - 2 / 9),
        ([2.0, 0.0, 4.0, 2.0], 0.0),
        ([6.0, 0.0, 8.0, 2.0], -8 / 16),
    ],
)
def test_generalised_iou_by_hand(second, expected):
    first = torch.tensor([0.0, 0.0, 2.0, 2.0])
    assert generalised_iou(first, torch.tensor(second)).item() == pytest.approx(expected, abs=1e-6)
    assert generalised_iou(torch.tensor(second), first).item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_by_hand():
    """Two images of three cells; the first has one box, found by cell 1, the second none."""
    scores = torch.tensor([[-2.0, 1.0, 0.5], [0.0, -1.0, -3.0]])
    boxes = torch.zeros(2, 3, 4)
    boxes[0, 1] = torch.tensor([1.0, 0.0, 3.0, 2.0])
    wanted = [torch.tensor([[9.0, 9.0, 10.0, 10.0], [0.0, 0.0, 2.0, 2.0]]), torch.zeros(0, 4)]
    assigned = torch.tensor([[-1, 1, -1], [-1, -1, -1]])
    loss = detection_loss(BoxPredictions(scores, boxes), wanted, assigned)

    def focal(score, is_middle):
        p = 1 / (1 + math.exp(-score))
        return -0.25 * (1 - p) ** 2 * math.log(p) if is_middle else -0.75 * p**2 * math.log(1 - p)

    expected = sum(focal(s, n == 1) for n, s in enumerate(scores.flatten().tolist())) + 1 - 2 / 6
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_does_not_grow_with_the_cells_that_found_something():
    boxes, wanted = torch.tensor([[1.0, 0.0, 3.0, 2.0]]), [torch.tensor([[0.0, 0.0, 2.0, 2.0]])]

    def loss(assigned):
        scores = torch.where(torch.tensor([assigned]) >= 0, 60.0, -60.0)
        predicted = BoxPredictions(scores, boxes.expand(1, 4, 4))
        return detection_loss(predicted, wanted, torch.tensor([assigned])).item()

    assert loss([0, -1, -1, -1]) == loss([0, 0, 0, -1]) == pytest.approx(1 - 2 / 6, abs=1e-5)
    assert loss([-1, -1, -1, -1]) == pytest.approx(0, abs=1e-6)


def test_decoding_by_hand():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.2, 0.6]]).logit()
    boxes = torch.tensor(
        [[[0, 0, 10, 10], [0, 0, 10, 9], [-5, 20, 15, 70], [30, 30, 40, 40], [50, 50, 60, 60]]]
    ).float()
    kept, kept_scores = decode_boxes(BoxPredictions(scores, boxes), 0, 64, 0.3, 0.6, 30)
    assert kept.tolist() == [[0, 0, 10, 10], [0, 20, 15, 64], [50, 50, 60, 60]]
    assert kept_scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert len(decode_boxes(BoxPredictions(scores, boxes), 0, 64, 0.3, 0.6, 2)[0]) == 2
    assert len(decode_boxes(BoxPredictions(scores, boxes), 0, 64, 0.3, 0.95, 30)[0]) == 4
    assert len(decode_boxes(BoxPredictions(scores, boxes), 0, 64, 0.95, 0.6, 30)[0]) == 0


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    folder = tmp_path_factory.mktemp("pictures")
    write_sa1b(folder, annotated_pictures("train", 3, 64, object_scale=2.0, levels=1))
    return sam, folder, train_detector(sam, folder, DetectorRecipe(steps=150, batch_size=3, lr=3e-3), 0)


def test_it_learns_three_pictures_by_heart(learnt):
    sam, folder, detector = learnt
    examples = box_examples(sam, folder)
    found = wanted = 0
    for image, boxes in enumerate(examples.boxes):
        large = boxes[(boxes[:, 2:] - boxes[:, :2]).amin(dim=1) > 12]
        detected, scores = detector.detect(examples.embeddings[image : image + 1])
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        overlap = generalised_iou(detected[None], large[:, None])
        found += int((overlap > 0.5).any(dim=1).sum())
        wanted += len(large)
    assert wanted > 5 and found >= 0.7 * wanted


def test_the_loss_of_a_step_is_that_of_its_examples_over_all_their_positive_cells():
    boxes = [
        torch.tensor([[4.0, 4, 30, 30], [40, 40, 60, 60]]),
        torch.tensor([[10.0, 20, 50, 60]]),
        torch.zeros(0, 4),
    ]
    centres = cell_centres(8, 8, 64)
    assigned = torch.stack([assign_boxes(own, centres, 8.0) for own in boxes])
    examples = BoxExamples(torch.randn(3, 5, 4, 4), boxes, assigned)
    task = DetectorTask(examples, 64, DetectorRecipe(steps=6, batch_size=4), 3)
    for step, chosen in enumerate(task.chosen.tolist()):
        predicted = task.detector.head(examples.embeddings[chosen])
        own = [boxes[place] for place in chosen]
        expected = detection_loss(predicted, own, assigned[chosen])
        loss, metrics = task.loss(step, torch.Generator())
        torch.testing.assert_close(loss, expected)
        assert metrics["loss"] is loss
    assert ((assigned == 0).any(dim=1) == torch.tensor([True, True, False])).all()


def test_a_detector_follows_from_its_seed_and_survives_its_file(learnt, tmp_path):
    sam, folder, _ = learnt
    recipe = DetectorRecipe(steps=3, batch_size=2)
    torch.manual_seed(1)
    first = train_detector(sam, folder, recipe, 7)
    torch.manual_seed(2)
    again, other = train_detector(sam, folder, recipe, 7), train_detector(sam, folder, recipe, 8)
    one, two, three = (d.head.score.weight for d in (first, again, other))
    assert one.equal(two) and not one.equal(three)
    first.save(tmp_path / "d.safetensors")
    read = ObjectDetector(96, 64, recipe)
    read.load(tmp_path / "d.safetensors")
    for name, value in first.head.state_dict().items():
        assert value.equal(read.head.state_dict()[name]), name


def test_a_file_that_is_no_detector_is_named(tmp_path):
    path = tmp_path / "d.safetensors"
    for content in (b"nothing", (WEIGHTS / "nano.safetensors").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="delete it to train it again"):
            ObjectDetector(16, 64, DetectorRecipe()).load(path)


def test_a_score_must_be_above_the_lowest():
    scores, boxes = torch.tensor([[0.0, 1.0]]), torch.tensor([[[0.0, 0, 4, 4], [8, 8, 12, 12]]])
    kept, kept_scores = decode_boxes(BoxPredictions(scores, boxes), 0, 64, 0.5, 0.6, 30)
    assert kept.tolist() == [[8, 8, 12, 12]] and kept_scores.tolist() == [torch.tensor(1.0).sigmoid()]


def test_a_head_reaches_no_further_than_any_image():
    head = ObjectBoxHead(5, image_size=64).eval()
    torch.nn.init.constant_(head.distances.bias, 1000.0)
    boxes = head(torch.zeros(1, 5, 8, 8)).boxes
    furthest = 64 / 16 * math.exp(6)  # cells of 4 pixels
    torch.testing.assert_close(boxes[..., 2:] - boxes[..., :2], torch.full((1, 256, 2), 2 * furthest))
    assert head(torch.zeros(1, 5, 8, 8)).scores.isfinite().all()


def test_a_new_head_gives_every_cell_a_score_of_a_twentieth():
    head = ObjectBoxHead(5, image_size=64)
    torch.nn.init.zeros_(head.score.weight)
    torch.testing.assert_close(head(torch.randn(1, 5, 8, 8)).scores.sigmoid(), torch.full((1, 256), 0.05))


def test_a_head_has_two_convolutions_and_a_finer_grid_between_them():
    shapes = {name: tuple(weight.shape) for name, weight in ObjectBoxHead(5, 64).named_parameters()}
    assert [shapes[f"body.{layer}.weight"] for layer in (0, 2, 4)] == [
        (64, 5, 3, 3), (64, 64, 2, 2), (64, 64, 3, 3),
    ]  # fmt: skip
    assert shapes["score.weight"] == (1, 64, 1, 1) and shapes["distances.weight"] == (4, 64, 1, 1)


@pytest.fixture
def seen(monkeypatch):
    """The rates of AdamW's steps and the examples that the loss saw."""
    rates: list[float] = []
    examples: list[list[torch.Tensor]] = []
    step, loss = torch.optim.AdamW.step, detector_task.detection_loss

    def watched_step(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    def watched_loss(predicted, boxes, *others):
        examples.append(boxes)
        return loss(predicted, boxes, *others)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched_step)
    monkeypatch.setattr(detector_task, "detection_loss", watched_loss)
    return rates, examples


def test_the_rate_falls_in_a_line_to_a_hundredth_and_pictures_are_those_of_the_seed(learnt, seen):
    sam, folder, _ = learnt
    before, of_pictures = torch.get_rng_state(), box_examples(sam, folder).boxes
    train_detector(sam, folder, DetectorRecipe(steps=4, batch_size=5), 7)
    rates, examples = seen
    assert rates == pytest.approx([1e-3 * (1 - 0.99 * step / 4) for step in range(4)])
    generator = torch.Generator().manual_seed(7)
    for boxes in examples:
        wanted = torch.randint(3, (5,), generator=generator).tolist()
        assert all(one.equal(of_pictures[place]) for one, place in zip(boxes, wanted, strict=True))
    assert torch.get_rng_state().equal(before)


def test_a_detector_shows_boxes_by_all_three_numbers_of_its_recipe(monkeypatch):
    """Three boxes with scores 0.9, 0.7, 0.5, and IoUs of 0.8 and 0.6 with the first."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6], [20, 20, 30, 30]]])
    scores = torch.tensor([[0.9, 0.7, 0.5, 0.3]])
    for min_score, nms_threshold, most, expected in (
        (0.4, 0.9, 10, [0.9, 0.7, 0.5]),
        (0.4, 0.7, 10, [0.9, 0.5]),
        (0.6, 0.9, 10, [0.9, 0.7]),
        (0.2, 0.1, 10, [0.9, 0.3]),
        (0.2, 0.9, 2, [0.9, 0.7]),
    ):
        recipe = DetectorRecipe(min_score=min_score, nms_threshold=nms_threshold, most_boxes=most)
        detector = ObjectDetector(5, 64, recipe)
        monkeypatch.setattr(
            detector.head, "forward", lambda embedding: BoxPredictions(torch.logit(scores), boxes)
        )
        assert detector.detect(torch.zeros(1, 5, 4, 4))[1].tolist() == pytest.approx(expected)


def test_a_crowd_is_no_object(tmp_path):
    """COCO's iscrowd; evaluation takes no account of it either."""
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 3:40, 10:60], masks[1, 50:52, 20:23] = True, True
    own = [coco_annotation(mask, place, 1, crowd=place == 0) for place, mask in enumerate(masks)]
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "a.png")
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}]
    write_coco(tmp_path / "instances.json", images, own)
    examples = box_examples(build_from_config(CONFIGS["nano"]), tmp_path)
    assert examples.boxes[0].tolist() == [[20, 50, 23, 52]]
    assert (examples.assigned == 0).sum() == 1


def test_examples_are_the_boxes_of_all_masks_and_the_cells_of_the_heads_own_grid(tmp_path):
    """nano has 8 x 8 tokens of 8 pixels; the head has 16 x 16 cells of 4."""
    sam = build_from_config(CONFIGS["nano"]).eval()
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 3:40, 10:60], masks[1, 50:52, 20:23] = True, True
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_record(tmp_path, image, [annotate(mask, n) for n, mask in enumerate(masks)], 1, ".png")
    write_record(tmp_path, 255 - image, [], 2, ".png")
    examples = box_examples(sam, tmp_path)
    boxes = torch.tensor([[10.0, 3.0, 60.0, 40.0], [20.0, 50.0, 23.0, 52.0]])
    assert examples.boxes[0].equal(boxes) and examples.boxes[1].shape == (0, 4)
    assert examples.assigned.shape == (2, 256) and (examples.assigned[1] == -1).all()
    assert examples.assigned[0].equal(assign_boxes(boxes, cell_centres(16, 16, 64), 4.0))
    # the middle of the first box: centres at most six pixels from (35, 21.5); the second has its nearest cell
    first = [(row, column) for row in (4, 5, 6) for column in (7, 8, 9)]
    found = (examples.assigned[0].reshape(16, 16) == 0).nonzero().tolist()
    assert [tuple(place) for place in found] == first
    assert (examples.assigned[0].reshape(16, 16) == 1).nonzero().tolist() == [[12, 5]]
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([image, 255 - image])).permute(0, 3, 1, 2)
        torch.testing.assert_close(
            examples.embeddings, sam.image_encoder(sam.preprocess(pixels)), rtol=1e-4, atol=1e-5
        )
