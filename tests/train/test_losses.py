import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.masks.iou import mask_iou
from minisam.train.losses import dice_loss, focal_loss, full_size_loss, segmentation_loss


def random_problem(seed, prompts=3, masks=3, size=5):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(prompts, masks, size, size, generator=generator) * 3
    iou = torch.rand(prompts, masks, generator=generator)
    targets = (torch.rand(prompts, size, size, generator=generator) > 0.5).float()
    return logits, iou, targets


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_focal_loss_of_hard_targets_is_the_published_formula(seed):
    logits, _, targets = random_problem(seed)
    targets = targets[:, None]
    p = logits.double().sigmoid()
    p_t = torch.where(targets > 0.5, p, 1 - p)
    alpha_t = torch.where(targets > 0.5, 0.25, 0.75)
    expected = (-alpha_t * (1 - p_t) ** 2 * p_t.log()).mean(dim=(-2, -1))
    torch.testing.assert_close(focal_loss(logits, targets).double(), expected, rtol=1e-4, atol=1e-6)


def test_focal_loss_with_gamma_zero_and_equal_weights_is_half_cross_entropy():
    logits, _, targets = random_problem(1)
    targets = targets[:, None]
    expected = 0.5 * F.binary_cross_entropy_with_logits(
        logits, targets.expand_as(logits), reduction="none"
    ).mean((-2, -1))
    torch.testing.assert_close(focal_loss(logits, targets, alpha=0.5, gamma=0.0), expected)


def test_dice_loss_by_hand():
    logits = torch.tensor([[[100.0, -100.0], [100.0, -100.0]]])
    targets = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert dice_loss(logits, targets).item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))


def test_mask_iou_by_hand_and_of_two_empty_masks():
    a = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=torch.bool)
    b = torch.tensor([[[1, 0], [1, 0]], [[0, 0], [0, 0]]], dtype=torch.bool)
    torch.testing.assert_close(mask_iou(a, b), torch.tensor([1 / 3, 0.0]))


def test_only_the_best_mask_gets_a_gradient_and_every_iou_prediction_does():
    logits, iou, targets = random_problem(2)
    logits[:, 1] = (targets * 2 - 1) * 8
    logits.requires_grad_()
    iou.requires_grad_()
    segmentation_loss(logits, iou, targets).total.backward()
    touched = logits.grad.abs().sum(dim=(-2, -1)) > 0
    assert touched.tolist() == [[False, True, False]] * 3
    assert (iou.grad != 0).all()


def test_the_loss_is_twenty_focal_one_dice_one_iou():
    logits, iou, targets = random_problem(3, masks=1)
    loss = segmentation_loss(logits, iou, targets)
    expected = 20 * focal_loss(logits, targets[:, None]).mean() + dice_loss(logits, targets[:, None]).mean()
    expected = expected + F.mse_loss(iou, mask_iou(logits > 0, targets[:, None] > 0.5))
    torch.testing.assert_close(loss.total, expected)


def test_the_iou_loss_is_the_squared_error_of_all_masks_unless_another_is_given():
    logits, iou, targets = random_problem(5)
    plain = segmentation_loss(logits, iou, targets)
    torch.testing.assert_close(plain.iou, F.mse_loss(iou, plain.true_iou))
    given = []

    def iou_loss(predicted, true, trained):
        given.append((predicted, true, trained))
        return torch.tensor(7.0)

    other = segmentation_loss(logits, iou, targets, iou_loss)
    ((predicted, true, trained),) = given
    each = 20 * focal_loss(logits, targets[:, None]) + dice_loss(logits, targets[:, None])
    assert predicted.equal(iou) and true.equal(plain.true_iou) and trained.equal(each.argmin(dim=1))
    torch.testing.assert_close(other.total, plain.total - plain.iou + 7)


def test_shown_iou_is_that_of_the_mask_with_the_highest_prediction():
    logits, iou, targets = random_problem(4)
    loss = segmentation_loss(logits, iou, targets)
    for prompt in range(len(iou)):
        assert loss.shown_iou[prompt] == loss.true_iou[prompt, iou[prompt].argmax()]


def nothing_or_three_pixels_for_one():
    logits, target = torch.full((2, 64, 64), -9.0), torch.zeros(64, 64)
    target[3, 3] = 1
    logits[0], logits[1, 3, 3:6] = -12, 3
    return logits, target


def too_faint_or_four_times_too_large():
    logits, target = torch.full((2, 16, 16), -9.0), torch.zeros(16, 16)
    target[2:4, 2:4] = 1
    logits[0, 2:4, 2:4], logits[1, 2:6, 2:6] = -2, 2
    return logits, target


@pytest.mark.parametrize(
    ("masks", "by_focal", "by_dice", "by_both"),
    [(nothing_or_three_pixels_for_one, 0, 1, 1), (too_faint_or_four_times_too_large, 0, 1, 0)],
)
def test_the_best_mask_is_that_of_the_weighted_sum(masks, by_focal, by_dice, by_both):
    logits, target = masks()
    focal, dice = focal_loss(logits, target), dice_loss(logits, target)
    best = [losses.argmin().item() for losses in (focal, dice, 20 * focal + dice)]
    assert best == [by_focal, by_dice, by_both]
    loss = segmentation_loss(logits[None], torch.zeros(1, 2), target[None])
    torch.testing.assert_close(torch.stack([loss.focal, loss.dice]), torch.stack([focal, dice])[:, by_both])


def test_a_logit_of_zero_and_half_a_pixel_are_background():
    logits, targets = torch.full((1, 1, 2, 2), 5.0), torch.ones(1, 2, 2)
    logits[0, 0, 0, 0] = 0.0
    targets[0, 1, 1] = 0.5
    loss = segmentation_loss(logits, torch.zeros(1, 1), targets)
    torch.testing.assert_close(loss.true_iou, torch.tensor([[2 / 4]]))


def test_half_precision_is_summed_in_float32():
    logits, iou, targets = random_problem(6, size=40)
    halves = logits.bfloat16(), iou.bfloat16(), targets.bfloat16()
    exact = segmentation_loss(*(values.float() for values in halves))
    for ours, expected in zip(segmentation_loss(*halves), exact, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, expected)


def test_a_single_pixel_is_found_or_not():
    pixel = torch.zeros(3, 3, dtype=torch.bool)
    pixel[1, 1] = True
    assert mask_iou(pixel, pixel) == 1 and mask_iou(pixel, pixel.roll(1)) == 0


def test_at_full_size_logits_are_enlarged_as_for_the_user():
    logits, iou, _ = random_problem(0, size=4)
    targets = (torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    enlarged = F.interpolate(logits, size=(16, 16), mode="bilinear", align_corners=False)
    for one, other in zip(
        full_size_loss(logits, iou, targets), segmentation_loss(enlarged, iou, targets), strict=True
    ):
        assert torch.equal(one, other)


def test_a_wire_counts_at_full_size_and_is_lost_at_low_resolution():
    wire = torch.zeros(1, 32, 32)
    wire[:, :, 13] = 1
    low = F.interpolate(wire[None], size=(8, 8), mode="area")[0]
    found, iou = torch.full((1, 1, 8, 8), -4.0), torch.zeros(1, 1)
    found[..., 3] = 4
    assert segmentation_loss(found, iou, low).true_iou.item() == 0  # no pixel is more than half covered
    assert full_size_loss(found, iou, wire).true_iou.item() > 0.2
