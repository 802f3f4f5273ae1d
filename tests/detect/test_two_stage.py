"""The second stage: classes and boxes by hand, what is sampled, and the mask head's cut-outs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small_prompters import small_prompter

from minisam.detect import two_stage
from minisam.detect.fcn_mask_head import FcnMaskHead, masks_in_boxes, paste_masks
from minisam.detect.region_proposals import ProposalRecipe, RegionProposalNetwork
from minisam.detect.roi_box_head import SIDE, RoiBoxHead, detections, roi_box_loss
from minisam.detect.sine_positions import sine_positions
from minisam.detect.two_stage import Targets, TwoStageDetector


def test_heads_have_the_published_numbers_of_parameters():
    assert sum(p.numel() for p in RoiBoxHead(256, 10).parameters()) == 13_947_955
    assert sum(p.numel() for p in FcnMaskHead(256, 10).parameters()) == 2_625_290


def class_of_boxes(head, steps):
    """The share of boxes of three classes that `head` names after training on boxes that are mostly alike.

    Seven eighths are background, and what all boxes share is ten times as large as the noise of one.
    """
    draw = torch.Generator().manual_seed(0)
    channels = head.body[1].in_features // SIDE**2
    common, pattern = (torch.randn(n, channels, SIDE, SIDE, generator=draw) for n in (1, 4))
    pattern[3] = 0

    def features(labels):
        noise = torch.randn(len(labels), channels, SIDE, SIDE, generator=draw)
        return 10 * common + 0.3 * pattern[labels] + 0.5 * noise

    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    for _ in range(steps):
        is_object = torch.rand(128, generator=draw) < 1 / 8
        labels = torch.where(is_object, torch.randint(3, (128,), generator=draw), 3)
        optimizer.zero_grad()
        F.cross_entropy(head(features(labels))[0], labels).backward()
        optimizer.step()
    labels = torch.arange(3).repeat(20)
    with torch.no_grad():
        return (head.eval()(features(labels))[0][:, :3].argmax(dim=1) == labels).float().mean().item()


def test_the_small_box_head_learns_classes_where_one_without_a_norm_learns_only_how_many_boxes_are_background():
    of_detector = small_prompter("anchor", ("a", "b", "c")).detector.box_head
    assert class_of_boxes(of_detector, 30) > 0.9
    torch.manual_seed(0)
    assert class_of_boxes(RoiBoxHead(64, 3, 256), 30) < 0.5


@pytest.mark.parametrize("boxes", [0, 1])
def test_too_few_boxes_for_a_norm_take_its_running_statistics(boxes):
    head, features = RoiBoxHead(4, 2, 8, norm=True).train(), torch.randn(boxes, 4, SIDE, SIDE)
    before = {name: value.clone() for name, value in head.named_buffers()}
    logits, deltas = head(features)
    assert all(value.equal(before[name]) for name, value in head.named_buffers())
    expected = head.eval()(features)
    assert logits.equal(expected[0]) and deltas.equal(expected[1]) and len(logits) == boxes


def test_the_box_loss_by_hand():
    """Three sampled boxes, one of class 1 and two of background, which is the last."""
    logits = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
    deltas = torch.zeros(3, 2, 4)
    deltas[0, 0] = 99.0  # of another class
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 9, 9], [1, 1, 2, 2]])
    targets = torch.tensor([[1.0, 0, 11, 10], [0, 0, 0, 0], [0, 0, 0, 0]])
    of_class, of_box = roi_box_loss(logits, deltas, boxes, torch.tensor([1, 2, 2]), targets)
    parts = [math.log(2 + math.e) - 1, math.log(2 + math.e**2) - 2, math.log(2 + math.e)]
    assert of_class.item() == pytest.approx(sum(parts) / 3, rel=1e-5)
    assert of_box.item() == pytest.approx((1 - 0.5) / 3, rel=1e-5)  # 0.1 of the width, divided by the std 0.1


def test_detections_are_above_the_score_and_suppressed_class_by_class():
    logits = torch.tensor([[5.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 9.0]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30]])
    found, labels, scores = detections(logits, torch.zeros(4, 2, 4), boxes, (8, 100), min_score=0.5)
    assert labels.tolist() == [0, 1] and found.tolist() == [[0, 0, 10, 8]] * 2
    assert scores.tolist() == pytest.approx(
        [torch.softmax(logits[0], 0)[0].item(), torch.softmax(logits[2], 0)[1].item()]
    )
    assert len(detections(logits, torch.zeros(4, 2, 4), boxes, (8, 100), min_score=0.5, most=1)[0]) == 1
    none = detections(torch.zeros(0, 3), torch.zeros(0, 2, 4), torch.zeros(0, 4), (8, 8))
    assert [len(one) for one in none] == [0, 0, 0]


def test_the_sine_encoding_equals_detrs():
    detr = pytest.importorskip(
        "transformers.models.detr.modeling_detr", reason="pip install transformers brings DETR's encoding"
    )
    theirs = detr.DetrSinePositionEmbedding(16, normalize=True)((1, 32, 5, 7), "cpu", torch.float32)
    theirs = theirs[0] if theirs.shape[-2:] == (5, 7) else theirs[0].T.reshape(32, 5, 7)
    torch.testing.assert_close(sine_positions((5, 7), 32), theirs, atol=1e-5, rtol=1e-5)


def test_a_mask_is_cut_out_and_pasted_back():
    mask = torch.zeros(1, 60, 80, dtype=torch.bool)
    mask[0, 10:40, 20:70] = True
    box = torch.tensor([[20.0, 10.0, 70.0, 40.0]])
    assert masks_in_boxes(mask, box).all()
    half = masks_in_boxes(mask, torch.tensor([[20.0, 10.0, 70.0, 70.0]]))[0]
    assert half[:14].all() and not half[14:].any()
    pasted = paste_masks(half[None] * 20 - 10, torch.tensor([[20.0, 10.0, 70.0, 70.0]]), (60, 80)) >= 0.5
    assert (pasted[0] ^ mask[0]).sum() <= 50  # a row of pixels
    assert not (paste_masks(torch.full((1, 28, 28), 9.0), box, (60, 80)) >= 0.5)[0, :, 72:].any()


@pytest.fixture
def detector():
    torch.manual_seed(0)
    return TwoStageDetector(
        8,
        2,
        (8, 16),
        2,
        28.0,
        ProposalRecipe(scales=(2.0,), sampled=16, kept=20),
        sampled=12,
        positive_share=0.25,
        width=16,
    )


def losses_of(detector, pyramid, targets):
    generators = [torch.Generator() for _ in targets]
    return detector.loss(pyramid, detector.with_positions(pyramid), targets, generators, (64, 64))


def maps(images):
    return [torch.randn(images, 8, 8, 8), torch.randn(images, 8, 4, 4)]


def targets_with(*numbers):
    boxes = torch.tensor([[4.0, 4, 30, 28], [20, 30, 60, 60]])
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 4:28, 4:30] = masks[1, 30:60, 20:60] = True
    return [Targets(boxes[:n], torch.tensor([1, 0])[:n], masks[:n]) for n in numbers]


def test_true_boxes_are_among_the_positives_of_their_image(detector):
    pyramid = maps(2)
    losses, found = detector.loss(
        pyramid,
        detector.with_positions(pyramid),
        targets_with(2, 1),
        [torch.Generator() for _ in range(2)],
        (64, 64),
    )
    assert set(losses) == {"proposal_score", "proposal_box", "class", "box"}
    assert len(found.boxes) <= 2 * 3 and set(found.image_index.tolist()) == {0, 1}
    assert all(found.labels[n] == 1 for n in range(len(found.labels)) if found.image_index[n] == 1)
    for box, mask in zip(found.boxes, found.masks, strict=True):
        x0, y0, x1, y1 = box.round().int().tolist()
        assert mask[y0:y1, x0:x1].float().mean() > 0.5


@pytest.mark.parametrize("numbers", [(0, 0), (0, 2)])
def test_images_without_objects_train(detector, numbers):
    pyramid = maps(2)
    losses, found = detector.loss(
        pyramid,
        detector.with_positions(pyramid),
        targets_with(*numbers),
        [torch.Generator() for _ in range(2)],
        (64, 64),
    )
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())
    if numbers == (0, 0):
        assert len(found.boxes) == 0 and found.masks.shape[1:] == (64, 64)


def test_no_proposals_are_no_detections_and_still_train(detector):
    with torch.no_grad():
        detector.proposal_network.score.bias.fill_(float("nan"))
    pyramid = maps(1)
    (found,) = detector.detect(pyramid, detector.with_positions(pyramid), [(64, 64)])
    assert len(found.boxes) == len(found.labels) == len(found.scores) == 0


def test_positions_are_added_for_boxes_and_not_for_proposals(detector):
    pyramid = maps(1)
    positioned = detector.with_positions(pyramid)
    torch.testing.assert_close(positioned[0] - pyramid[0], sine_positions((8, 8), 8)[None])
    shrunk = torch.nn.functional.interpolate(sine_positions((8, 8), 8)[None], (4, 4), mode="bilinear")
    torch.testing.assert_close(positioned[1] - pyramid[1], shrunk)


def test_a_score_must_be_above_the_lowest():
    logits, boxes = torch.zeros(1, 4), torch.tensor([[1.0, 1, 5, 5]])
    quarter = logits.softmax(dim=1)[0, 0].item()
    lower = quarter - 1e-6
    counts = [
        len(detections(logits, torch.zeros(1, 3, 4), boxes, (8, 8), one)[0]) for one in (quarter, lower)
    ]
    assert counts == [0, 3]


def test_what_is_found_has_no_gradient(detector):
    """Neither boxes nor scores: keeping them would keep the graph of every image."""
    (pyramid, fine) = maps(1), [one.requires_grad_() for one in maps(1)]
    found = detector.detect(pyramid, fine, [(64, 64)])[0]
    assert not found.boxes.requires_grad and not found.scores.requires_grad
    predicted = detector.proposal_network(pyramid, detector.strides)
    assert predicted.scores.requires_grad
    assert not detector.proposal_network.proposals(predicted, 0, (64, 64)).requires_grad


@pytest.mark.parametrize(("training", "count"), [(True, 3), (False, 2)])
def test_training_and_testing_have_their_own_numbers_of_proposals(training, count):
    """Of each of two levels, before those that overlap are left out; and together at most `kept`."""
    torch.manual_seed(0)
    numbers = {"per_level": 3, "per_level_in_test": 2, "nms_threshold": 1.0}
    recipe = ProposalRecipe(scales=(1.0,), ratios=(1.0,), kept=100, **numbers)
    network = RegionProposalNetwork(8, recipe).train(training)
    predicted = network(maps(1), (8, 16))
    assert len(network.proposals(predicted, 0, (64, 64))) == 2 * count
    fewer = RegionProposalNetwork(8, replace(recipe, kept=3)).train(training)
    assert len(fewer.proposals(predicted, 0, (64, 64))) == 3


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_box_loss_is_the_mean_of_those_of_single_boxes(count):
    draw = torch.Generator().manual_seed(count)
    logits, deltas = torch.randn(count, 4, generator=draw), torch.randn(count, 3, 4, generator=draw)
    corners = 20 * torch.rand(2, count, 2, generator=draw)
    boxes, targets = (torch.cat([one, one + 5 + one.flip(1)], dim=1) for one in corners)
    labels = torch.arange(count) % 4
    together = torch.stack(roi_box_loss(logits, deltas, boxes, labels, targets))
    singles = [
        torch.stack(roi_box_loss(*(part[n : n + 1] for part in (logits, deltas, boxes, labels, targets))))
        for n in range(count)
    ]
    torch.testing.assert_close(together, torch.stack(singles).mean(dim=0))


def test_images_of_a_batch_have_their_own_objects(detector):
    """Each image's are those that it has alone, with its number."""
    detector.eval()
    with torch.no_grad():
        detector.box_head.logits.bias[-1] -= 3  # background
    pyramid, sizes = maps(3), [(64, 64), (40, 64), (64, 24)]
    together = detector.detect(pyramid, detector.with_positions(pyramid), sizes)
    for image, found in enumerate(together):
        one = [level[image : image + 1] for level in pyramid]
        (alone,) = detector.detect(one, detector.with_positions(one), sizes[image : image + 1])
        assert len(found.boxes) and (found.image_index == image).all() and (alone.image_index == 0).all()
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores, alone.scores, rtol=1e-4, atol=1e-5)
        assert found.labels.equal(alone.labels) and found.image_index.shape == found.labels.shape


