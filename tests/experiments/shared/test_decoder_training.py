"""Decoders trained for an experiment: paired, on a frozen encoder, read again when they are finished."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from minisam.build import build_sam
from minisam.errors import CheckpointError
from minisam.experiments.experiment import Settings
from minisam.experiments.shared import decoder_training
from minisam.experiments.shared.decoder_training import (
    DecoderRecipe,
    DecoderTask,
    batch,
    renew_mask_prompt_,
    trained_decoder,
)
from minisam.train.interactive import Rounds
from minisam.train.losses import SegmentationLoss, segmentation_loss

RECIPE = DecoderRecipe(steps=2, rounds=Rounds(1, 0), images=2, prompts_per_image=2)


def as_it_is(sam):
    pass


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    return all(a.equal(b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_only_prompt_encoder_and_decoder_are_trained(tmp_path):
    before, after = build_sam("nano"), trained_decoder(Settings.short(tmp_path), "arm", as_it_is, RECIPE, 0)
    assert same_weights(before.image_encoder, after.image_encoder) and not after.training
    assert not same_weights(before.mask_decoder.transformer, after.mask_decoder.transformer)
    assert not same_weights(before.prompt_encoder.mask_downscaling, after.prompt_encoder.mask_downscaling)


def test_a_finished_decoder_is_read_and_not_trained_again(tmp_path, monkeypatch):
    settings = Settings.short(tmp_path)
    first = trained_decoder(settings, "arm", as_it_is, RECIPE, 0)
    monkeypatch.setattr("minisam.experiments.shared.decoder_training.train_decoder_", None)
    assert same_weights(first, trained_decoder(settings, "arm", as_it_is, RECIPE, 0))
    with pytest.raises(CheckpointError, match="other settings"):
        trained_decoder(settings, "arm", as_it_is, DecoderRecipe(steps=3), 0)


def test_the_loss_that_is_given_is_the_one_that_trains(tmp_path):
    def no_iou(*round):
        return segmentation_loss(*round, iou_loss=lambda predicted, true, trained: 0 * predicted.sum())

    heads = [
        trained_decoder(Settings.short(tmp_path / str(place)), "arm", as_it_is, RECIPE, 0, *loss)
        for place, loss in enumerate([(), (segmentation_loss,), (no_iou,)])
    ]
    usual, same, other = (sam.mask_decoder.iou_prediction_head.layers[-1].bias for sam in heads)
    assert usual.equal(same) and not usual.equal(other)
    assert other.equal(build_sam("nano").mask_decoder.iou_prediction_head.layers[-1].bias)


def test_seeds_differ_and_one_seed_is_one_run(tmp_path):
    runs = [
        trained_decoder(Settings.short(tmp_path / place), "arm", renew_mask_prompt_, RECIPE, seed)
        for place, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same_weights(runs[0], runs[1]) and not same_weights(runs[0], runs[2])


def test_a_batch_belongs_to_its_seed_and_step_alone():
    sam = build_sam("nano")

    def drawn(seed: int, step: int):
        return batch(sam, RECIPE, seed, step, torch.Generator().manual_seed(0))

    embeddings, image, masks = drawn(0, 3)
    assert embeddings.shape == (2, 96, 8, 8) and image.tolist() == [0, 0, 1, 1] and masks.shape == (4, 64, 64)
    assert not embeddings.requires_grad and masks.flatten(1).any(dim=1).all()
    assert embeddings.equal(drawn(0, 3)[0])
    assert not embeddings.equal(drawn(0, 4)[0]) and not embeddings.equal(drawn(1, 3)[0])


def test_the_shares_of_processes_add_up_to_the_loss_of_the_batch(monkeypatch):
    task = DecoderTask(build_sam("nano"), replace(RECIPE, rounds=Rounds(2, 0)), 0)

    def losses(rows: slice) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(decoder_training, "own_rows", lambda count: rows)
        return task.loss(1, torch.Generator().manual_seed(0))[1]

    first, second, whole = (losses(rows) for rows in (slice(0, 1), slice(1, 4), slice(0, 4)))
    for name, value in whole.items():
        torch.testing.assert_close(first[name] + second[name], value, msg=name, atol=1e-5, rtol=1e-4)


def test_a_new_mask_prompt_leaves_all_else():
    sam, own = build_sam("nano"), build_sam("nano")
    renew_mask_prompt_(sam)
    changed = {name for name, value in own.state_dict().items() if not value.equal(sam.state_dict()[name])}
    weights = {name for name in sam.state_dict() if "mask_downscaling" in name or "no_mask" in name}
    assert changed == weights and sam.image_encoder.training is False


@pytest.mark.parametrize("seed", [0, 1])
def test_new_weights_follow_from_the_seed_alone(seed, tmp_path, monkeypatch):
    """Not from what was drawn before, by another arm or by anything else."""
    monkeypatch.setattr(decoder_training, "train_decoder_", lambda *_: None)
    found = []
    for place, before in enumerate((3, 4)):
        torch.manual_seed(before)
        settings = Settings.short(tmp_path / str(place))
        found.append(trained_decoder(settings, f"arm {place}", renew_mask_prompt_, RECIPE, seed))
    assert same_weights(*found)
    other = trained_decoder(Settings.short(tmp_path / "other"), "arm", renew_mask_prompt_, RECIPE, seed + 2)
    assert not same_weights(found[0], other)


@pytest.mark.parametrize("totals", [(3.0,), (3.0, 1.0), (6.0, 2.0, 1.0)])
def test_the_loss_is_the_mean_of_the_rounds(totals, monkeypatch):
    """However many rounds a step has, it weighs as much as another."""
    nothing = torch.zeros(2)
    rounds = [
        SegmentationLoss(torch.tensor(total), *[torch.tensor(0.0)] * 3, nothing[:, None], nothing)
        for total in totals
    ]
    monkeypatch.setattr(decoder_training, "interactive_rounds", lambda *_, **__: rounds)
    loss, metrics = DecoderTask(build_sam("nano"), RECIPE, 0).loss(0, torch.Generator().manual_seed(0))
    assert loss.item() == metrics["loss"].item() == pytest.approx(sum(totals) / len(totals))
