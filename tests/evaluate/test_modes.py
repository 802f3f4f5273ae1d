"""What measures a network leaves it as it was: in training or in evaluation, and with its gradients on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minisam.adapt.distil import explained_variance
from minisam.adapt.measure_own import measure_partworld
from minisam.build import build_sam
from minisam.data.partworld.export import annotated_pictures, write_sa1b
from minisam.data.segmentation_folder import open_folder
from minisam.errors import DatasetError
from minisam.evaluate import evaluate_pictures, evaluate_world
from minisam.evaluate.pictures import validation_metrics
from minisam.model import Sam


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("drawn")
    write_sa1b(path, annotated_pictures("train", 1, image_size=64))  # pyright: ignore
    return path


MEASURING: dict[str, Callable[[Sam, Path], object]] = {
    "pictures": lambda sam, path: evaluate_pictures(sam, open_folder(path), [0], 1, clicks=1),
    "no pictures": lambda sam, path: evaluate_pictures(sam, open_folder(path), [], 1, clicks=1),
    "validation": lambda sam, path: validation_metrics(sam, open_folder(path), [0]),
    "world": lambda sam, _: evaluate_world(sam, "train", images=1, targets_per_image=1, clicks=1),
    "forgetting": lambda sam, _: measure_partworld(sam),
    "distilling": lambda sam, _: explained_variance(
        sam, sam, torch.randint(255, (2, 3, 64, 64)).float().unbind()
    ),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MEASURING)
def test_a_network_stays_in_its_mode(name, training, folder):
    sam = build_sam("nano").train(training)
    try:
        MEASURING[name](sam, folder)
    except DatasetError:
        assert name == "no pictures"
    assert {module.training for module in sam.modules()} == {training}
    assert torch.is_grad_enabled() and all(p.requires_grad and p.grad is None for p in sam.parameters())