@pytest.mark.parametrize("box_levels", [1, 2, 3])
def test_features_of_boxes_are_from_the_first_levels_only(box_levels):
    """A box too large for them takes the coarsest of these; every level has its number as its value."""
    detector = TwoStageDetector(1, 2, (4, 8, 16), box_levels, 8, ProposalRecipe(), width=4)
    pyramid = [torch.full((1, 1, 64 // stride, 64 // stride), float(stride)) for stride in (4, 8, 16)]
    boxes = torch.tensor([[20.0, 20, 28, 28], [16, 16, 34, 34], [10, 10, 50, 50]])
    found = detector.in_boxes(pyramid, boxes, torch.zeros(3, dtype=torch.long), 2)
    expected = [min(stride, 4 * 2 ** (box_levels - 1)) for stride in (4, 8, 16)]
    assert found[:, 0, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("sampled", "share", "found"), [(8, 0.25, 2), (8, 0.5, 4), (8, 1.0, 5), (4, 0.5, 2)])
def test_a_share_of_the_sampled_boxes_is_positive_at_most(monkeypatch, sampled, share, found):
    """Five of ten boxes have an IoU of at least 0.5 with the target, with its own box; two have nearly that."""
    detector = TwoStageDetector(
        1, 2, (4,), 1, 8, ProposalRecipe(), sampled=sampled, positive_share=share, width=4
    )
    target = torch.tensor([[0.0, 0.0, 20.0, 20.0]])
    heights = torch.tensor([19.0, 18, 17, 16, 9, 8])
    near = torch.stack([0 * heights, 0 * heights, 0 * heights + 20, heights], dim=1)
    far = torch.tensor([[40.0, 40, 50, 50], [40, 40, 60, 60], [30, 30, 60, 60]])
    monkeypatch.setattr(detector.proposal_network, "proposals", lambda *_: torch.cat([near, far]))
    targets = [Targets(target, torch.tensor([1]), torch.ones(1, 64, 64, dtype=torch.bool))]
    seen, judged = [], []
    monkeypatch.setattr(
        detector,
        "in_boxes",
        lambda _, boxes, *__: seen.append(boxes) or torch.zeros(len(boxes), 1, SIDE, SIDE),
    )
    monkeypatch.setattr(
        two_stage,
        "roi_box_loss",
        lambda *given: judged.append(given[2:]) or (torch.zeros(()), torch.zeros(())),
    )
    pyramid = [torch.zeros(1, 1, 16, 16)]
    _, positives = detector.loss(pyramid, pyramid, targets, [torch.Generator().manual_seed(0)], (64, 64))
    ((boxes, labels, _),) = judged
    assert len(boxes) == min(sampled, found + 5) and (labels == 1).sum() == len(positives.boxes) == found
    right = boxes[labels == 1]
    assert (right[:, :3] == target[:, :3]).all() and (right[:, 3] >= 16).all()
    assert (labels[found:] == 2).all() and not any((box == right).all(dim=1).any() for box in boxes[found:])


@pytest.mark.parametrize("most", [None, 0, 3, 50])
def test_at_most_so_many_boxes_of_each_image_get_masks(most, monkeypatch):
    """Eight of an image's boxes are positive; the losses of the boxes stay the same; a seed draws others."""
    torch.manual_seed(0)
    detector = TwoStageDetector(8, 2, (8, 16), 2, 28.0, ProposalRecipe(), 40, 0.5, most, width=16)
    targets = targets_with(2, 2)
    near = torch.cat([targets[0].boxes + shift for shift in (0.5, 1, 1.5)])
    monkeypatch.setattr(detector.proposal_network, "proposals", lambda *_: near)
    pyramid = maps(2)
    positioned, found = detector.with_positions(pyramid), []
    for limit, seed in ((None, 0), (most, 0), (most, 1)):
        detector.most_masks = limit
        generators = [torch.Generator().manual_seed(seed + image) for image in range(2)]
        found.append(detector.loss(pyramid, positioned, targets, generators, (64, 64)))
    (of_all, every), (of_limited, limited), (_, other) = found
    assert all(of_all[name].equal(of_limited[name]) for name in of_all)
    assert every.image_index.bincount().tolist() == [8, 8]
    count = {None: 8, 0: 0, 3: 3, 50: 8}[most]
    assert limited.image_index.bincount(minlength=2).tolist() == [count, count]
    for box, image, label, mask in zip(
        limited.boxes, limited.image_index, limited.labels, limited.masks, strict=True
    ):
        place = (every.boxes == box).all(dim=1) & (every.image_index == image)
        assert place.sum() == 1 and every.labels[place].item() == label
        assert every.masks[place][0].equal(mask)
    assert limited.boxes.equal(other.boxes) == (most != 3)


def test_the_second_stage_sees_the_positions_in_training_and_in_use(detector, monkeypatch):
    pyramid = maps(1)
    positioned, seen, features = detector.with_positions(pyramid), [], detector.in_boxes
    monkeypatch.setattr(
        detector, "in_boxes", lambda maps, *given: seen.append(maps) or features(maps, *given)
    )
    proposed, propose = [], detector.proposal_network.forward
    monkeypatch.setattr(
        detector.proposal_network,
        "forward",
        lambda maps, *given: proposed.append(maps) or propose(maps, *given),
    )
    detector.loss(pyramid, positioned, targets_with(2), [torch.Generator()], (64, 64))
    detector.eval().detect(pyramid, positioned, [(64, 64)])
    assert len(seen) == len(proposed) == 2
    assert all(maps is positioned for maps in seen) and all(maps is pyramid for maps in proposed)
