import csv
from pathlib import Path

import pytest
import torch

from minisam.checkpoint import load_checkpoint, read_metadata
from minisam.cli.main import build_parser, main
from minisam.cli.train import chosen_recipe
from minisam.config import CONFIGS, build_from_config
from minisam.train.presets import RECIPES, RECIPES_FROM_WEIGHTS, Recipe


def test_a_short_run_leaves_weights_metrics_and_a_figure(tmp_path, capsys):
    arguments = ["train", "--preset", "nano", "--steps", "2", "--threads", "1", "-o", str(tmp_path)]
    assert main(arguments) == 0
    assert "model.safetensors" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "model.safetensors").image_encoder.img_size == 64
    assert read_metadata(tmp_path / "model.safetensors")["preset"] == "nano"
    with (tmp_path / "metrics.csv").open() as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [2]
    assert (tmp_path / "progress.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--preset", "huge"],
        ["--precision", "int3"],
        ["--steps", "many"],
        ["--steps", "0"],
        ["--save-every", "0"],
        ["--threads", "-1"],
        ["--rounds", "8", "-2"],
        ["--seed", "99999999999999999999"],
        ["--from", "a", "--from-mae", "b"],
    ],
)
def test_usage_errors(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments])
    assert stopped.value.code == 2


def recipe_of(*arguments: str) -> tuple[str, Recipe]:
    return chosen_recipe(build_parser("train").parse_args(["train", *arguments]))


def test_any_network_is_trained_by_its_own_recipe_or_by_another():
    assert recipe_of("--preset", "tiny") == ("tiny", RECIPES["tiny"])
    assert recipe_of("--model", "vit_b") == ("vit_b", RECIPES["vit_b"])
    tuned = recipe_of("--model", "vit_b", "--from", "vit_b.pth", "--batch-size", "1")[1]
    assert tuned == RECIPES_FROM_WEIGHTS["vit_b"].with_images(batch_size=1)
    assert recipe_of("--model", "vit_l", "--recipe", "nano", "--steps", "7")[1].steps == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "vit_x"], "there is no network 'vit_x'; use vit_b"),
        (["--model", "vit_b", "--recipe", "x"], "no recipe for x here; add --recipe"),
        (["--image-size", "100"], "multiple of 16"),
        (["--image-size", "72"], "multiple of 16"),
    ],
)
def test_a_network_or_a_recipe_that_is_not_there_is_named(
    arguments: list[str], message: str, capsys, monkeypatch
):
    monkeypatch.setattr("minisam.train.sam_run.sam_run", lambda *_, **__: pytest.fail("it trains"))
    assert main(["train", *arguments]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_vit_b_is_tuned_from_its_file(tmp_path: Path):
    start = tmp_path / "vit_b.pth"
    torch.manual_seed(0)
    torch.save(build_from_config(CONFIGS["vit_b"]).state_dict(), start)
    arguments = [
        "train",
        "--model",
        "vit_b",
        "--from",
        str(start),
        "--image-size",
        "128",
        "--batch-size",
        "1",
    ]
    assert main([*arguments, "--steps", "1", "-o", str(tmp_path / "run")]) == 0
    tuned = load_checkpoint(tmp_path / "run" / "model.safetensors")
    assert tuned.image_encoder.img_size == 1024 and len(tuned.image_encoder.blocks) == 12
