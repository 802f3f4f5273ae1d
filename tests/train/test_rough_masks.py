"""Rough masks: widths by hand where nothing wobbles, and the values that a network's own logits have."""

import torch

from minisam.masks.iou import mask_iou
from minisam.train import rough_masks
from minisam.train.rough_masks import rough_mask_logits


def targets(count=64, size=64):
    masks = torch.zeros(count, size, size)
    for index in range(count):
        side = 3 + index % 40
        masks[index, 5 : 5 + side, 10 : 10 + side // 2 + 1] = 1.0
    return masks


def test_a_rough_mask_is_the_object_but_not_exactly():
    exact = targets()
    rough = rough_mask_logits(exact, torch.Generator().manual_seed(0))
    assert rough.shape == (64, 1, 64, 64)
    assert rough.min() >= -10 and rough.max() <= 10
    iou = mask_iou(rough[:, 0] > 0, exact > 0.5)
    large = exact.flatten(1).sum(1) > 200
    assert 0.4 < iou[large].mean() < 0.97
    assert (iou[large] < 0.999).float().mean() > 0.8


def test_no_rough_mask_is_empty_however_small_the_object():
    exact = torch.zeros(200, 64, 64)
    exact[torch.arange(200), torch.arange(200) % 64, (7 * torch.arange(200)) % 64] = 0.3
    rough = rough_mask_logits(exact, torch.Generator().manual_seed(1))
    assert (rough > 0).flatten(1).any(dim=1).all()


def test_half_are_zeros_and_ones_as_a_drawn_mask_is():
    rough = rough_mask_logits(targets(200), torch.Generator().manual_seed(2))
    drawn = (rough.abs() == 10).flatten(1).all(dim=1)
    assert 0.35 < drawn.float().mean() < 0.65


def test_the_generator_decides():
    one, two, three = (rough_mask_logits(targets(8), torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(one, two) and not torch.equal(one, three)


def test_a_line_becomes_as_wide_as_a_pixel_of_the_coarse_mask(monkeypatch):
    monkeypatch.setattr(rough_masks, "WOBBLE", 0.0)
    line = torch.zeros(40, 64, 64)
    line[:, :, 12] = 1.0
    shown = rough_mask_logits(line, torch.Generator().manual_seed(0))[:, 0] > 0
    first, last = shown[:, 0].float().argmax(dim=1), 63 - shown[:, 0].flip(1).float().argmax(dim=1)
    widths = set(zip(first.tolist(), last.tolist(), strict=True))
    assert widths == {(0, 15), (8, 15), (12, 15), (12, 13)}  # 4, 8, 16 and 32 pixels per side
    assert (shown == shown[:, :1]).all()


def test_soft_logits_are_never_near_the_threshold():
    square = torch.zeros(60, 64, 64)
    square[:, 10:40, 20:50] = 1.0
    soft = rough_mask_logits(square, torch.Generator().manual_seed(3))
    soft = soft[~(soft.abs() == 10).flatten(1).all(dim=1)]
    # just inside 0.55 + 0.45 / 2, just outside 0.45 / 2
    assert 5.5 - 1e-4 <= soft[soft > 0].min() < 5.7
    assert -5.7 < soft[soft < 0].max() <= -5.5 + 1e-4


def test_nothing_wobbles_far_from_the_object():
    corner = torch.zeros(60, 64, 64)
    corner[:, :8, :8] = 1.0
    rough = rough_mask_logits(corner, torch.Generator().manual_seed(4))
    assert (rough[..., 24:, :] == -10).all() and (
        rough[..., 24:] == -10
    ).all()  # 16 / 2 beyond its coarse pixel


def test_the_surface_is_a_smooth_one_of_a_quarter():
    """Where all is object, what is taken out is where N(0, 1) · 0.25 < −0.5, in spots as wide as a sixth of it."""
    rough = rough_mask_logits(torch.ones(400, 64, 64), torch.Generator().manual_seed(5))
    holes = rough[:, 0] < 0
    assert 0.002 < holes.float().mean() < 0.02
    down = (holes[:, 1:] & ~holes[:, :-1]).sum()
    assert 4 < holes.sum() / down < 16  # rows of a hole
