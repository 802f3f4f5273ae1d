"""`minisam adapt` from a folder to a figure, resuming, merging, and what it refuses."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_networks import small_sam

from minisam.adapt.files import load_adapter
from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.cli.main import main
from minisam.locks import made_and_claimed


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """base.safetensors, and a folder `own` of six images with a mask each."""
    home = tmp_path_factory.mktemp("adapt")
    save_checkpoint(small_sam(), home / "base.safetensors")
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (home / "own" / name).mkdir(parents=True)
    for number in range(6):
        image, mask = random.integers(0, 90, (40, 48, 3), np.uint8), np.zeros((40, 48), np.uint8)
        x, y = random.integers(0, 24), random.integers(0, 20)
        mask[y : y + 18, x : x + 20] = 255
        image[mask > 0] += 120
        Image.fromarray(image).save(home / "own" / "images" / f"{number}.png")
        Image.fromarray(mask).save(home / "own" / "masks" / f"{number}.png")
    return home


def adapt(home, *more, out="run"):
    base = ["--checkpoint", str(home / "base.safetensors"), "--steps", "2", "--batch-size", "2"]
    return main(["adapt", str(home / "own"), *base, "--threads", "1", "-o", str(home / out), *more])


@pytest.fixture(scope="module")
def lora(home):
    assert adapt(home, "--method", "lora") == 0
    return home / "run"


def test_a_table_a_figure_and_numbers(lora):
    report = json.loads((lora / "results.json").read_text())
    assert report["method"] == "lora" and report["trained_images"] == 5 and report["held_out_images"] == 1
    names = [one["name"] for one in report["own"]]
    assert "box, single mask" in names and "5 clicks" in names
    assert "5 clicks" not in [one["name"] for one in report["partworld"]]
    for one in report["own"] + report["partworld"]:
        assert one["change"]["value"] == pytest.approx(one["after"] - one["before"], abs=1e-9)
    table = (lora / "table.md").read_text()
    assert table.startswith("Held-out images (1): mean IoU, lora") and "PartWorld" in table
    with Image.open(lora / "figure.png") as figure:
        assert figure.size[0] > 500


def test_what_is_written_is_what_was_measured(lora, home):
    adapted = load_adapter(load_checkpoint(home / "base.safetensors"), lora / "adapter.safetensors")
    assert adapted.method.name == "lora"
    assert any("lora_b" in n and p.any() for n, p in adapted.sam.named_parameters())


def test_a_finished_run_gives_the_same_again(lora, home, capsys):
    before = (lora / "adapter.safetensors").read_bytes(), (lora / "table.md").read_text()
    assert adapt(home, "--method", "lora") == 0
    assert ((lora / "adapter.safetensors").read_bytes(), (lora / "table.md").read_text()) == before


@pytest.mark.parametrize("name", ["plain.safetensors", "plain.pth"])
def test_merging_gives_a_plain_network(name, lora, home):
    base, plain = home / "base.safetensors", home / name
    merge = ["adapt", "merge", str(lora / "adapter.safetensors"), "--checkpoint", str(base), "-o", str(plain)]
    assert main(merge) == 0
    assert zipfile.is_zipfile(plain) == name.endswith(".pth")
    adapted = load_adapter(load_checkpoint(base), lora / "adapter.safetensors").sam.eval()
    merged = load_checkpoint(plain).eval()
    assert merged.state_dict().keys() == load_checkpoint(base).state_dict().keys()
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            merged.image_encoder(image), adapted.image_encoder(image), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("name", ["base.safetensors", "run/adapter.safetensors"])
def test_a_merged_network_replaces_neither_its_base_nor_the_adapter(name, lora, home, capsys):
    before, base = (home / name).read_bytes(), str(home / "base.safetensors")
    merge = ["adapt", "merge", str(lora / "adapter.safetensors"), "--checkpoint", base]
    assert main([*merge, "-o", str(home / name)]) == 2
    assert name in capsys.readouterr().err and (home / name).read_bytes() == before


def test_the_number_of_images_chooses_the_method(home, capsys):
    assert adapt(home, out="auto") == 0
    assert "method lora: 5 images are few" in capsys.readouterr().err
    changed = load_file(home / "auto" / "adapter.safetensors")
    assert changed and all(name.startswith("image_encoder.") for name in changed)
    assert adapt(home, "--decoder", out="more") == 0
    assert any(name.startswith("mask_decoder.") for name in load_file(home / "more" / "adapter.safetensors"))


def test_adapters_cannot_be_merged(home, capsys):
    assert adapt(home, "--method", "adapter", out="adapters") == 0
    base, file = str(home / "base.safetensors"), str(home / "adapters" / "adapter.safetensors")
    assert main(["adapt", "merge", file, "--checkpoint", base, "-o", str(home / "no.safetensors")]) == 3
    assert "give the file as --adapter instead" in capsys.readouterr().err
    assert not (home / "no.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--late", "9", "--method", "late"], "3 blocks, not 9"),
        (["--late", "1", "--method", "lora"], "--late is for --method late; omit it"),
        (["--rank", "1", "--method", "hq"], "--rank is for --method lora; omit it"),
        (["--no-decoder", "--method", "full"], "--no-decoder is for --method lora or adapter; omit it"),
    ],
)
def test_options_that_do_not_fit_are_one_line(home, capsys, options, message):
    assert adapt(home, *options, out="bad") == 2
    assert message in capsys.readouterr().err


def test_other_folders_are_one_line(home, tmp_path, capsys):
    run = ["--checkpoint", str(home / "base.safetensors"), "-o", str(tmp_path / "run")]
    assert main(["adapt", str(tmp_path / "none"), *run]) == 3
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (48, 40)).save(tmp_path / "images" / "one.png")
    Image.new("L", (48, 40), 255).save(tmp_path / "masks" / "one.png")
    assert main(["adapt", str(tmp_path), *run]) == 3
    assert "1 images are too few" in capsys.readouterr().err
    assert main(["adapt", str(tmp_path), str(tmp_path / "more"), *run]) == 2
    assert "one folder at a time" in capsys.readouterr().err
    assert main(["adapt", "merge", *run]) == 2
    assert "needs the adapter's file" in capsys.readouterr().err


def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_measured(lora, home, capsys, monkeypatch):
    for measure in ("measure_own", "measure_partworld"):
        monkeypatch.setattr(f"minisam.adapt.adapt_run.{measure}", None)
    assert adapt(home, "--method", "token") == 3
    assert "other settings" in capsys.readouterr().err
    with made_and_claimed(home / "in_use"):
        assert adapt(home, "--method", "lora", out="in_use") == 1
    assert "another run" in capsys.readouterr().err


def test_a_users_own_file_is_not_overwritten(home, tmp_path, capsys):
    (tmp_path / "results.json").write_text("[1, 2]")
    command = ["adapt", str(home / "own"), "--checkpoint", str(home / "base.safetensors"), "--steps", "1"]
    assert main([*command, "-o", str(tmp_path)]) == 2
    assert "results.json" in capsys.readouterr().err and (tmp_path / "results.json").read_text() == "[1, 2]"


def commands(home):
    """One of each command that takes an adapter, with little to do."""
    image, data = str(home / "own" / "images" / "0.png"), str(home / "own")
    yield "segment", [image, "--point", "10,10", "-o", str(home / "figure.png"), "--json"]
    yield "amg", [image, "--points-per-side", "2", "-o", str(home / "records"), "--preset", "young"]
    yield "eval", ["--data", data, "--images", "1", "--clicks", "1", "--json"]


def test_the_other_commands_take_the_adapter(lora, home, capsys):
    base = ["--checkpoint", str(home / "base.safetensors")]
    for command, options in commands(home):
        assert main([command, *options, *base, "--adapter", str(lora / "adapter.safetensors")]) == 0, command
        adapted = capsys.readouterr().out
        if command == "eval":
            assert main([command, *options, *base]) == 0
            found, plain = json.loads(adapted), json.loads(capsys.readouterr().out)
            assert found["worlds"] != plain["worlds"]
            names = found["about"]["network"], plain["about"]["network"]
            assert names == ("base.safetensors with adapter.safetensors", "base.safetensors")


def test_they_refuse_the_adapter_of_another_base(lora, home, capsys):
    save_checkpoint(small_sam(seed=1), home / "other.safetensors")
    for command, options in commands(home):
        base = ["--checkpoint", str(home / "other.safetensors")]
        assert main([command, *options, *base, "--adapter", str(lora / "adapter.safetensors")]) == 3, command
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert "adapts other weights" in line and "load the base that it was trained on" in line
