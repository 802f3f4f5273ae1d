import pytest
import torch

from minisam.build import CONFIGS, build_from_config
from minisam.train.initialise import initialise_
from minisam.train.interactive import Rounds, interactive_rounds
from minisam.train.losses import segmentation_loss

E = CONFIGS["nano"].prompt_dim


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    initialise_(sam)
    return sam


def some_masks(count=4, size=64):
    masks = torch.zeros(count, size, size, dtype=torch.bool)
    for index in range(count):
        masks[index, 10 : 30 + 4 * index, 12:40] = True
    return masks


def test_the_papers_schedule_has_eight_points_and_two_mask_only_rounds_one_of_them_last():
    generator = torch.Generator().manual_seed(0)
    schedules = [tuple(Rounds(8, 2).schedule(generator)) for _ in range(300)]
    assert {len(s) for s in schedules} == {10}
    assert {sum(s) for s in schedules} == {8}
    assert not any(s[-1] for s in schedules)
    assert {s[:-1].index(False) for s in schedules} == set(range(9))


def test_no_rounds_means_the_first_prompt_only():
    assert Rounds(0, 0).schedule() == []


def test_fewer_than_no_rounds_are_refused():
    for corrective, mask_only in ((-1, 2), (8, -2)):
        with pytest.raises(ValueError, match="use 0 or more"):
            Rounds(corrective, mask_only)


def test_first_round_trains_three_masks_and_later_rounds_one(nano):
    embeddings = torch.randn(2, E, 8, 8)
    index = torch.tensor([0, 0, 1, 1])
    losses = interactive_rounds(
        nano, embeddings, index, some_masks(), [True, False], torch.Generator().manual_seed(0)
    )
    assert [loss.true_iou.shape for loss in losses] == [(4, 3), (4, 1), (4, 1)]


def gradient_norm(module):
    return sum(p.grad.abs().sum().item() for p in module.parameters() if p.grad is not None)


def test_which_heads_a_single_round_trains(nano):
    nano.zero_grad(set_to_none=True)
    embeddings = torch.randn(1, E, 8, 8, requires_grad=True)
    losses = interactive_rounds(nano, embeddings, torch.zeros(4, dtype=torch.long), some_masks(), [])
    losses[0].total.backward()
    heads = nano.mask_decoder.output_hypernetworks_mlps
    assert gradient_norm(heads[0]) == 0
    assert sum(gradient_norm(heads[m]) > 0 for m in (1, 2, 3)) >= 1
    assert embeddings.grad.abs().sum() > 0
    nano.zero_grad(set_to_none=True)


def test_feedback_carries_no_gradient_but_trains_the_mask_network(nano):
    nano.zero_grad(set_to_none=True)
    embeddings = torch.randn(1, E, 8, 8)
    losses = interactive_rounds(nano, embeddings, torch.zeros(4, dtype=torch.long), some_masks(), [True])
    losses[1].total.backward()
    assert gradient_norm(nano.prompt_encoder.mask_downscaling) > 0
    heads = nano.mask_decoder.output_hypernetworks_mlps
    assert gradient_norm(heads[0]) > 0
    assert all(gradient_norm(heads[m]) == 0 for m in (1, 2, 3))
    nano.zero_grad(set_to_none=True)


def test_every_round_has_the_loss_that_is_given(nano):
    def shapes(logits, iou, targets):
        given.append((logits.shape, iou.shape, targets.shape))
        return segmentation_loss(logits, iou, targets)._replace(total=logits.sum() * 0 + len(given))

    given, index = [], torch.zeros(4, dtype=torch.long)
    losses = interactive_rounds(nano, torch.randn(1, E, 8, 8), index, some_masks(), [True], loss=shapes)
    assert given == [((4, masks, 32, 32), (4, masks), (4, 32, 32)) for masks in (3, 1)]
    assert [loss.total.item() for loss in losses] == [1, 2]
