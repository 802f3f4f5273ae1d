import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.masks.boxes import tight_boxes
from minisam.masks.sampling import sample_pixels
from minisam.train.prompts import corrective_points, first_prompts, noisy_boxes


def random_masks(seed, prompts=8, size=23, share=0.3):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(prompts, size, size, generator=generator) < share
    masks[:, size // 2, size // 3] = True
    return masks, generator


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01, 0.5, 1.0]))
def test_sampled_pixels_lie_in_their_region(seed, share):
    masks, generator = random_masks(seed, share=share)
    x, y = sample_pixels(masks, generator).unbind(1)
    assert masks[torch.arange(len(masks)), y, x].all()


def test_sampled_pixels_are_uniform_over_the_region():
    region = torch.zeros(1, 4, 5, dtype=torch.bool)
    region[0, 1, 2] = region[0, 3, 4] = region[0, 0, 0] = True
    draws = sample_pixels(region.expand(9000, 4, 5), torch.Generator().manual_seed(0))
    for pixel in ((2, 1), (4, 3), (0, 0)):
        share = (draws == torch.tensor(pixel)).all(dim=1).float().mean().item()
        assert abs(share - 1 / 3) < 0.03


def test_sampling_an_empty_region_gives_the_origin():
    assert sample_pixels(torch.zeros(2, 3, 3, dtype=torch.bool)).tolist() == [[0, 0], [0, 0]]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_tight_boxes_touch_the_outermost_pixels(seed):
    masks, _ = random_masks(seed, share=0.02)
    for mask, box in zip(masks, tight_boxes(masks), strict=True):
        y, x = mask.nonzero().unbind(1)
        assert box.tolist() == [x.min(), y.min(), x.max(), y.max()]


def test_box_noise_has_the_papers_deviation_and_limit():
    masks = torch.zeros(4000, 100, 100, dtype=torch.bool)
    masks[:, 40:50, 45:55] = True
    noise = noisy_boxes(masks, torch.Generator().manual_seed(0)) - tight_boxes(masks)
    assert 0.85 < noise.std().item() < 1.05
    assert noise.abs().max().item() <= 100 * 20 / 1024 + 1e-5


def test_noisy_boxes_stay_inside_the_image():
    boxes = noisy_boxes(torch.ones(50, 60, 60, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert boxes.min().item() >= 0 and boxes.max().item() <= 59
    assert not boxes.equal(torch.tensor([0.0, 0.0, 59.0, 59.0]).expand(50, 4))


def test_first_prompts_are_points_with_padding_or_boxes_without():
    masks, generator = random_masks(5, prompts=400)
    coords, labels = first_prompts(masks, 0.5, generator)
    boxes = (labels == torch.tensor([2, 3])).all(dim=1)
    points = (labels == torch.tensor([1, -1])).all(dim=1)
    assert (boxes ^ points).all()
    assert 0.4 < boxes.float().mean().item() < 0.6
    x, y = coords[points, 0].long().unbind(1)
    assert masks[points][torch.arange(int(points.sum())), y, x].all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_a_correction_lies_in_the_error_and_is_labelled_by_what_was_wanted(seed):
    wanted, generator = random_masks(seed, size=16)
    predicted, _ = random_masks(seed + 1, size=16)
    coords, labels = corrective_points(predicted.float() * 2 - 1, wanted.float(), 64, generator)
    cells = ((coords[:, 0] + 0.5) / 4).long()
    rows = torch.arange(len(cells))
    at = rows, cells[:, 1], cells[:, 0]
    assert (wanted[at] != predicted[at]).all()
    assert ((labels[:, 0] == 1) == wanted[at]).all()


def test_a_perfect_mask_is_corrected_by_a_background_point():
    wanted, generator = random_masks(7, size=16)
    coords, labels = corrective_points(wanted.float() * 2 - 1, wanted.float(), 16, generator)
    x, y = coords[:, 0].long().unbind(1)
    assert (labels == 0).all()
    assert not wanted[torch.arange(len(wanted)), y, x].any()


def test_the_side_of_a_box_counts_both_outer_pixels():
    """The box of one pixel is 1 wide, of 9 pixels 9: the noise is a tenth of that."""
    masks = torch.zeros(6000, 64, 64, dtype=torch.bool)
    masks[:, 20:29, 30] = True
    noise = noisy_boxes(masks, torch.Generator().manual_seed(0)) - tight_boxes(masks)
    torch.testing.assert_close(noise[:, ::2].std(), torch.tensor(0.1), rtol=0.05, atol=0)
    torch.testing.assert_close(noise[:, 1::2].abs().median(), torch.tensor(0.6745 * 0.9), rtol=0.05, atol=0)
    assert noise.abs().max().item() == pytest.approx(64 * 20 / 1024, abs=1e-4)
    assert abs(torch.corrcoef(noise.T)[0, 2].item()) < 0.05


def test_a_correction_sits_in_the_middle_of_its_low_resolution_pixel():
    wanted = torch.zeros(1, 4, 4)
    wanted[0, 1, 2] = 1
    coords, labels = corrective_points(torch.full((1, 4, 4), -1.0), wanted, 32)
    assert coords.tolist() == [[[19.5, 11.5]]] and labels.tolist() == [[1]]
    coords, labels = corrective_points(-torch.ones(1, 4, 4).where(wanted == 0, -1), wanted * 0, 32)
    assert coords.tolist() == [[[19.5, 11.5]]] and labels.tolist() == [[0]]


def test_a_logit_of_zero_and_half_a_pixel_are_background():
    logits, targets = torch.full((1, 2, 2), -3.0), torch.zeros(1, 2, 2)
    logits[0, 0, 1], targets[0, 1, 0] = 0.0, 0.5
    _, labels = corrective_points(logits, targets, 2)  # nothing is wrong, and all is background
    assert labels.tolist() == [[0]]
    targets[0, 1, 1] = 0.6
    for seed in range(8):
        coords, labels = corrective_points(logits, targets, 2, torch.Generator().manual_seed(seed))
        assert (coords.tolist(), labels.tolist()) == ([[[1.0, 1.0]]], [[1]])


def test_boxes_are_as_likely_as_asked():
    masks, generator = random_masks(5, prompts=3000, size=9)
    for probability in (0.0, 0.2, 1.0):
        labels = first_prompts(masks, probability, generator)[1]
        assert abs((labels[:, 0] == 2).float().mean().item() - probability) < 0.03
