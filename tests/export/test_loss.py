import numpy as np
import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.export import loss
from minisam.export.loss import clicks, mean_iou, run_by_network
from minisam.export.parts import part_of


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(loss, "SCENES", 2)


def test_a_click_lies_on_its_object(sam):
    found = list(clicks(sam, 2))
    size = sam.image_encoder.img_size
    assert len(found) > 2
    for images, (x, y), mask in found:
        assert images.shape == (1, 3, size, size) and mask.shape == (size, size)
        assert mask[int(y), int(x)]


def test_each_part_in_place_of_itself_changes_nothing(sam):
    values = [
        mean_iou(name, run_by_network(part_of(sam, name)), sam) for name in ("encoder", "decoder", "both")
    ]
    assert 0 < values[0] < 1 and np.allclose(values, values[0], atol=1e-6)


@pytest.mark.parametrize("name", ["encoder", "decoder", "both"])
def test_a_part_that_is_wrong_changes_the_value(sam, name):
    run = run_by_network(part_of(sam, name))
    wrong = mean_iou(name, lambda inputs: [0 * output for output in run(inputs)], sam)
    assert abs(wrong - mean_iou(name, run, sam)) > 1e-3


@pytest.mark.parametrize("threshold", [0.0, 4.0])
def test_the_best_of_the_masks_counts_at_the_networks_own_threshold(sam, monkeypatch, threshold):
    monkeypatch.setattr(sam, "mask_threshold", threshold)
    targets = iter([mask for _, _, mask in clicks(sam, 2)])

    def exact(inputs):
        mask = next(targets).float() - 0.5
        return [threshold + torch.stack([-mask, mask])[None].numpy()]

    assert mean_iou("decoder", exact, sam) == 1
