"""Pre-training as a run: it resumes bit for bit, and what it writes trains on."""

import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from minisam.cli.main import main
from minisam.errors import CheckpointError
from minisam.pretrain.recipes import PRETRAINING, PretrainingRecipe
from minisam.pretrain.run import PretrainingRun

SHORT = PretrainingRecipe(steps=4, batch_size=2, image_size=64)


def pretrain(folder, stop_at=None, recipe=SHORT, seed=0) -> PretrainingRun:
    run = PretrainingRun("nano", folder, recipe, seed, save_every=2)
    if stop_at is None:
        run.run()
    else:
        folder.mkdir()
        run.save([run.train_step() for _ in range(stop_at)])
    return run


def test_a_resumed_run_is_bit_equal(tmp_path):
    whole = pretrain(tmp_path / "whole").mae.state_dict()
    pretrain(tmp_path / "parts", stop_at=3)
    parts = pretrain(tmp_path / "parts").mae.state_dict()
    for name, value in whole.items():
        assert value.equal(parts[name]), name
    assert (tmp_path / "whole" / "mae.safetensors").read_bytes() == (
        tmp_path / "parts" / "mae.safetensors"
    ).read_bytes()
    with Image.open(tmp_path / "whole" / "reconstructions.png") as figure:
        assert figure.width > 500


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
    assert main(["pretrain", "--mask-ratio", "1.5"]) == 1


def test_an_autoencoder_that_diverged_is_not_written(tmp_path):
    run = PretrainingRun("nano", tmp_path, replace(SHORT, steps=1))
    torch.nn.init.constant_(next(run.mae.parameters()), math.nan)
    with pytest.raises(CheckpointError, match="diverged; nothing was written"):
        run.run()
    assert not (tmp_path / "mae.safetensors").exists()
