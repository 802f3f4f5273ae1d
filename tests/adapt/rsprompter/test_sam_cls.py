"""SAM-cls: its crops and labels by hand, and whether its small network learns."""

from __future__ import annotations

import numpy as np
import torch

from minisam.adapt.rsprompter.sam_cls import CROP_SIDE, Candidates, classified, crop, train_classifier


def candidates(masks: np.ndarray) -> Candidates:
    """Candidates with these masks, without a network."""
    made = Candidates.__new__(Candidates)
    made.masks, made.boxes = masks, torch.zeros(len(masks), 4)
    made.crops = torch.zeros(len(masks), CROP_SIDE, CROP_SIDE, 3, dtype=torch.uint8)
    return made


def stripes(*columns: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(columns), 10, 40), bool)
    for mask, (first, last) in zip(masks, columns, strict=True):
        mask[:, first:last] = True
    return masks


def test_a_candidate_has_the_label_of_the_object_that_it_overlaps_most():
    found = candidates(stripes((0, 10), (8, 20), (30, 40), (0, 2)))
    targets = stripes((0, 10), (12, 20))
    assert found.labels(targets, [3, 1], 5).tolist() == [3, 1, 5, 5]  # IoU 0.2 is not above 0.2
    assert found.labels(targets[:0], [], 5).tolist() == [5] * 4
    assert candidates(targets[:0]).labels(targets, [3, 1], 5).tolist() == []


def test_a_crop_has_twice_the_box_and_is_sharp_only_inside_the_mask():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (96, 96, 3)).astype(np.uint8)
    mask = np.zeros((96, 96), bool)
    mask[36:60, 36:60] = True
    cut = crop(image, mask, (36, 36, 60, 60)).astype(float)
    assert cut.shape == (CROP_SIDE, CROP_SIDE, 3)
    assert (cut[12:36, 12:36] == image[36:60, 36:60]).all()
    assert cut[:10].std() < 0.4 * cut[12:36, 12:36].std()
    at_border = crop(image, mask, (0, 0, 24, 24))
    assert (at_border[:12] == 127).all()  # beyond the image


def test_objects_are_sorted_by_their_scores_with_their_own_boxes_labels_and_masks():
    found = candidates(stripes((0, 5), (6, 9), (10, 20)))
    found.boxes = torch.arange(12.0).view(3, 4)
    logits = torch.tensor([[1.0, 0, 0], [0, 3, 0], [0, 0.5, 2]])  # background last
    result = classified(lambda crops: logits, found)  # pyright: ignore[reportArgumentType]
    order = [1, 0, 2]
    assert result.labels.tolist() == [1, 0, 1]
    assert result.scores.equal(logits.softmax(dim=1)[order, [1, 0, 1]])
    assert result.boxes.equal(found.boxes[order]) and np.array_equal(result.masks, found.masks[order])


def test_the_network_tells_red_from_blue():
    crops = torch.full((12, CROP_SIDE, CROP_SIDE, 3), 60, dtype=torch.uint8)
    crops[:6, ..., 0], crops[6:, ..., 2] = 220, 220
    labels = torch.tensor([0] * 6 + [1] * 6)
    before = torch.get_rng_state()
    network = train_classifier(crops, labels, 2, seed=0, steps=15, batch_size=8)
    assert torch.get_rng_state().equal(before)
    found = candidates(stripes((0, 5), (6, 9)))
    found.crops = crops[[0, 11]]
    result = classified(network, found)
    assert sorted(result.labels.tolist()) == [0, 1] and result.scores.min() > 0.5
    assert result.scores.tolist() == sorted(result.scores.tolist(), reverse=True)
    assert [len(one) for one in classified(network, candidates(stripes()))] == [0] * 4
