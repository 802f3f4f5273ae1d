"""Pre-training as a run: it resumes bit for bit, and what it writes trains on."""

import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from minisam.cli.main import main
from minisam.data.partworld import render_scenes
from minisam.errors import CheckpointError
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.pretrain import mae_task
from minisam.pretrain.mae_task import MaeTask, mae_run, normalise
from minisam.pretrain.recipes import PRETRAINING, PretrainingRecipe
from minisam.pretrain.reconstruction_loss import reconstruction_loss
from minisam.train.run import TrainingRun

SHORT = PretrainingRecipe(steps=4, batch_size=2, image_size=64)


def pretrain(folder, stop_at=None, recipe=SHORT, seed=0) -> TrainingRun[MaeTask]:
    run = mae_run("nano", folder, recipe, seed, save_every=2)
    if stop_at is None:
        run.run()
    else:
        folder.mkdir()
        for _ in range(stop_at):
            run.train_step()
        run.save()
    return run


def test_a_resumed_run_is_bit_equal(tmp_path):
    whole = pretrain(tmp_path / "whole").task.mae.state_dict()
    pretrain(tmp_path / "parts", stop_at=3)
    parts = pretrain(tmp_path / "parts").task.mae.state_dict()
    for name, value in whole.items():
        assert value.equal(parts[name]), name
    assert (tmp_path / "whole" / "mae.safetensors").read_bytes() == (
        tmp_path / "parts" / "mae.safetensors"
    ).read_bytes()
    with Image.open(tmp_path / "whole" / "reconstructions.png") as figure:
        assert figure.width > 500


def test_a_step_is_that_of_its_own_seed_at_the_rate_of_the_step(tmp_path):
    recipe = PretrainingRecipe(steps=40, batch_size=2, image_size=64, clip_norm=0.01, mask_ratio=0.5)
    run = mae_run("nano", tmp_path, recipe, seed=5)
    run.step, seed = 30, 5 * 1_000_003 + 30 * 7919 + 1
    pixels = render_scenes(seed, 2, 64).images.float()
    images = (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    prediction, masking = run.task.mae(images, 0.5, torch.Generator().manual_seed(seed))
    expected = reconstruction_loss(prediction, images, masking.hidden, run.task.mae.patch_size).item()

    assert run.train_step().item() == pytest.approx(expected, rel=1e-5)
    assert run.lr == recipe.rate(30) < recipe.lr
    assert all(group["lr"] == recipe.rate(30) for group in run.task.optimizers[0].param_groups)
    assert (run.step, run.images) == (31, 2)
    gradients = torch.cat([parameter.grad.flatten() for parameter in run.task.mae.parameters()])
    assert gradients.norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_a_save_shows_as_much_hidden_as_the_recipe_hides(ratio, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(mae_task, "save_reconstructions", drawn.__setitem__)
    task = mae_run("nano", tmp_path, replace(SHORT, mask_ratio=ratio)).task
    task.save(tmp_path, 2, [])
    ((path, pictures),) = drawn.items()
    assert path == tmp_path / "reconstructions.png" and task.mae.training
    assert torch.equal(pictures[:, 0], normalise(render_scenes(0, 4, 64, world="heldout").images))
    assert (pictures[:, 1] == 0).float().mean().item() == ratio


def test_another_recipe_does_not_take_up_a_state(tmp_path):
    pretrain(tmp_path / "run", stop_at=1)
    with pytest.raises(CheckpointError, match="other settings"):
        pretrain(tmp_path / "run", recipe=replace(SHORT, mask_ratio=0.5))


def test_the_rate_rises_in_a_line_and_falls_to_nothing():
    recipe = PRETRAINING["tiny"]
    warmup = round(recipe.warmup_share * recipe.steps)
    assert recipe.rate(warmup // 2 - 1) == pytest.approx(recipe.lr / 2)
    assert recipe.rate(warmup) == recipe.lr
    rates = [recipe.rate(step) for step in range(warmup, recipe.steps)]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 1e-6


def test_pretrain_then_train(tmp_path, capsys):
    mae, out = str(tmp_path / "mae"), str(tmp_path / "sam")
    assert main(["pretrain", "--preset", "nano", "--steps", "1", "-o", mae]) == 0
    assert "--from-mae" in capsys.readouterr().out
    arguments = [
        "train",
        "--preset",
        "nano",
        "--from-mae",
        f"{mae}/mae.safetensors",
        "--steps",
        "1",
        "-o",
        out,
    ]
    assert main(arguments) == 0
    state = torch.load(f"{out}/state.pt", weights_only=True)
    assert state["step"] == 1 and len(state["about"]) > 100
    assert main(["train", "--preset", "nano", "--from-mae", str(tmp_path / "none"), "--steps", "1"]) == 3


@pytest.mark.parametrize("ratio", ["0", "1", "1.5", "-0.5", "nan"])
def test_a_share_that_hides_nothing_or_everything_is_refused(ratio, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["pretrain", f"--mask-ratio={ratio}"])
    assert stopped.value.code == 2 and "--mask-ratio: must be above 0 and below 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_autoencoder_that_diverged_is_not_written(tmp_path):
    run = mae_run("nano", tmp_path, replace(SHORT, steps=1))
    torch.nn.init.constant_(next(run.task.mae.parameters()), math.nan)
    with pytest.raises(CheckpointError, match="diverged; nothing was written"):
        run.run()
    assert not (tmp_path / "mae.safetensors").exists()
