"""The region proposal network: its order, its proposals and its loss, worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from minisam.detect.anchors import grid_anchors
from minisam.detect.region_proposal_loss import region_proposal_loss
from minisam.detect.region_proposals import AnchorPredictions, ProposalRecipe, RegionProposalNetwork

ONE = ProposalRecipe(scales=(2.0,), ratios=(1.0,), per_level=3, per_level_in_test=2, kept=4)


def test_it_has_the_published_number_of_parameters():
    network = RegionProposalNetwork(256, ProposalRecipe())
    assert sum(p.numel() for p in network.parameters()) == 597_790
    assert network.score.weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_predictions_have_the_order_of_the_anchors():
    """A head that only sees its cell, on maps whose values are the cell's number: scores name cells and anchors."""
    recipe = ProposalRecipe(scales=(2.0, 4.0), ratios=(1.0,))
    network = RegionProposalNetwork(1, recipe)
    with torch.no_grad():
        network.body.weight.zero_()
        network.body.weight[0, 0, 1, 1] = 1
        network.score.weight.copy_(torch.tensor([1.0, 100.0]).view(2, 1, 1, 1))
        network.deltas.weight.copy_(torch.arange(8.0).view(8, 1, 1, 1))
    pyramid = [torch.arange(6.0).reshape(1, 1, 2, 3), torch.full((1, 1, 1, 1), 7.0)]
    predicted = network(pyramid, (4, 8))
    cells = [0, 1, 2, 3, 4, 5, 7]
    assert predicted.scores[0].tolist() == pytest.approx([f * cell for cell in cells for f in (1, 100)])
    assert predicted.deltas[0, 3].tolist() == pytest.approx([4, 5, 6, 7])  # cell 1, second anchor
    assert predicted.level.tolist() == [0] * 12 + [1] * 2
    first = grid_anchors((2, 3), 4, (2.0, 4.0), (1.0,))
    torch.testing.assert_close(
        predicted.anchors, torch.cat([first, grid_anchors((1, 1), 8, (2.0, 4.0), (1.0,))])
    )


def predictions(anchors, scores, level=None):
    boxes = torch.tensor(anchors, dtype=torch.float32)
    levels = torch.tensor(level or [0] * len(anchors))
    return AnchorPredictions(torch.tensor([scores]), torch.zeros(1, len(anchors), 4), boxes, levels)


def test_proposals_are_the_best_of_each_level_clipped_and_without_overlaps():
    network = RegionProposalNetwork(1, ONE).train()
    anchors = [[-5, 0, 10, 10], [0, 0, 10, 10], [20, 0, 60, 10], [0, 20, 9, 29], [0, 0, 10, 10]]
    predicted = predictions(anchors, [1.0, 3.0, 2.0, 0.5, 9.0], [0, 0, 0, 0, 1])
    found = network.proposals(predicted, 0, (32, 40)).tolist()
    # level 1 first; of level 0 the best three, of which the third overlaps the first after clipping
    assert found == [[0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 40, 10]]
    assert network.eval().proposals(predicted, 0, (32, 40)).tolist() == found
    outside = predictions([[50, 50, 60, 60], [-9, 0, 0, 4]], [1.0, 2.0])
    assert network.proposals(outside, 0, (32, 40)).shape == (0, 4)


def test_the_loss_by_hand():
    """Of four anchors the first finds the target, the second is between, two are background."""
    target = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    anchors = [[0.0, 0, 10, 8], [0, 0, 10, 5], [30, 30, 40, 40], [50, 50, 60, 60]]
    scores = torch.tensor([0.3, 5.0, -1.0, 2.0])
    deltas = torch.tensor([[0.0, 0.5, 0.0, 3.0]] * 4)
    predicted = AnchorPredictions(scores[None], deltas[None], torch.tensor(anchors), torch.zeros(4))
    loss = region_proposal_loss(predicted, [target], ProposalRecipe(), [torch.Generator()])
    wanted = F.binary_cross_entropy_with_logits(scores[[0, 2, 3]], torch.tensor([1.0, 0, 0]))
    assert loss.score.item() == pytest.approx(wanted.item(), rel=1e-5)
    difference = [0, 0.5 - 1 / 8, 0, 3 - torch.tensor(10 / 8).log().item()]
    smooth = sum(d**2 / 2 if abs(d) < 1 else abs(d) - 0.5 for d in difference)
    assert loss.box.item() == pytest.approx(smooth / 3, rel=1e-5)


def test_images_without_targets_train_the_scores_alone():
    predicted = predictions([[0.0, 0, 10, 10]], [0.0])
    loss = region_proposal_loss(predicted, [torch.zeros(0, 4)], ProposalRecipe(), [torch.Generator()])
    assert loss.score.item() == pytest.approx(0.6931, abs=1e-3) and loss.box.item() == 0


@pytest.mark.parametrize(("height", "found"), [(2.9, False), (3.0, True), (5.0, True)])
def test_a_target_has_its_best_anchor_only_from_the_negative_threshold_on(height, found):
    """An anchor of IoU 0.3 with the target is far from 0.7, but no other one is better; one of 0.29 is background."""
    target = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    anchors = [[0.0, 0, 10, height], [30, 30, 40, 40]]
    loss = region_proposal_loss(
        predictions(anchors, [0.4, -0.2]), [target], ProposalRecipe(), [torch.Generator()]
    )
    is_positive = torch.tensor([float(found), 0.0])
    wanted = F.binary_cross_entropy_with_logits(torch.tensor([0.4, -0.2]), is_positive)
    assert loss.score.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert (loss.box.item() > 0) == found


def test_both_terms_are_divided_by_all_sampled_anchors_of_all_images():
    """Two images: with a target and three anchors that count, and without one; at most two are sampled of each."""
    recipe = ProposalRecipe(sampled=2, share=0.5)
    anchors = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 9], [30, 30, 40, 40]])
    deltas = torch.zeros(2, 3, 4)
    deltas[0, :, 0] = 2.0
    predicted = AnchorPredictions(torch.zeros(2, 3), deltas, anchors, torch.zeros(3))
    targets = [torch.tensor([[50.0, 50, 60, 60], [0, 0, 10, 10]]), torch.zeros(0, 4)]
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    loss = region_proposal_loss(predicted, targets, recipe, generators)
    assert loss.score.item() == pytest.approx(torch.tensor(2.0).log().item(), rel=1e-5)
    of_either = []
    for height in (8, 9):  # the positive that was drawn: its target is the second one
        shift, size = (10 - height) / 2 / height, torch.tensor(10 / height).log().item()
        of_either.append(((2.0 - 0.5) + shift**2 / 2 + size**2 / 2) / 4)
    assert any(loss.box.item() == pytest.approx(wanted, rel=1e-5) for wanted in of_either)
