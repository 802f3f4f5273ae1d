import numpy as np
import torch

from minisam.masks.stability_score import calculate_stability_score, stability_of_counts


def test_iou_of_the_two_masks():
    logits = torch.tensor([[3.0, 1.5, 0.5], [-0.5, -1.5, 1.0]])
    inner, outer = logits > 1.0, logits > -1.0
    expected = (inner & outer).sum() / (inner | outer).sum()
    assert calculate_stability_score(logits, 0.0, 1.0) == expected
    assert calculate_stability_score(logits[None, None], 0.5, 1.0).shape == (1, 1)


def test_counts_give_the_same():
    assert stability_of_counts(2, 5) == np.float32(2) / np.float32(5)
    assert np.isnan(stability_of_counts(0, 0))
    assert calculate_stability_score(torch.full((4, 4), -9.0), 0.0, 1.0).isnan()
