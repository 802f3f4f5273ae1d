import torch

from minisam.train.losses import mask_iou
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
