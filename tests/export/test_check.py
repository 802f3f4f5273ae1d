from dataclasses import replace

import numpy as np
import pytest
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.export.check import TOLERANCE, differ, kinds_of_input, largest_difference
from minisam.export.parts import part_of


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


def faulty(part, fault):
    """A run of the part whose outputs pass through `fault(name, output)`."""

    def run(inputs):
        outputs = part.module(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [
            fault(name, output.numpy().copy()) for name, output in zip(part.outputs, outputs, strict=True)
        ]

    return run


@pytest.mark.parametrize("name", ["encoder", "decoder", "both"])
def test_the_same_results_have_no_difference(sam, name):
    part = part_of(sam, name)
    assert largest_difference(faulty(part, lambda name, output: output), part, sam) == 0


@pytest.mark.parametrize("which", ["masks", "iou_predictions", "low_res_masks"])
def test_each_output_is_compared(sam, which):
    part = part_of(sam, "decoder")

    def scaled(name, output):
        return output * 1.001 if name == which else output

    assert largest_difference(faulty(part, scaled), part, sam) > TOLERANCE


@pytest.mark.parametrize("which", ["masks", "iou_predictions", "low_res_masks"])
def test_a_value_that_is_not_a_number_is_a_difference(sam, which):
    part = part_of(sam, "decoder")

    def spoilt(name, output):
        if name == which:
            output.flat[-1] = np.nan
        return output

    assert largest_difference(faulty(part, spoilt), part, sam) == float("inf")


def test_another_shape_is_a_difference(sam):
    part = part_of(sam, "decoder")
    assert largest_difference(faulty(part, lambda name, output: output[:, :1]), part, sam) == float("inf")


@pytest.mark.parametrize("name", ["encoder", "decoder"])
@pytest.mark.parametrize(
    "change", [lambda x: x.reshape(-1), lambda x: x[None]], ids=["flat", "one axis more"]
)
def test_the_same_numbers_in_another_shape_are_a_difference(sam, name, change):
    part = part_of(sam, name)

    def changed(which, output):
        return change(output) if which in ("image_embeddings", "iou_predictions") else output

    assert largest_difference(faulty(part, changed), part, sam) == float("inf")


def test_masks_may_differ_only_where_logits_are_close_to_the_threshold():
    logits = np.array([-2.0, -0.0005, 0.0005, 2.0])
    assert not differ(logits, np.array([-2.0, 0.0005, -0.0005, 2.0]), 0.0)
    assert differ(logits, np.array([0.1, -0.0005, 0.0005, 2.0]), 0.0)
    assert differ(logits, np.array([-2.0, -0.0005, 0.0005, -0.1]), 0.0)


@pytest.mark.parametrize(("threshold", "difference"), [(0.0, 0.4), (4.0, float("inf"))])
def test_masks_are_compared_at_the_networks_own_threshold(sam, monkeypatch, threshold, difference):
    monkeypatch.setattr(sam, "mask_threshold", threshold)
    part = replace(
        part_of(sam, "encoder"), module=lambda images: images.new_full((3,), 5.0), outputs=("masks",)
    )
    assert largest_difference(lambda inputs: [np.full(3, 3.0)], part, sam) == pytest.approx(difference)


def test_an_encoder_is_compared_for_one_image_and_for_several(sam):
    part = part_of(sam, "encoder")
    shapes = [tuple(images.shape) for (images,) in kinds_of_input(part, sam)]
    assert shapes == [(1, 3, 64, 64), (3, 3, 64, 64)]


def test_a_decoder_is_compared_for_every_kind_of_prompt_with_a_mask_and_without(sam):
    labels, masks, sizes = [], [], set()
    for _, coords, label, mask, has_mask, size in kinds_of_input(part_of(sam, "decoder"), sam):
        labels.append(label[0].int().tolist())
        masks.append((bool(mask.any()), has_mask.item()))
        sizes.add(tuple(size.tolist()))
        assert coords.shape == (1, label.shape[1], 2) and 0 <= coords.min() <= coords.max() < 64
        if labels[-1][:2] == [2, 3]:
            assert (coords[0, 0] <= coords[0, 1]).all()
    kinds = [[1, -1], [1, 0, -1], [2, 3], [2, 3, 1], [1, 0] * 20 + [-1]]
    assert labels == [kind for kind in kinds for _ in range(2)]
    assert masks == [(False, 0.0), (True, 1.0)] * 5 and len(sizes) == 5
