"""Every method changes what is trained, and nothing else about the network."""

import pytest
import torch

from minisam.adapt.methods import METHODS, Method, adapt
from minisam.build import build_sam


def prompted(sam, images):
    generator = torch.Generator().manual_seed(1)
    side = sam.image_encoder.img_size
    points = torch.rand(2, 3, 2, generator=generator) * side, torch.tensor([[1, 0, 1]] * 2)
    sparse, dense = sam.prompt_encoder(points, None, None)
    embeddings = sam.image_encoder(sam.preprocess(images))
    return sam.mask_decoder(
        embeddings, sam.prompt_encoder.get_dense_pe(), sparse, dense, True, torch.tensor([0, 1])
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_every_part_stays_in_its_mode(name, training):
    sam = adapt(build_sam("nano").train(training), Method(name)).sam
    assert {module.training for module in sam.modules()} == {training}


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", METHODS)
def test_every_part_has_the_networks_own_numbers(name, precision):
    sam = adapt(build_sam("nano").to(precision), Method(name)).sam
    assert {value.dtype for value in sam.state_dict().values()} == {precision}
    masks, ious = prompted(sam.eval(), torch.rand(2, 3, 64, 64, dtype=precision) * 255)
    assert masks.dtype == ious.dtype == precision


@pytest.mark.parametrize("name", METHODS)
def test_what_is_trained_is_what_is_named(name):
    sam = build_sam("nano")
    named = Method(name).apply(sam)
    assert named == [key for key, value in sam.named_parameters() if value.requires_grad] and named
