"""SAM-cls of E14: trained on candidates of the first training images, each run by its own seed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minisam.experiments import e14_rsprompter as e14


@pytest.mark.parametrize("quick", [True, False])
def test_a_classifier_is_trained_by_its_seed_on_the_crops_of_all_images(quick, monkeypatch):
    trained, count = [], 2 if quick else e14.CLASSIFIED_IMAGES
    segment = SimpleNamespace(mask=lambda: np.ones((8, 8), bool), category="ship")
    pictures = [SimpleNamespace(image=number, segments=[segment]) for number in range(512)]

    class Candidates:
        def __init__(self, sam, image):
            self.crops = torch.full((2, 4, 4, 3), image % 256)

        def labels(self, masks, own, background):
            assert masks.shape == (1, 8, 8) and background == len(e14.CLASSES)
            return torch.tensor([*own, background])

    def train(crops, targets, classes, seed, steps):
        trained.append((len(crops), targets.tolist(), classes, seed, steps))

    monkeypatch.setattr(
        e14, "training_images", lambda images, side: SimpleNamespace(pictures=pictures[:images])
    )
    monkeypatch.setattr(e14, "Candidates", Candidates)
    monkeypatch.setattr(e14, "train_classifier", train)
    monkeypatch.setattr(e14, "classified", lambda network, found: found)
    monkeypatch.setattr(e14, "overlaps_of", lambda found, picture, labels, classes: {})
    found = e14.classify("sam", SimpleNamespace(quick=quick), 8, pictures[:3], {"ship": 1}, seed=5)
    classes = len(e14.CLASSES)
    assert trained == [(2 * count, [1, classes] * count, classes, 5, 2 if quick else 600)]
    assert found == [{}, {}, {}]
