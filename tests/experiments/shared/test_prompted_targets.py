"""Targets of an experiment: which scenes, which objects of them, and the number of each one's image."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from minisam.build import build_sam
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import prompted_targets as module
from minisam.experiments.shared.prompted_targets import prompted_targets


def test_targets_of_every_batch_and_seed_with_a_number_for_each_image(monkeypatch):
    sam, asked, drawn = build_sam("nano").eval(), [], []
    pixels = torch.randint(256, (3, 3, 64, 64), dtype=torch.uint8)
    labels = torch.arange(3 * 3 * 64 * 64).reshape(3, 3, 64, 64) % 5
    batch = SimpleNamespace(images=pixels, labels=labels, level=torch.tensor([[0, 1, 2, 0, 1]] * 3).byte())

    def scenes(*given, **knobs):
        asked.append((given, knobs))
        return iter([batch, batch])

    def choose(scenes, count, generator, min_area):
        drawn.append((scenes is batch, count, generator.initial_seed(), min_area))
        if len(drawn) == 2:  # a batch without targets is counted all the same
            return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
        return torch.tensor([0, 2, 2]), torch.tensor([4, 1, 2])

    monkeypatch.setattr(module, "evaluation_scenes", scenes)
    monkeypatch.setattr(module, "choose_targets", choose)
    settings = Settings(images=6, seeds=(7, 9))
    with torch.inference_mode():
        found = list(prompted_targets(sam, settings, "lines", 0.125, richness=0.25))
        embeddings = sam.image_encoder(sam.preprocess(pixels))
    assert asked == [(("lines", 6, 64, seed, sam.device), {"richness": 0.25}) for seed in (7, 9)]
    assert drawn == [(True, 8, seed, 0.125) for seed in (7, 7 + 3, 9 + 6, 9 + 9)]
    assert [one.image.tolist() for one in found] == [[0, 2, 2], [6, 8, 8], [9, 11, 11]]
    for one in found:
        assert one.level.tolist() == [1, 1, 2] and one.prompted.image_index.tolist() == [0, 2, 2]
        torch.testing.assert_close(one.prompted.embeddings, embeddings)
        wanted = [labels[0, 1] == 4, labels[2, 1] == 1, labels[2, 2] == 2]
        assert one.masks.equal(torch.stack(wanted))
    list(prompted_targets(sam, settings))
    assert asked[-1] == (("train", 6, 64, 9, sam.device), {}) and drawn[-1][3] == 1 / 256
