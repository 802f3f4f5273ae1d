"""Where the simulated user clicks, and what goes back into the network."""

import torch
from toy_sam import SIZE, ToySam, nested_scenes

from minisam.evaluate.clicks import full_size_masks, next_clicks, simulate_clicks
from minisam.model.prompt_encoder import BACKGROUND, FOREGROUND
from minisam.predict.prompted import Prompted


def mask_of(*squares: tuple[int, int, int]) -> torch.Tensor:
    """A mask of squares, each (x, y, side)."""
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    for x, y, side in squares:
        mask[0, y : y + side, x : x + side] = True
    return mask


def test_the_deeper_error_is_clicked():
    right, small, large = (2, 2, 6), (20, 3, 3), (12, 15, 7)
    click, label = next_clicks(mask_of(right, small), mask_of(right, large))
    assert (click.tolist(), label.tolist()) == ([[15, 18]], [FOREGROUND])
    click, label = next_clicks(mask_of(right, large), mask_of(right, small))
    assert (click.tolist(), label.tolist()) == ([[15, 18]], [BACKGROUND])


def test_depth_counts_and_not_area():
    compact, stripe = mask_of((2, 2, 5)), mask_of(*((x, 20, 2) for x in range(0, 30, 2)))
    assert stripe.sum() > compact.sum()
    click, label = next_clicks(stripe, compact)
    assert (click.tolist(), label.tolist()) == ([[4, 4]], [FOREGROUND])


def test_a_perfect_mask_gets_the_deepest_background():
    target = torch.zeros(1, 9, 20, dtype=torch.bool)
    target[0, :, :9] = True
    click, label = next_clicks(target, target)
    assert (click.tolist(), label.tolist()) == ([[13, 4]], [BACKGROUND])


def test_a_perfect_mask_of_everything_gets_a_click_inside():
    everything = torch.ones(1, 8, 8, dtype=torch.bool)
    point, label = next_clicks(everything, everything)
    assert (point.tolist(), label.tolist()) == ([[3, 3]], [FOREGROUND])


def test_masks_go_back_and_points_add_up():
    """The network answers with the subpart, then the part, then the whole, which is the target."""
    scenes = nested_scenes(2)
    state = {"single": 0}

    def answer(levels, click, first):
        if first:
            return levels, torch.tensor([0.1, 0.3, 0.9])
        state["single"] += 1
        return levels[[1 if state["single"] <= 2 else 0]], torch.tensor([0.5])

    sam = ToySam(answer).eval()
    targets = scenes.labels[:, 0] == 0
    middle = torch.tensor([[11, 11], [11, 12]])
    prompted = Prompted(sam, scenes.images, torch.arange(2))  # pyright: ignore
    session = simulate_clicks(prompted, targets, middle, 3)

    torch.testing.assert_close(session.shown_iou, torch.tensor([[36, 144, 400]] * 2) / 400)
    torch.testing.assert_close(session.first_iou, torch.tensor([[400, 144, 36]] * 2) / 400)
    assert [call.points[0].shape[1] for call in sam.calls] == [1, 2, 3]
    assert [call.masks is None for call in sam.calls] == [True, False, False]
    for call, level in ((1, 2), (2, 1)):
        logits = torch.where(scenes.labels[:, level] == level, 1.0, -1.0)
        assert torch.equal(sam.calls[call].masks[:, 0], logits)
    assert sam.calls[2].points[0][:, 0].tolist() == middle.tolist()
    assert (sam.calls[2].points[1] == FOREGROUND).all()


def test_logits_are_enlarged_before_the_threshold():
    logits = torch.tensor([[[[-1.0, 3.0]]]]).expand(1, 1, 2, 2)
    assert full_size_masks(logits, 8)[0, 0].sum(dim=1).tolist() == [5] * 8


def test_of_two_errors_of_one_depth_the_spilled_one_is_clicked():
    right, missed, spilled = (2, 2, 6), (20, 3, 5), (12, 15, 5)
    click, label = next_clicks(mask_of(right, spilled), mask_of(right, missed))
    assert (click.tolist(), label.tolist()) == ([[14, 17]], [BACKGROUND])


def test_a_logit_of_zero_is_background():
    assert not full_size_masks(torch.zeros(1, 1, 4, 4), 8).any()
