"""E1's arms differ in which tokens answer, and in nothing else."""

import torch

from minisam.build import build_sam
from minisam.evaluate.targets import evaluation_scenes
from minisam.experiments.e01_ambiguity import OneOutput, example_clicks, renew_heads_
from minisam.experiments.experiment import Settings
from minisam.model import MaskDecoder
from minisam.predict.prompted import Prompted


def test_one_output_answers_a_click_with_mask_0_and_three_with_the_others():
    answers = {}
    for kind in (OneOutput, MaskDecoder):
        torch.manual_seed(0)
        sam = build_sam("nano")
        renew_heads_(sam, kind)
        sam.eval()
        points = torch.full((1, 1, 2), 20.0), torch.ones(1, 1, dtype=torch.long)
        prompted = Prompted(sam, torch.randn(1, 96, 8, 8), torch.zeros(1, dtype=torch.long))
        answers[kind] = prompted.predict(points)
        everything = sam.mask_decoder.predict_masks(
            prompted.embeddings, sam.prompt_encoder.get_dense_pe(), *sam.prompt_encoder(points, None, None)
        )
        which = slice(0, 1) if kind is OneOutput else slice(1, 4)
        for answer, every in zip(answers[kind], everything, strict=True):
            torch.testing.assert_close(answer, every[:, which])


def test_new_heads_keep_transformer_and_upscaling():
    sam, own = build_sam("nano"), build_sam("nano")
    renew_heads_(sam, OneOutput)
    kept = ("transformer.", "output_upscaling.")
    for name, value in own.mask_decoder.state_dict().items():
        same = value.equal(sam.mask_decoder.state_dict()[name])
        assert same == name.startswith(kept), name


def test_examples_are_clicks_on_subparts_those_with_the_clearest_levels_first():
    (scenes,) = evaluation_scenes("train", 8, 64)
    least = []
    for picture, (x, y) in example_clicks(Settings(images=8, seeds=(0,))):
        image = int(scenes.images.eq(picture).flatten(1).all(dim=1).nonzero()[0])
        labels = scenes.labels[image]
        whole, part, subpart = ((level == level[y, x]).sum().item() for level in labels)
        assert labels[2, y, x] >= 0
        least.append(min(whole - part, part - subpart, subpart))
    assert len(least) == 3 and least == sorted(least, reverse=True) and least[0] > 10


def test_examples_are_of_the_first_seed():
    (scenes,) = evaluation_scenes("train", 4, 64, 5)
    for picture, _ in example_clicks(Settings(images=4, seeds=(5, 0))):
        assert scenes.images.eq(picture).flatten(1).all(dim=1).any()
